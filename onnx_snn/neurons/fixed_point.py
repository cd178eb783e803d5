# SPDX-License-Identifier: Apache-2.0
"""Word lengths with which a neuron has the same bits in integers, by interval arithmetic on its parameters.

Let g be the largest power of two of which all thresholds and finite resets are multiples. Then the spikes depend on the
charge u = (x - u_rest) * gain through floor(u / g) alone, since u >= m g is floor(u / g) >= m, and floor(u / g - m) is
floor(u / g) - m. The membrane is that integer, within limits beyond which nothing changes:

    highest  = max over t and n of threshold[t, n] + sum over s < t of reset[s, n]        every step fires
    lowest   = min over t and n of threshold[t, n] - g                                    no step fires
    smallest = min(lowest, min over t and n of threshold[t, n] - reset[t, n])             after a spike

The loop of the definition subtracts in float32. Its subtractions are exact, and so the same as those of integers, where
0 <= reset <= threshold and highest <= 2**24 g. Other neurons round within the loop, and have no such word length.

The answer is an integer in units of unit(weight) * unit(intensity), or of unit(bias) where that is finer. So is every
partial sum of it, in any order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from onnx_snn.arrays import Float32
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.parameter_checks import output_sums, unit

EXACT_BITS = 24
"""Bits of a float32 number."""


@dataclass(frozen=True)
class Word:
    """Integers from `lowest` to `highest`, in units of 2**`exponent`.

    Attributes:
        exponent: exponent of the unit.
        lowest: the smallest integer.
        highest: the largest integer.
    """

    exponent: int
    lowest: int
    highest: int

    @property
    def signed(self) -> bool:
        """Whether there are negative integers."""
        return self.lowest < 0

    @property
    def bits(self) -> int:
        """Bits of the integers, in two's complement where they are signed."""
        if not self.signed:
            return self.highest.bit_length()
        return 1 + max(max(self.highest, 0).bit_length(), (-self.lowest - 1).bit_length())

    def text(self) -> str:
        """The word as `u8 * 2^-7`: unsigned or signed, bits, and unit."""
        return f"{'s' if self.signed else 'u'}{self.bits} * 2^{self.exponent}"


@dataclass(frozen=True)
class FixedPoint:
    """Word lengths of a neuron.

    Attributes:
        membrane: the membrane potential of a basis; None where `reason` tells why there is none.
        weight: the readout weights.
        shifts: number of readout weights that are powers of two or 0, of which a product is a shift.
        answer: the answer before the scale, and all of its partial sums; signed where the neuron is odd.
        reason: why the membrane has no word length with the same bits; empty where it has one.
    """

    membrane: Word | None
    weight: Word
    shifts: int
    answer: Word
    reason: str = ""


def fixed_point(neuron: MbeNeuron) -> FixedPoint:
    """The word lengths of `neuron`."""
    weight = _word(unit(neuron.weight), float(neuron.weight.min()), float(neuron.weight.max()))
    most, answer_unit = output_sums(neuron.intensity, neuron.weight, neuron.bias)
    lowest = -most if neuron.polarity or _may_be_negative(neuron) else 0.0
    answer = _word(answer_unit, lowest, most)
    mantissas, _ = np.frexp(np.abs(neuron.weight))
    shifts = int(((mantissas == 0.5) | (neuron.weight == 0)).sum())
    reason = _why_not(neuron)
    return FixedPoint(None if reason else _membrane(neuron), weight, shifts, answer, reason)


def _membrane(neuron: MbeNeuron) -> Word:
    lowest, highest = _membrane_range(neuron)
    return _word(_grid(neuron), lowest, highest)


def _membrane_range(neuron: MbeNeuron) -> tuple[float, float]:
    """The smallest and the largest potential that differ in what follows, in units of the potential."""
    threshold, reset = neuron.threshold.astype(np.float64), _finite_resets(neuron)
    before = np.cumsum(np.vstack([np.zeros((1, neuron.bases)), reset[:-1]]), axis=0)
    highest = float((threshold + before).max())
    later = np.where(np.isinf(neuron.reset), np.inf, threshold - reset)
    return min(float(threshold.min()) - _grid(neuron), float(later.min())), highest


def _why_not(neuron: MbeNeuron) -> str:
    """Why subtractions in the loop are not those of integers; empty where they are."""
    finite = _finite_resets(neuron)
    if (finite < 0).any() or (finite > neuron.threshold).any():
        return "a reset is negative or above its threshold"
    lowest, highest = _membrane_range(neuron)
    largest = max(abs(lowest), abs(highest))
    if largest > 2.0**EXACT_BITS * _grid(neuron):
        return f"its steps lie on a grid of {_grid(neuron):g}, of which {largest:g} has more than {EXACT_BITS} bits"
    return ""


def _finite_resets(neuron: MbeNeuron) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The resets, float64 [S, N], 0 in place of infinity."""
    return np.where(np.isinf(neuron.reset), 0.0, neuron.reset.astype(np.float64))


def _grid(neuron: MbeNeuron) -> float:
    """The largest power of two of which all thresholds and finite resets are multiples."""
    values: Float32 = np.concatenate([neuron.threshold.ravel(), neuron.reset[np.isfinite(neuron.reset)]])
    return unit(values) if values.any() else 1.0


def _may_be_negative(neuron: MbeNeuron) -> bool:
    """Whether a partial sum of the answer can be negative."""
    return bool((neuron.weight < 0).any() or (neuron.intensity < 0).any() or neuron.bias < 0)


def _word(step: float, lowest: float, highest: float) -> Word:
    """The integers from `lowest` to `highest` in units of `step`, a power of two; those of 0 alone have a step of 1."""
    step = step if math.isfinite(step) else 1.0
    return Word(math.frexp(step)[1] - 1, math.floor(lowest / step), math.ceil(highest / step))
