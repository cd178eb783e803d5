# SPDX-License-Identifier: Apache-2.0
"""The empirical distribution of an operand after channel scaling, and the codes worth considering for it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_snn.config.neuron_settings import NeuronSettings
from onnx_snn.fitting.beta_codes import JudgedBetaCode, beta_codes
from onnx_snn.fitting.binary_codes import JudgedBinaryCode, binary_codes
from onnx_snn.fitting.density import Density
from onnx_snn.neurons.mbe import Float32


class Signal(NamedTuple):
    """The empirical distribution of the magnitudes of an operand after channel scaling.

    Attributes:
        points: float64 [M], sorted magnitudes after scaling.
        counts: [M], how often each occurs.
        importance: float64 [M], how much a squared error counts there.
        scale: powers of two that its channels are divided by.
        largest: largest scaled magnitude.
    """

    points: NDArray[np.float64]
    counts: NDArray[Any]
    importance: NDArray[np.float64]
    scale: Float32
    largest: float

    @property
    def weights(self) -> NDArray[np.float64]:
        """How much a squared error counts at each point, over all its occurrences."""
        return np.asarray(self.counts * self.importance)

    def within(self, limit: float) -> Density:
        """Its density where magnitudes beyond `limit` count as `limit`."""
        return Density(np.clip(self.points, 0.0, limit), self.counts / self.counts.sum())

    def binary_codes(self, limit: float, settings: NeuronSettings) -> list[JudgedBinaryCode]:
        """The Pareto front of its binary codes up to `limit`, from the fewest spikes to the smallest error."""
        density, importance = self.within(limit), self.importance
        return binary_codes(density, settings.timesteps, limit=limit, importance=importance, gate=settings.gate)

    def beta_codes(self, limit: float, settings: NeuronSettings) -> list[JudgedBetaCode]:
        """The Pareto front of its beta codes up to `limit`, from the fewest spikes to the smallest error."""
        density, importance = self.within(limit), self.importance
        return beta_codes(density, settings.timesteps, limit=limit, importance=importance, gate=settings.gate)
