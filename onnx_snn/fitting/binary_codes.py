# SPDX-License-Identifier: Apache-2.0
"""Binary codes: of the codes with few segments those that fire least for the error that they make.

A code cuts the magnitude at knots K_n into segments of M = 2**T - 1 levels each:

    K_0 = 0,   K_n+1 = K_n + M * L_n,   L_n = L_0 * 2**p_n,   0 = p_0 <= p_1 <= ...

A value in segment n fires once for each segment below, by the gates of their bases (T times without a gate), and once
for each bit of its level k = floor((x - K_n) / L_n + 1/2). Levels of typical values hence decide the spikes as much
as the error: half a level more of resolution costs half a spike, another segment below costs a whole one. Few codes
are worth considering, so all of them are tried on the histogram, and what remains is their **Pareto front**: no code of
it is bettered in both error and spikes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from onnx_snn.config.convert_config import Allowance
from onnx_snn.config.neuron_settings import BinaryCode
from onnx_snn.fitting.density import Density
from onnx_snn.fitting.identity_code import code_of_levels
from onnx_snn.fitting.judgement import Sample, codes_on_front
from onnx_snn.neurons.mbe import MAX_TIMESTEPS, MbeNeuron

Float64 = NDArray[np.float64]

MOST_SEGMENTS = 4
"""Most segments of a code. A fifth one is bought by a spike that resolution would use better."""

MOST_OCTAVES = 7
"""Maximum step-size ratio of adjacent segments, in octaves. More would leave coarse what lies between."""

MANTISSAS = 1.0 + np.arange(8) / 8.0
"""Values that the mantissa of L_0 can have, and with it that of every L_n: all levels are whole multiples of L_0."""


@dataclass(frozen=True)
class JudgedBinaryCode:
    """A binary code with what it costs.

    Attributes:
        levels: size of a level of each segment, ascending.
        timesteps: bits T of each segment.
        error: root mean square of the error over that of the signal.
        spikes: mean over the elements.
    """

    levels: tuple[float, ...]
    timesteps: int
    error: float
    spikes: float

    @property
    def octaves(self) -> tuple[int, ...]:
        """The exponents p_n of its segments."""
        return tuple(round(math.log2(size / self.levels[0])) for size in self.levels)

    def neuron(self, *, one_sided: bool, gate: bool) -> MbeNeuron:
        """The code as a neuron, for signals that are never negative or for any."""
        return code_of_levels(np.array(self.levels), self.timesteps, polarity=0 if one_sided else 1, gate=gate)


def binary_codes(
    density: Density, timesteps: int, *, limit: float, importance: Float64 | None = None, gate: bool = True
) -> list[JudgedBinaryCode]:
    """The Pareto front of the binary codes up to `limit`, from the fewest spikes to the smallest error.

    Args:
        density: of the signal's magnitude.
        timesteps: bits T of each segment.
        limit: the largest magnitude that a code must reach.
        importance: float64 [M], how much a squared error counts at each point; None for alike.
        gate: whether a saturated basis fires once instead of T times.
    """
    sample = Sample.of(density, importance)
    codes: list[JudgedBinaryCode] = []
    for segments in range(1, MOST_SEGMENTS + 1):
        levels = _level_sizes(segments, timesteps, limit)
        answers, fired = _responses(sample.points, levels, timesteps, gate=gate)
        codes += [
            JudgedBinaryCode(tuple(sizes), timesteps, float(error), float(mean))
            for sizes, error, mean in zip(levels.tolist(), sample.errors(answers), sample.spikes(fired), strict=True)
        ]
    return codes_on_front(codes, lambda code: (len(code.levels), code.levels))


def within_allowance(codes: list[JudgedBinaryCode], allowance: Allowance) -> JudgedBinaryCode | None:
    """The most exact code of as many spikes as allowed; if that errs too much, the first one that does not, or None.

    Args:
        codes: a Pareto front.
        allowance: what may be spent.
    """
    affordable = [code for code in codes if code.spikes <= allowance.spikes]
    if affordable and affordable[-1].error <= allowance.error:
        return affordable[-1]
    return next((code for code in codes if code.error <= allowance.error), None)


def binary_code(code: BinaryCode, timesteps: int, limit: float, *, one_sided: bool, gate: bool) -> MbeNeuron:
    """The code of given octaves up to `limit` as a neuron, for signals that are never negative or for any."""
    (levels,) = level_sizes(np.array([code.octaves], np.float64), timesteps, limit)
    return code_of_levels(levels, timesteps, polarity=0 if one_sided else 1, gate=gate)


def _level_sizes(segments: int, timesteps: int, limit: float) -> Float64:
    """Sizes of the levels of all codes with N = `segments` that just reach `limit`, ascending: [C, N]."""
    return level_sizes(np.array(list(_exponents(segments, timesteps)), np.float64), timesteps, limit)


def level_sizes(octaves: Float64, timesteps: int, limit: float) -> Float64:
    """Sizes of the levels of codes of given `octaves` p_n [C, N] that just reach `limit`: [C, N]."""
    relative = np.exp2(octaves)
    needed = limit / ((2.0**timesteps - 1.0) * relative.sum(axis=1))
    fraction, exponent = np.frexp(needed)
    # The next mantissa above; above the largest one comes the next power of two.
    mantissa = np.append(MANTISSAS, 2.0)[np.searchsorted(MANTISSAS, 2.0 * fraction)]
    finest: Float64 = np.ldexp(mantissa, exponent - 1)
    return finest[:, None] * relative


def _exponents(segments: int, timesteps: int) -> Iterator[tuple[int, ...]]:
    """p_0 .. p_N-1 of all codes."""
    # A float32 holds 24 bits: those of a level, of its mantissa, and these octaves.
    octaves = max(24 - timesteps - 4, MAX_TIMESTEPS - timesteps)
    for steps in itertools.product(range(MOST_OCTAVES + 1), repeat=segments - 1):
        exponents = tuple(itertools.accumulate(steps, initial=0))
        if exponents[-1] <= octaves:
            yield exponents


def _responses(points: Float64, levels: Float64, timesteps: int, *, gate: bool) -> tuple[Float64, Float64]:
    """What codes of `levels` [C, N] answer to `points` [P], and the spikes that they fire: [C, P] both."""
    most = 2**timesteps - 1
    fired_by = _fired(timesteps, gate)
    answers = np.zeros((len(levels), points.size))
    fired = np.zeros_like(answers)
    knots = np.zeros((len(levels), 1))
    for size in levels.T[:, :, None]:
        k = np.clip(np.floor((points - knots) / size + 0.5), 0, most)
        answers += k * size
        fired += fired_by[k.astype(np.intp)]
        knots = knots + most * size
    return answers, fired


@cache
def _fired(timesteps: int, gate: bool) -> Float64:
    """Spikes of a basis by its level k, float64 [2**T]."""
    levels = np.arange(2**timesteps)
    bits = sum((levels >> bit & 1 for bit in range(timesteps)), np.zeros_like(levels))
    if gate:
        bits[-1] = 1
    return bits.astype(np.float64)
