# SPDX-License-Identifier: Apache-2.0
"""A tensor as its code sees it, and the codes that are worth considering for it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_snn.config.node_settings import NeuronSettings
from onnx_snn.fitting.beta_codes import GreedyCode, greedy_codes
from onnx_snn.fitting.binary_codes import LeanCode, lean_codes
from onnx_snn.fitting.density import Density
from onnx_snn.neurons.mbe import Float32


class Signal(NamedTuple):
    """A tensor as its code sees it.

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
        """Its density as a code sees it that reaches `limit`."""
        return Density(np.clip(self.points, 0.0, limit), self.counts / self.counts.sum())


def lean_front(signal: Signal, limit: float, settings: NeuronSettings) -> list[LeanCode]:
    """The codes of a signal with few segments, from the fewest spikes to the smallest error."""
    density = signal.within(limit)
    timesteps, gate = settings.timesteps, settings.gate
    return lean_codes(density, timesteps, limit=limit, importance=signal.importance, gate=gate)


def greedy_front(signal: Signal, limit: float, settings: NeuronSettings) -> list[GreedyCode]:
    """The greedy codes of a signal, from the fewest spikes to the smallest error."""
    density, importance = signal.within(limit), signal.importance
    return greedy_codes(density, settings.timesteps, limit=limit, importance=importance, gate=settings.gate)
