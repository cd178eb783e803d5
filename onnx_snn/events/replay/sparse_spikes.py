# SPDX-License-Identifier: Apache-2.0
"""Spikes as sparse matrices (SciPy), whose product with weights adds one row of weights for each spike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float64
from onnx_snn.events.spike_events import Events
from onnx_snn.extras import required
from onnx_snn.graph.shapes import Shape


def spike_rows(events: Events, shape: Shape) -> Any:
    """The spikes of an operand as a matrix [all its rows, its last axis]."""
    length, rows = shape[-1], math.prod(shape[:-1])
    starts = np.searchsorted(events.elements, np.arange(rows + 1) * length)
    return _sparse().csr_array((events.value, events.elements % length, starts), shape=(rows, length))


def spikes_at(rows: NDArray[np.int64], columns: NDArray[np.int64], value: Float64, shape: Shape) -> Any:
    """Spikes of the given `value` at `rows` and `columns` of a matrix of `shape`; those at one place add up."""
    return _sparse().coo_array((value, (rows, columns)), shape=shape).tocsr()


def batched(spikes: Any, shape: Shape, columns: Float64) -> Float64:
    """The products of the matrices of spikes, of the last two axes of `shape`, with the matrices [..., K, Q] `columns`.

    Leading axes are broadcast.
    """
    lead = np.broadcast_shapes(shape[:-2], columns.shape[:-2])
    own = np.broadcast_to(np.arange(math.prod(shape[:-2])).reshape(shape[:-2]), lead)
    wide = np.broadcast_to(columns, (*lead, *columns.shape[-2:]))
    summed = np.empty((*lead, shape[-2], columns.shape[-1]))
    for place in np.ndindex(*lead):
        first = int(own[place]) * shape[-2]
        summed[place] = spikes[first : first + shape[-2]] @ wide[place]
    return summed


def _sparse() -> Any:
    return required("scipy.sparse", "a product of single spikes", "replay")
