# SPDX-License-Identifier: Apache-2.0
"""Spike events of a coded operand: which element of which basis fires at which time step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float32, Float64
from onnx_snn.neurons.mbe import MbeNeuron, spike_trains


class Events(NamedTuple):
    """Spikes of one basis at one time step.

    Attributes:
        elements: flat indices of the elements that fire, int64 [spikes], ascending.
        value: what one spike stands for, in units of the intensity: the channel scale of its element, a power of two,
            negative for the mirrored population; float64 [spikes].
    """

    elements: NDArray[np.int64]
    value: Float64


class SpikeEvents:
    """The spike events of an operand that a neuron codes.

    Args:
        neuron: the neuron.
        x: arguments of the neuron, float32 [any shape].
        scale: channel scale of each element, powers of two, float32 of the shape of `x`.

    Attributes:
        neuron: the neuron.
        shape: shape of the operand.
        offset: what an element stands for without spikes, float64 in that shape: the bias, with sign and scale.
    """

    def __init__(self, neuron: MbeNeuron, x: Float32, scale: Float32) -> None:
        self.neuron, self.shape = neuron, x.shape
        with np.errstate(over="ignore", under="ignore"):
            argument = (x / scale).astype(np.float32).ravel()
        mirrored = (argument < 0) & bool(neuron.polarity)
        self._unit = np.where(mirrored, -1.0, 1.0) * scale.ravel().astype(np.float64)
        self._trains = spike_trains(neuron, argument)
        self.offset = (float(neuron.bias) * self._unit).reshape(x.shape)

    @cached_property
    def value(self) -> Float64:
        """The operand as decoded after the last time step, float64, before the rounding to float32."""
        *_, value = self.decoded()
        return value

    @property
    def spikes(self) -> int:
        """Number of spikes."""
        return int(self._trains.sum())

    @property
    def fired(self) -> Float64:
        """Number of spikes of each element, float64 in the shape of the operand."""
        return np.asarray(self._trains.sum(axis=(0, 1)), np.float64).reshape(self.shape)

    def at(self, step: int, basis: int) -> Events:
        """The spikes of `basis` at time step `step`."""
        index = np.flatnonzero(self._trains[step, basis])
        return Events(index, self._unit[index])

    def increments(self, step: int) -> Iterator[tuple[float, Events]]:
        """For each basis that fires at time step `step`: what its spikes add to the operand, and the spikes.

        A neuron that has fewer time steps yields nothing.
        """
        for basis in range(self.neuron.bases if step < self.neuron.timesteps else 0):
            events = self.at(step, basis)
            if len(events.elements):
                yield float(self.neuron.weight[basis]) * float(self.neuron.intensity[step, basis]), events

    def decoded(self) -> Iterator[Float64]:
        """The operand as decoded before the first time step and after each, float64 [S + 1 times, the shape]."""
        total = self.offset.ravel().copy()
        yield total.reshape(self.shape).copy()
        for step in range(self.neuron.timesteps):
            for increment, events in self.increments(step):
                total[events.elements] += increment * events.value
            yield total.reshape(self.shape).copy()
