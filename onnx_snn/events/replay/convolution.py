# SPDX-License-Identifier: Apache-2.0
"""Convolution as synapses: a spike adds the weights of its channel to the outputs whose windows hold its element."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.arrays import Float64
from onnx_snn.events.replay.sparse_spikes import spikes_at
from onnx_snn.events.spike_events import Events
from onnx_snn.graph.shapes import Shape


class _Window(NamedTuple):
    """How a convolution moves its window, for each spatial axis.

    Attributes:
        strides: steps of the window.
        dilations: distances of the elements of the kernel.
        before: padding before the first element.
        outputs: number of positions of the window.
    """

    strides: Shape
    dilations: Shape
    before: Shape
    outputs: Shape


class Convolution:
    """Conv over any number of spatial axes: activations a [B, C, ...], which spike, weights b [O, C / groups, ...]."""

    def __init__(self, node: ir.Node) -> None:
        self._attributes = node.attributes
        self._groups = node.attributes.get_int("group", 1)

    def dense(self, a: Float64, b: Float64) -> Float64:
        """The product of two arrays."""
        index = np.flatnonzero(a)
        return self.accumulated(0, Events(index, a.ravel()[index]), a.shape, b)

    def connections(self, a: Float64, b: Float64) -> float:
        """The sum of all elementary products."""
        return float(self.dense(a, b).sum())

    def accumulated(self, _: int, events: Events, shape: Shape, other: Float64) -> Float64:
        """The sum over the spikes `events`; see `Bilinear`."""
        window = self._window(shape, other.shape)
        outputs, inner = other.shape[0] // self._groups, other.shape[1]
        positions = shape[0] * math.prod(window.outputs)
        total = np.zeros((self._groups, positions, outputs))
        kernel = other.reshape(self._groups, outputs, inner, -1)
        for place_in_kernel, (channel, position, value) in self._reached(events, shape, other.shape, window):
            for group in range(self._groups):
                own = channel // inner == group
                spikes = spikes_at(position[own], channel[own] % inner, value[own], (positions, inner))
                total[group] += spikes @ kernel[group, :, :, place_in_kernel].T
        flat = total.transpose(1, 0, 2).reshape(shape[0], math.prod(window.outputs), other.shape[0])
        summed: Float64 = flat.transpose(0, 2, 1).reshape(shape[0], other.shape[0], *window.outputs)
        return summed

    def synapses(self, _: int, events: Events, shape: Shape, other: Shape) -> int:
        """Number of accumulations that the spikes cause."""
        window = self._window(shape, other)
        reached = sum(len(value) for _, (_, _, value) in self._reached(events, shape, other, window))
        return reached * (other[0] // self._groups)

    def _window(self, x: Shape, weights: Shape) -> _Window:
        kernel = weights[2:]
        ones = [1] * len(kernel)
        strides = tuple(self._attributes.get_ints("strides", ones))
        dilations = tuple(self._attributes.get_ints("dilations", ones))
        reach = [dilation * (size - 1) + 1 for dilation, size in zip(dilations, kernel, strict=True)]
        before, after = self._pads(x[2:], reach, strides)
        outputs = tuple(
            (size + first + last - length) // stride + 1
            for size, first, last, length, stride in zip(x[2:], before, after, reach, strides, strict=True)
        )
        return _Window(strides, dilations, tuple(before), outputs)

    def _pads(self, sizes: Shape, reach: list[int], strides: Shape) -> tuple[list[int], list[int]]:
        """Padding before and after each spatial axis."""
        automatic = self._attributes.get_string("auto_pad", "NOTSET")
        axes = len(sizes)
        if automatic in ("NOTSET", "VALID"):
            pads = self._attributes.get_ints("pads", [0] * (2 * axes)) if automatic == "NOTSET" else [0] * (2 * axes)
            return list(pads[:axes]), list(pads[axes:])
        total = [
            max((-(-size // stride) - 1) * stride + length - size, 0)
            for size, stride, length in zip(sizes, strides, reach, strict=True)
        ]
        small, large = [pad // 2 for pad in total], [pad - pad // 2 for pad in total]
        return (small, large) if automatic == "SAME_UPPER" else (large, small)

    def _reached(
        self, events: Events, shape: Shape, weights: Shape, window: _Window
    ) -> Iterator[tuple[int, tuple[NDArray[np.int64], NDArray[np.int64], Float64]]]:
        """For each element of the kernel, the spikes that it meets: channels, flat output positions, and values."""
        batch, channel, *place = np.unravel_index(events.elements, shape)
        for number, offset in enumerate(itertools.product(*map(range, weights[2:]))):
            valid, position = np.ones(len(events.elements), bool), batch
            for axis, size in enumerate(window.outputs):
                shifted = place[axis] + window.before[axis] - offset[axis] * window.dilations[axis]
                where, rest = np.divmod(shifted, window.strides[axis])
                valid &= (rest == 0) & (where >= 0) & (where < size)
                position = position * size + where
            yield number, (channel[valid], position[valid], events.value[valid])
