# SPDX-License-Identifier: Apache-2.0
"""Beta codes: sparse codes of few segments with many steps, whose sizes decay by a factor above one half.

This is greedy beta-expansion with beta = 1 / decay (I. Daubechies and O. Yilmaz, "Robust and practical
analog-to-digital conversion with exponential precision", IEEE Trans. Inf. Theory 52, 2006), known from
analog-to-digital converters as sub-radix-2 successive approximation, with an increment besides the factor. From the
last step to the first, in units of the last one:

    size_T-1 = 1,   size_t-1 = size_t / decay + increment,   0.5 < decay <= 1,   increment >= 0

A factor alone spaces the sizes like a logarithmic scale, an increment alone evenly. Values near zero, which are most,
want even spacing, and the few large ones coarse steps. The segments n differ by powers of two:

    K_0 = 0,   K_n+1 = K_n + unit_n * sum_t size_t,   unit_n = unit_0 * 2**p_n (octaves),   0 = p_0 < p_1 < ...

At each step the basis fires if the rest u of the magnitude is at least the step size, which is then subtracted:

    u = (x - K_n) / unit_n + ROUNDING * size_T-1;   for t = 0 .. T-1:  u >= size_t fires, u -= size_t, o_n += size_t

With halving sizes the spikes are binary digits, half of which are set on average: half a spike halves the error. With
more steps some size is closer to the rest, so that fewer spikes suffice. Further segments extend the range to the few
values far above the others. A value in segment n fires once in each segment below, by its gate.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float64
from onnx_snn.config.neuron_settings import BetaCode
from onnx_snn.fitting.density import Density
from onnx_snn.fitting.ratings import Sample, codes_on_front
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.step_kernels import size_kernels

DECAYS = (0.55, 0.62, 0.71, 0.77, 0.83, 0.87, 0.9, 0.95, 1.0)
"""Ratios of neighbouring step sizes that are tried."""

INCREMENTS = (0.0, 0.3, 0.6)
"""Increments of neighbouring step sizes that are tried, in units of the last one. Larger ones are rarely best."""

OCTAVES = (
    (0,),
    *((0, second) for second in range(1, 7)),
    *((0, second, third) for second, third in itertools.combinations(range(1, 7), 2)),
)
"""Octaves of the codes that are tried. A fourth segment costs more spikes than its range saves."""

ROUNDING = 0.4
"""Rounding offset of a magnitude, as a share of the last step size. At 0.5 codes round to nearest, but fire more."""

SIZE_BITS = 19
"""Step sizes are multiples of 2**-SIZE_BITS of the first one. Sums of 16 sizes and a saturation spike are then exact in
float32."""

UNIT_MANTISSAS = 8
"""Number of mantissas per octave that a segment's unit can have; the smallest one that reaches the limit is chosen."""


@dataclass(frozen=True)
class BetaSteps:
    """The steps of a beta code.

    Attributes:
        timesteps: T.
        code: decay, increment and octaves.
    """

    timesteps: int
    code: BetaCode

    @property
    def sizes(self) -> Float64:
        """Sizes of all steps in units of the first one, float64 [T]."""
        exact = [1.0]
        for _ in range(self.timesteps - 1):
            exact.append(exact[-1] / self.code.decay + self.code.increment)
        return np.asarray(np.round(np.array(exact[::-1]) / exact[-1] * 2.0**SIZE_BITS) / 2.0**SIZE_BITS)

    def units(self, limit: float) -> Float64:
        """Size of the first step of each segment, float64 [N], such that all segments together reach `limit`."""
        relative = np.exp2(self.code.octaves)
        return np.asarray(_finest_units(limit / (self.sizes.sum() * relative.sum())) * relative)

    def knots(self, limit: float) -> Float64:
        """The lower end K_n of each segment, float64 [N]."""
        ends = np.cumsum(self.units(limit) * self.sizes.sum())
        return np.concatenate([[0.0], ends[:-1]])

    def neuron(self, limit: float, *, one_sided: bool, gate: bool) -> MbeNeuron:
        """The code up to `limit` as a neuron.

        Args:
            limit: largest magnitude that it must represent.
            one_sided: whether the signal is never negative; the output for negative input is then 0.
            gate: whether a saturated basis fires once instead of T times; without effect on a single segment.
        """
        sizes, units = self.sizes, self.units(limit)
        return MbeNeuron(
            u_rest=np.asarray(self.knots(limit) - ROUNDING * sizes[-1] * units, np.float32),
            gain=np.asarray(1.0 / units, np.float32),
            **size_kernels(np.repeat(sizes[:, None], len(units), axis=1), gate=gate and len(units) > 1),
            weight=np.asarray(units, np.float32),
            bias=np.array(0.0, np.float32),
            polarity=0 if one_sided else 1,
        )


def _finest_units(needed: Float64 | float) -> Float64:
    """The smallest units that are at least `needed` and have one of `UNIT_MANTISSAS` mantissas."""
    fraction, exponent = np.frexp(needed)
    return np.asarray(np.ldexp(np.ceil(fraction * 2 * UNIT_MANTISSAS) / (2 * UNIT_MANTISSAS), exponent))


@dataclass(frozen=True)
class RatedBetaCode:
    """A beta code with its error and spikes on a density.

    Attributes:
        steps: its steps.
        error: root mean square of the error over that of the signal.
        spikes: mean spikes per element.
    """

    steps: BetaSteps
    error: float
    spikes: float


def beta_codes(
    density: Density, timesteps: int, *, limit: float, importance: Float64 | None = None, gate: bool = True
) -> list[RatedBetaCode]:
    """The Pareto front of the beta codes up to `limit`, from the fewest spikes to the smallest error.

    Args:
        density: distribution of the signal's magnitude, on M points.
        timesteps: number of time steps T.
        limit: largest magnitude that a code must represent.
        importance: weight of a squared error at each point, float64 [M]; None for equal weights.
        gate: whether a saturated basis fires once instead of T times.
    """
    sample = Sample.of(density, importance)
    codes: list[RatedBetaCode] = []
    for group in _groups(timesteps):
        outputs, spikes = _responses(sample.points, group, limit, gate=gate)
        figures = zip(group.steps, sample.errors(outputs), sample.spikes(spikes), strict=True)
        codes += [RatedBetaCode(steps, float(error), float(mean)) for steps, error, mean in figures]
    return codes_on_front(codes, lambda rated: (len(rated.steps.code.octaves), rated.steps.code.decay))


@dataclass(frozen=True)
class _Group:
    """Codes of the same numbers of steps and segments; C in all.

    Attributes:
        steps: the codes.
        sizes: their step sizes, float64 [C, T].
        relative: units of their segments in those of the first one, float64 [C, N].
    """

    steps: tuple[BetaSteps, ...]
    sizes: Float64
    relative: Float64


@cache
def _groups(timesteps: int) -> tuple[_Group, ...]:
    """All beta codes that are tried with T = `timesteps`, by their number of segments."""
    return tuple(map(_group, (list(_codes(timesteps, segments)) for segments in (1, 2, 3))))


def _codes(timesteps: int, segments: int) -> Iterator[BetaSteps]:
    """Yield the codes that are tried, with `segments` segments."""
    for decay, increment, octaves in itertools.product(DECAYS, INCREMENTS, OCTAVES):
        # Equal sizes are a unary code, which needs a spike a level.
        if len(octaves) == segments and not (decay == 1.0 and increment == 0.0):
            yield BetaSteps(timesteps, BetaCode(decay, increment, octaves))


def _group(codes: list[BetaSteps]) -> _Group:
    sizes = np.stack([steps.sizes for steps in codes])
    return _Group(tuple(codes), sizes, np.exp2([steps.code.octaves for steps in codes]))


def _zeros(points: Float64, units: Float64) -> NDArray[np.intp]:
    return np.zeros((len(units), points.size), np.intp)


def _responses(points: Float64, group: _Group, limit: float, *, gate: bool) -> tuple[Float64, NDArray[np.float64]]:
    """Outputs [C, P] of the codes of `group` for the magnitudes `points` [P], and their spikes [C, P]."""
    total, segments = group.sizes.sum(axis=1, keepdims=True), group.relative.shape[1]
    units = _finest_units(limit / (total * group.relative.sum(axis=1, keepdims=True))) * group.relative
    ends = np.cumsum(units * total, axis=1)
    knots = ends - units * total
    offset = ROUNDING * group.sizes[:, -1:]
    # A segment is saturated where its offset leads to its end; the one above is still silent there.
    saturated = ends - offset * units
    segment = sum(((points >= saturated[:, [n]]).astype(np.intp) for n in range(segments - 1)), _zeros(points, units))
    knot, unit = (np.take_along_axis(array, segment, axis=1) for array in (knots, units))
    start = (points - knot) / unit + offset
    rest, spikes = start.copy(), np.zeros_like(start)
    for size in group.sizes.T[:, :, None]:
        fires = rest >= size
        rest -= np.where(fires, size, 0.0)
        spikes += fires
    if gate and segments > 1:
        spikes[start >= total] = 1.0
    return knot + (start - rest) * unit, spikes + segment * (1.0 if gate else group.sizes.shape[1])
