# SPDX-License-Identifier: Apache-2.0
"""The error at the outputs of a network, without labels.

A shift of all values of a row, such as all logits of a prediction, changes neither their order nor their softmax. Nor
does the common level of a row tell how large a change of it is. So errors and signals are both taken relative to the
mean of the row:

    relative error**2 = sum_rows |d - mean(d)|**2 / sum_rows |y - mean(y)|**2,   d = spiking output - y

for rows y along the last axis; rows of one element are taken as they are.
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
        signals = {name: sum(_square(outputs[name]) for outputs in expected) for name in _floating(expected)}
        self._signals = {name: signal for name, signal in signals.items() if signal > 0.0}
        self.names = tuple(self._signals)

    def squares(self, actual: Iterable[Outputs]) -> dict[str, float]:
        """Squared relative error of each output, for the outputs of the spiking network in the first runs."""
        errors, signals = dict.fromkeys(self.names, 0.0), dict.fromkeys(self.names, 0.0)
        for exact, outputs in zip(self.expected, actual, strict=False):
            for name in self.names:
                errors[name] += _difference(exact[name], outputs[name])
                signals[name] += _square(exact[name])
        return {name: _ratio(errors[name], signals[name]) for name in self.names}


def _floating(expected: Sequence[Outputs]) -> list[str]:
    """Names of the outputs that hold floating-point numbers."""
    return [name for name, array in expected[0].items() if array.dtype.kind == "f"] if expected else []


def _ratio(error: float, signal: float) -> float:
    return error / signal if signal else (math.inf if error else 0.0)


def _difference(exact: NDArray[Any], actual: NDArray[Any]) -> float:
    """Squared error where `exact` is finite; infinite where shapes differ, since other decisions were taken inside."""
    if exact.shape != actual.shape:
        return math.inf
    finite = np.isfinite(exact)
    difference = np.where(finite, actual, 0.0).astype(np.float64) - np.where(finite, exact, 0.0)
    return _square(difference) if np.isfinite(difference).all() else math.inf


def _square(array: NDArray[Any]) -> float:
    """Sum of squares of the finite elements relative to the means of their rows."""
    values: Float64 = np.where(np.isfinite(array), array, 0.0).astype(np.float64)
    if values.ndim and values.shape[-1] > 1:
        values = values - values.mean(axis=-1, keepdims=True)
    return float((values**2).sum())
