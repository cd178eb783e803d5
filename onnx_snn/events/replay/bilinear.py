# SPDX-License-Identifier: Apache-2.0
"""The bilinear operators as synapses: what a spike of one operand adds to the outputs, given the other operand.

Every operator has two implementations in float64: `dense`, the product of two arrays, and `accumulated`, the sum of the
rows of one operand that the spikes of the other select. The latter are products of a sparse matrix of spikes (SciPy).
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.arrays import Float64
from onnx_snn.events.replay.sparse_spikes import batched, spike_rows
from onnx_snn.events.spike_events import Events
from onnx_snn.graph.shapes import Shape


class Bilinear(Protocol):
    """A product of two operands, without summands such as the bias of a convolution."""

    def dense(self, a: Float64, b: Float64, /) -> Float64:
        """The product of two arrays."""

    def connections(self, a: Float64, b: Float64, /) -> float:
        """The sum of all elementary products a_i b_j, for counts a and b."""

    def accumulated(self, place: int, events: Events, shape: Shape, other: Float64, /) -> Float64:
        """The sum over the spikes `events` of an operand of `shape` at `place` (0 or 1); `other` is the other one."""

    def synapses(self, place: int, events: Events, shape: Shape, other: Shape, /) -> int:
        """Number of accumulations that the spikes cause; `other` is the shape of the other operand."""


class MatMul:
    """Matrix product over the last axis of a and the last but one of b, with broadcast leading axes."""

    def dense(self, a: Float64, b: Float64) -> Float64:
        """The product of two arrays."""
        return np.asarray(np.matmul(a, b))

    def connections(self, a: Float64, b: Float64) -> float:
        """The sum of all elementary products."""
        return float(self.dense(a, b).sum())

    def accumulated(self, place: int, events: Events, shape: Shape, other: Float64) -> Float64:
        """The sum over the spikes `events`; see `Bilinear`."""
        own, wide = _matrix_shape(shape, place), other.reshape(_matrix_shape(other.shape, 1 - place))
        if place == 0:
            summed = _rows_added(events, own, wide)
        else:
            # A B = (B' A')', so that the spikes are always those of the left operand.
            turned, turned_shape = _transposed_events(events, own)
            summed = np.swapaxes(_rows_added(turned, turned_shape, np.swapaxes(wide, -1, -2)), -1, -2)
        ranks = (len(shape), other.ndim) if place == 0 else (other.ndim, len(shape))
        return summed.squeeze(tuple(axis for axis, rank in zip((-2, -1), ranks, strict=True) if rank == 1))

    def synapses(self, place: int, events: Events, shape: Shape, other: Shape) -> int:
        """Number of accumulations that the spikes cause."""
        own, wide = _matrix_shape(shape, place), _matrix_shape(other, 1 - place)
        repeated = math.prod(np.broadcast_shapes(own[:-2], wide[:-2])) // max(math.prod(own[:-2]), 1)
        return len(events.elements) * wide[-1 if place == 0 else -2] * repeated


class Gemm:
    """alpha * op(a) op(b), where op may transpose."""

    def __init__(self, node: ir.Node) -> None:
        self._alpha = node.attributes.get_float("alpha", 1.0)
        self._turned = [bool(node.attributes.get_int(name, 0)) for name in ("transA", "transB")]
        self._matmul = MatMul()

    def dense(self, a: Float64, b: Float64) -> Float64:
        """The product of two arrays."""
        return self._alpha * self._matmul.dense(self._oriented(0, a), self._oriented(1, b))

    def connections(self, a: Float64, b: Float64) -> float:
        """The sum of all elementary products."""
        return self._matmul.connections(self._oriented(0, a), self._oriented(1, b))

    def accumulated(self, place: int, events: Events, shape: Shape, other: Float64) -> Float64:
        """The sum over the spikes `events`; see `Bilinear`."""
        own = _transposed_events(events, shape) if self._turned[place] else (events, shape)
        return self._alpha * self._matmul.accumulated(place, *own, self._oriented(1 - place, other))

    def synapses(self, place: int, events: Events, shape: Shape, other: Shape) -> int:
        """Number of accumulations that the spikes cause."""
        oriented = other[::-1] if self._turned[1 - place] else other
        return self._matmul.synapses(place, events, shape, oriented)

    def _oriented(self, place: int, operand: Float64) -> Float64:
        return operand.T if self._turned[place] else operand


class Mul:
    """Elementwise product with broadcasting."""

    def dense(self, a: Float64, b: Float64) -> Float64:
        """The product of two arrays."""
        return np.asarray(a * b)

    def connections(self, a: Float64, b: Float64) -> float:
        """The sum of all elementary products."""
        return float(self.dense(a, b).sum())

    def accumulated(self, _: int, events: Events, shape: Shape, other: Float64) -> Float64:
        """The sum over the spikes `events`; see `Bilinear`."""
        own = np.zeros(math.prod(shape))
        own[events.elements] = events.value
        return np.asarray(own.reshape(shape) * other)

    def synapses(self, _: int, events: Events, shape: Shape, other: Shape) -> int:
        """Number of accumulations that the spikes cause."""
        return len(events.elements) * (math.prod(np.broadcast_shapes(shape, other)) // max(math.prod(shape), 1))


def _rows_added(events: Events, shape: Shape, columns: Float64) -> Float64:
    """The sum of the rows of `columns` [..., K, Q] that the spikes of a left operand of `shape` [..., P, K] select."""
    spikes = spike_rows(events, shape)
    if columns.ndim == 2:
        return np.asarray(spikes @ columns).reshape(*shape[:-1], columns.shape[-1])
    return batched(spikes, shape, columns)


def _matrix_shape(shape: Shape, place: int) -> Shape:
    """`shape`, or that of a vector as a row at place 0, as a column at place 1."""
    if len(shape) > 1:
        return shape
    return (1, *shape) if place == 0 else (*shape, 1)


def _transposed_events(events: Events, shape: Shape) -> tuple[Events, Shape]:
    """The same spikes of the operand with its last two axes exchanged, and its shape."""
    rows, columns = shape[-2:]
    batch, inner = np.divmod(events.elements, rows * columns)
    row, column = np.divmod(inner, columns)
    elements = batch * (rows * columns) + column * rows + row
    order: NDArray[np.int64] = np.argsort(elements)
    return Events(elements[order], events.value[order]), (*shape[:-2], columns, rows)
