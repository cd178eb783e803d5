# SPDX-License-Identifier: Apache-2.0
"""The empirical distribution of an operand after channel scaling, and its sparse codes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float32
from onnx_snn.config.neuron_settings import NeuronSettings
from onnx_snn.fitting.beta_codes import RatedBetaCode, beta_codes
from onnx_snn.fitting.binary_codes import RatedBinaryCode, binary_codes
from onnx_snn.fitting.density import Density
from onnx_snn.fitting.shannon_bound import least_bits, moved_within_cells
from onnx_snn.neurons.mbe import MbeNeuron


class Signal(NamedTuple):
    """The empirical distribution of the magnitudes of an operand after channel scaling.

    Attributes:
        points: scaled magnitudes, float64 [M], sorted.
        counts: number of elements at each point [M].
        importance: weight of the squared error of an element at each point, float64 [M].
        scale: channel scales, powers of two that divide the operand.
        largest: largest scaled magnitude.
        reach: largest magnitude of the tensor over its smallest scale: what the largest value would be in any channel.
    """

    points: NDArray[np.float64]
    counts: NDArray[Any]
    importance: NDArray[np.float64]
    scale: Float32
    largest: float
    reach: float

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weight of squared errors at each point, summed over its elements, [M]."""
        return np.asarray(self.counts * self.importance)

    def within(self, limit: float) -> Density:
        """The density of the magnitudes, clipped to `limit`."""
        return Density(np.clip(self.points, 0.0, limit), self.counts / self.counts.sum())

    def binary_codes(self, limit: float, settings: NeuronSettings) -> list[RatedBinaryCode]:
        """The Pareto front of its binary codes up to `limit`, from the fewest spikes to the smallest error."""
        density, importance = self.within(limit), self.importance
        return binary_codes(density, settings.timesteps, limit=limit, importance=importance, gate=settings.gate)

    def beta_codes(self, limit: float, settings: NeuronSettings) -> list[RatedBetaCode]:
        """The Pareto front of its beta codes up to `limit`, from the fewest spikes to the smallest error."""
        density, importance = self.within(limit), self.importance
        return beta_codes(density, settings.timesteps, limit=limit, importance=importance, gate=settings.gate)

    def least_bits(self, neuron: MbeNeuron) -> float:
        """Bits for each element that any code must carry whose error is that of the code `neuron`."""
        points = moved_within_cells(self.points)
        error = float(np.average((neuron(points) - points) ** 2, weights=self.weights))
        return least_bits(self.points, np.asarray(self.counts, np.float64), error, self.importance)
