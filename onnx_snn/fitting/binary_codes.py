# SPDX-License-Identifier: Apache-2.0
"""Binary codes: sparse codes of few segments, as the Pareto front of error and spikes.

A code cuts the magnitude at knots K_n into segments of M = 2**T - 1 levels each:

    K_0 = 0,   K_n+1 = K_n + M * L_n,   L_n = L_0 * 2**p_n,   0 = p_0 <= p_1 <= ...

A value in segment n fires once in each segment below, by the gates of their bases (T times without a gate), and once
for each set bit of its level k = floor((x - K_n) / L_n + 1/2). The levels of typical values thus determine the spikes
as much as the error: one more bit of resolution costs half a spike, a further segment below costs a whole one. The
candidates are few, so all of them are evaluated on the histogram. The result is their **Pareto front**: the codes than
which no other one is better in both error and spikes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from onnx_snn.arrays import Float64
from onnx_snn.config.allowances import Allowance
from onnx_snn.config.neuron_settings import BinaryCode
from onnx_snn.fitting.density import Density, calibrated_density
from onnx_snn.fitting.identity_code import code_of_levels
from onnx_snn.fitting.knot_search import Target
from onnx_snn.fitting.level_search import best_exponents
from onnx_snn.fitting.ratings import Sample, codes_on_front
from onnx_snn.neurons.mbe import MAX_TIMESTEPS, MbeNeuron

MOST_SEGMENTS = 4
"""Largest number of segments of the codes that are all tried. A fifth one costs a spike that lowers the error more as
resolution, where T leaves any."""

MANY_SEGMENTS_TIMESTEPS = 8
"""Largest T at which codes of more segments are tried too: their few levels cannot be exact otherwise."""

SEGMENTS_OF_OCTAVE = ((1, 2, 3, 4, 6, 8, 12, 16), (0, 1, 2, 3, 4, 8), (0, 1, 2, 4))
"""Numbers of segments of these codes at octaves 0, 1 and 2."""

COARSE_OCTAVES = ((4,), (3, 5), (3, 4, 6))
"""Octaves of their further segments, for the few values far above the others."""

EXACT_SEGMENTS = (8, 16, 32)
"""Numbers of segments for which the code of least error is tried too."""

MOST_OCTAVES = 7
"""Maximum level-size ratio of adjacent segments, in octaves. With more, values just above a knot are too coarse."""

MANTISSAS = 1.0 + np.arange(8) / 8.0
"""Mantissas that L_0 can have. All L_n have the same mantissa, so that levels are integer multiples of L_0."""


@dataclass(frozen=True)
class RatedBinaryCode:
    """A binary code with its error and spikes on a density.

    Attributes:
        levels: level size L_n of each segment, ascending.
        timesteps: bits T of each segment.
        error: root mean square of the error over that of the signal.
        spikes: mean spikes per element.
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
        """The code as a neuron; with `one_sided`, for signals that are never negative."""
        return code_of_levels(np.array(self.levels), self.timesteps, polarity=0 if one_sided else 1, gate=gate)


def binary_codes(
    density: Density, timesteps: int, *, limit: float, importance: Float64 | None = None, gate: bool = True
) -> list[RatedBinaryCode]:
    """The Pareto front of the binary codes up to `limit`, from the fewest spikes to the smallest error.

    Args:
        density: distribution of the signal's magnitude, on M points.
        timesteps: bits T of each segment.
        limit: largest magnitude that a code must represent.
        importance: weight of a squared error at each point, float64 [M]; None for equal weights.
        gate: whether a saturated basis fires once instead of T times.
    """
    sample = Sample.of(density, importance)
    codes: list[RatedBinaryCode] = []
    for segments in range(1, MOST_SEGMENTS + 1):
        levels = _level_sizes(segments, timesteps, limit)
        codes += _rated(sample, levels, timesteps, gate=gate)
    if timesteps <= MANY_SEGMENTS_TIMESTEPS:
        for octaves in (*_many_segments(), *_octaves_of_least_error(density, timesteps, limit)):
            codes += _rated(sample, level_sizes(octaves, timesteps, limit), timesteps, gate=gate)
    return codes_on_front(codes, lambda code: (len(code.levels), code.levels))


def _rated(sample: Sample, levels: Float64, timesteps: int, *, gate: bool) -> list[RatedBinaryCode]:
    """The codes with `levels` [C, N] with their errors and spikes."""
    outputs, spikes = _responses(sample.points, levels, timesteps, gate=gate)
    figures = zip(levels.tolist(), sample.errors(outputs), sample.spikes(spikes), strict=True)
    return [RatedBinaryCode(tuple(sizes), timesteps, float(error), float(mean)) for sizes, error, mean in figures]


@cache
def _many_segments() -> tuple[Float64, ...]:
    """Octaves [C, N] of the codes of more than `MOST_SEGMENTS` segments that are tried, for each N."""
    by_number: dict[int, list[tuple[int, ...]]] = {}
    for *numbers, coarse in itertools.product(*SEGMENTS_OF_OCTAVE, COARSE_OCTAVES):
        octaves = (*(octave for octave, number in enumerate(numbers) for _ in range(number)), *coarse)
        if len(octaves) > MOST_SEGMENTS:
            by_number.setdefault(len(octaves), []).append(octaves)
    return tuple(np.array(octaves, np.float64) for octaves in by_number.values())


def _octaves_of_least_error(density: Density, timesteps: int, limit: float) -> Iterator[Float64]:
    """Yield the octaves [1, N] of the code of least mean squared error for each N of `EXACT_SEGMENTS`."""
    points, mass = calibrated_density(density.points, density.mass, 0.0, limit)
    target = Target(points, points, mass, anchored=True, reach=limit)
    for segments in EXACT_SEGMENTS:
        exponents = best_exponents(target, segments, timesteps)
        yield np.asarray([exponents - exponents[0]], np.float64)


def within_allowance(codes: list[RatedBinaryCode], allowance: Allowance) -> RatedBinaryCode | None:
    """The most exact code within the allowed spikes; if its error is too large, the sparsest one within the error.

    Args:
        codes: a Pareto front, from the fewest spikes to the smallest error.
        allowance: limits of spikes and error.

    Returns:
        The code, or None where the error of all codes is too large.
    """
    affordable = [code for code in codes if code.spikes <= allowance.spikes]
    if affordable and affordable[-1].error <= allowance.error:
        return affordable[-1]
    return next((code for code in codes if code.error <= allowance.error), None)


def binary_code(code: BinaryCode, timesteps: int, limit: float, *, one_sided: bool, gate: bool) -> MbeNeuron:
    """The code with the octaves of `code` up to `limit` as a neuron; with `one_sided`, for signals never negative."""
    (levels,) = level_sizes(np.array([code.octaves], np.float64), timesteps, limit)
    return code_of_levels(levels, timesteps, polarity=0 if one_sided else 1, gate=gate)


def _level_sizes(segments: int, timesteps: int, limit: float) -> Float64:
    """Level sizes [C, N] of all codes with N = `segments` that just reach `limit`, ascending."""
    return level_sizes(np.array(list(_exponents(segments, timesteps)), np.float64), timesteps, limit)


def level_sizes(octaves: Float64, timesteps: int, limit: float) -> Float64:
    """Level sizes [C, N] of codes with the exponents p_n = `octaves` [C, N] that just reach `limit`."""
    relative = np.exp2(octaves)
    needed = limit / ((2.0**timesteps - 1.0) * relative.sum(axis=1))
    fraction, exponent = np.frexp(needed)
    # Round up to the next mantissa, or to the next power of two.
    mantissa = np.append(MANTISSAS, 2.0)[np.searchsorted(MANTISSAS, 2.0 * fraction)]
    finest: Float64 = np.ldexp(mantissa, exponent - 1)
    return finest[:, None] * relative


def _exponents(segments: int, timesteps: int) -> Iterator[tuple[int, ...]]:
    """Yield the exponents p_0 .. p_N-1 of every code with N = `segments`."""
    # The 24 bits of a float32 hold the T bits of a level, 4 bits of its mantissa, and the octaves.
    octaves = max(24 - timesteps - 4, MAX_TIMESTEPS - timesteps)
    for steps in itertools.product(range(MOST_OCTAVES + 1), repeat=segments - 1):
        exponents = tuple(itertools.accumulate(steps, initial=0))
        if exponents[-1] <= octaves:
            yield exponents


def _responses(points: Float64, levels: Float64, timesteps: int, *, gate: bool) -> tuple[Float64, Float64]:
    """Outputs [C, P] of codes with `levels` [C, N] for the magnitudes `points` [P], and their spikes [C, P]."""
    top = 2**timesteps - 1
    spikes_of_level = _spikes_of_level(timesteps, gate)
    outputs = np.zeros((len(levels), points.size))
    spikes = np.zeros_like(outputs)
    knots = np.zeros((len(levels), 1))
    for size in levels.T[:, :, None]:
        k = np.clip(np.floor((points - knots) / size + 0.5), 0, top)
        outputs += k * size
        spikes += spikes_of_level[k.astype(np.intp)]
        knots = knots + top * size
    return outputs, spikes


@cache
def _spikes_of_level(timesteps: int, gate: bool) -> Float64:
    """Spikes of a basis at each level k, float64 [2**T]: the bits set in k; 1 at the top level with a gate."""
    levels = np.arange(2**timesteps)
    bits = sum((levels >> bit & 1 for bit in range(timesteps)), np.zeros_like(levels))
    if gate:
        bits[-1] = 1
    return bits.astype(np.float64)
