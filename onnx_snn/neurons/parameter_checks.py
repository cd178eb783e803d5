# SPDX-License-Identifier: Apache-2.0
"""Checks of a neuron's parameters: values in their ranges, and sums that are exact.

A sum is exact if all terms are multiples of a power of two that is coarse enough for the type of the sum.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from onnx_snn.arrays import Float32
from onnx_snn.errors import NeuronError

LARGEST_GAIN = 2.0**111
"""Largest magnitude of a gain. Closed forms compute levels by the factor gain * 2**(T-1), which must be finite in
float32."""

SMALLEST_SUM = 2.0**-149
"""Smallest unit of the output sum: the smallest positive float32. A sum in finer units could round to a zero whose sign
depends on the implementation."""


def check_values(tensors: Mapping[str, Float32]) -> None:
    """Check that parameters are finite (resets may be +inf) and gains neither 0 nor too large.

    Args:
        tensors: the parameter tensors by field name.

    Raises:
        NeuronError: a value is out of its range.
    """
    for name, array in tensors.items():
        allowed = np.isfinite(array) | (array == np.inf) if name == "reset" else np.isfinite(array)
        if not allowed.all():
            raise NeuronError(f"{name} holds {array[~allowed].flat[0]}; expected finite values")
    gain = tensors["gain"]
    # With a gain of 0 an infinite x gives NaN, which the closed forms do not treat as a silent basis.
    unusable = (gain == 0) | (np.abs(gain) > LARGEST_GAIN)
    if unusable.any():
        raise NeuronError(f"gain holds {gain[unusable][0]}; expected magnitudes above 0 and up to 2**111")


def check_exact_sums(intensity: Float32, weight: Float32, bias: Float32) -> None:
    """Check that the sums of a neuron are exact in any order of summation.

    Every o_n must be exact in float32 (24 bits), and bias + sum_n weight_n * o_n in float64 (53 bits), in units of
    `SMALLEST_SUM` or larger.

    Args:
        intensity: intensities, float32 [S, N].
        weight: readout weights, float32 [N].
        bias: float32 scalar.

    Raises:
        NeuronError: a sum needs more bits, or has a smaller unit.
    """
    o_unit = unit(intensity)
    o_most = np.abs(intensity).astype(np.float64).sum(axis=0)
    if o_most.max() > o_unit * 2.0**24:
        raise NeuronError(_inexact("intensity sums", o_most.max(), o_unit, "float32, 2**24"))
    y_most, y_unit = output_sums(intensity, weight, bias)
    if y_most > y_unit * 2.0**53:
        raise NeuronError(_inexact("weight and bias sum", y_most, y_unit, "float64, 2**53"))
    if y_unit < SMALLEST_SUM:
        raise NeuronError(f"weight and bias sum in units of {y_unit:g}, below the smallest float32: coarsen the grid")


def sums_are_exact_in_float32(intensity: Float32, weight: Float32, bias: Float32) -> bool:
    """Whether bias + sum_n weight_n * o_n is exact in float32 in any order of summation (24 bits)."""
    y_most, y_unit = output_sums(intensity, weight, bias)
    return y_most <= y_unit * 2.0**24


def output_sums(intensity: Float32, weight: Float32, bias: Float32) -> tuple[float, float]:
    """Largest magnitude of a partial sum of bias + sum_n weight_n * o_n, and the unit of all of them."""
    o_most = np.abs(intensity).astype(np.float64).sum(axis=0)
    y_most = float(np.abs(weight).astype(np.float64) @ o_most + abs(float(bias)))
    return y_most, min(unit(weight) * unit(intensity), unit(bias))


def _inexact(what: str, most: float, grid: float, exact: str) -> str:
    """Message for the sums `what` of at most `most` in units of `unit`, which exceed the range `exact`."""
    return f"{what} to {most:g} in units of {grid:g}, beyond what is exact in {exact}: coarsen the grid"


def unit(values: Float32) -> float:
    """The largest power of two of which every value is a multiple; infinity if all are 0."""
    mantissa, exponent = np.frexp(values[values != 0].astype(np.float64))
    if mantissa.size == 0:
        return float("inf")
    integer = (mantissa * 2.0**24).astype(np.int64)
    lowest_bit = integer & -integer
    return float((lowest_bit * 2.0 ** (exponent - 24)).min())
