# SPDX-License-Identifier: Apache-2.0
"""The error at the outputs of a network, without labels.

A shift of all values of a row, such as all logits of a prediction, changes neither their order nor their softmax. Nor
does the common level of a row tell how large a change of it is. So errors and signals are both taken relative to the
mean of the row:

    relative error**2 = mean_rows |d - mean(d)|**2 / mean_rows |y - mean(y)|**2,   d = spiking output - y

for rows y along the last axis; rows of one element are taken as they are. Decisions are lost in the rows of large
errors, and a classifier may be saturated in most rows of its training data, where nothing moves its output. So what is
held within the budget is the error of the worst rows: the mean of d is taken over the quarter of largest errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float64

Outputs = Mapping[str, NDArray[Any]]


class OutputErrors:
    """Errors at the outputs of a network over some runs.

    Args:
        expected: outputs of the original network, by name, of each run.

    Attributes:
        names: the floating-point outputs whose rows are not all constant.
    """

    def __init__(self, expected: Sequence[Outputs]) -> None:
        self.expected = expected
        signals = {
            name: sum(float(_squares(outputs[name]).sum()) for outputs in expected) for name in _floating(expected)
        }
        self._signals = {name: signal for name, signal in signals.items() if signal > 0.0}
        self.names = tuple(self._signals)

    def squares(self, actual: Iterable[Outputs], *, share: float = 1.0) -> dict[str, float]:
        """Squared relative error of each output, for the outputs of the spiking network in the first runs.

        Args:
            actual: outputs of the spiking network by name, run by run.
            share: share of the rows over which errors are averaged: those of the largest ones.
        """
        runs = zip(self.expected, actual, strict=False)
        return self.combined([row_errors(exact, outputs, self.names) for exact, outputs in runs], share=share)

    def combined(self, rows: Sequence[Mapping[str, Float64]], *, share: float = 1.0) -> dict[str, float]:
        """As `squares`, from the `row_errors` of the first runs."""
        signals = {name: [_squares(exact[name]) for exact in self.expected[: len(rows)]] for name in self.names}
        return {
            name: _ratio(
                _worst(np.concatenate([errors[name] for errors in rows]), share),
                float(np.concatenate(signals[name]).mean()),
            )
            for name in self.names
        }


def row_errors(exact: Outputs, actual: Outputs, names: Iterable[str]) -> dict[str, Float64]:
    """Squared error of each row of the outputs `names` of one run, float64 [rows]; infinite where decisions differ."""
    return {name: _difference(exact[name], actual[name]) for name in names}


def _worst(squares: Float64, share: float) -> float:
    """Mean of the largest `share` of `squares` [rows]."""
    count = max(1, math.ceil(share * squares.size))
    return float(np.partition(squares, squares.size - count)[-count:].mean())


def _floating(expected: Sequence[Outputs]) -> list[str]:
    """Names of the outputs that hold floating-point numbers."""
    return [name for name, array in expected[0].items() if array.dtype.kind == "f"] if expected else []


def _ratio(error: float, signal: float) -> float:
    return error / signal if signal else (math.inf if error else 0.0)


def _difference(exact: NDArray[Any], actual: NDArray[Any]) -> Float64:
    """Squared error of each row where `exact` is finite; infinite where shapes differ: other decisions inside."""
    if exact.shape != actual.shape:
        return np.array([np.inf])
    finite = np.isfinite(exact)
    difference = np.where(finite, actual, 0.0).astype(np.float64) - np.where(finite, exact, 0.0)
    squares = _squares(difference)
    return squares if np.isfinite(difference).all() else np.full_like(squares, np.inf)


def _squares(array: NDArray[Any]) -> Float64:
    """Sum of squares of the finite elements of each row relative to its mean, float64 [rows]."""
    values: Float64 = np.where(np.isfinite(array), array, 0.0).astype(np.float64)
    if values.ndim == 0 or values.shape[-1] <= 1:
        return np.asarray(values.reshape(-1) ** 2)
    rows = values.reshape(-1, values.shape[-1])
    return np.asarray(((rows - rows.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1))
