# SPDX-License-Identifier: Apache-2.0
"""Beta codes: sparse codes of few segments with many steps, whose sizes decay by a factor above one half.

This is greedy beta-expansion with beta = 1 / decay (I. Daubechies and O. Yilmaz, "Robust and practical
analog-to-digital conversion with exponential precision", IEEE Trans. Inf. Theory 52, 2006), known from
analog-to-digital converters as sub-radix-2 successive approximation.

The step sizes of all segments n are equal up to a power of two:

    size_0 = 1,   size_t+1 = size_t / 2 for t < H (halvings),   size_t * decay after,   0.5 < decay < 1
    K_0 = 0,   K_n+1 = K_n + unit_n * sum_t size_t,   unit_n = unit_0 * 2**p_n (octaves),   0 = p_0 < p_1

At each step the basis fires if the rest u of the magnitude is at least the step size, which is then subtracted:

    u = (x - K_n) / unit_n + ROUNDING * size_T-1;   for t = 0 .. T-1:  u >= size_t fires, u -= size_t, o_n += size_t

With halving sizes the spikes are binary digits, half of which are set on average: half a spike halves the error. With
a slower decay some size is closer to the rest: at decay 0.8 a third of a spike halves the error, for three times as
many steps. Halvings at the beginning and a second segment extend the range to the few values far above the others; the
halvings cost fewer spikes, the second segment keeps finer steps. A value in the second segment fires once in the first
one, by its gate.
"""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass

import numpy as np

from onnx_snn.arrays import Float64
from onnx_snn.config.neuron_settings import BetaCode
from onnx_snn.fitting.density import Density
from onnx_snn.fitting.ratings import Sample, codes_on_front
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.step_kernels import size_kernels

DECAYS = (0.6, 0.7, 0.75, 0.8, 0.85)
"""Ratios of neighbouring step sizes that are tried. With larger ones, 16 steps only reach relative errors of 0.1."""

MOST_HALVINGS = 4
"""Largest number of initial halvings that is tried. More leave too few of 16 steps for the slower decay."""

TWO_SEGMENTS = tuple((0, octaves) for octaves in range(1, 6))
"""Octaves of the two-segment codes that are tried. A third segment costs more spikes than its range saves."""

ROUNDING = 0.3
"""Rounding offset of a magnitude, as a share of the last step size. At 0.5 codes round to nearest, but fire more."""

SIZE_BITS = 20
"""Step sizes are multiples of 2**-SIZE_BITS, so that sums of up to 16 sizes, the first of which is 1, are exact in
float32."""

UNIT_MANTISSAS = 8
"""Number of mantissas per octave that a segment's unit can have; the smallest one that reaches the limit is chosen."""


@dataclass(frozen=True)
class BetaSteps:
    """The steps of a beta code.

    Attributes:
        timesteps: T.
        code: decay, halvings and octaves.
    """

    timesteps: int
    code: BetaCode

    @property
    def sizes(self) -> Float64:
        """Sizes of all steps, float64 [T]."""
        factors = [0.5 if t <= self.code.halvings else self.code.decay for t in range(1, self.timesteps)]
        exact = list(itertools.accumulate(factors, operator.mul, initial=1.0))
        return np.asarray(np.round(np.ldexp(exact, SIZE_BITS)) / 2.0**SIZE_BITS)

    def units(self, limit: float) -> Float64:
        """Size of the first step of each segment, float64 [N], such that all segments together reach `limit`."""
        relative = np.exp2(self.code.octaves)
        fraction, exponent = np.frexp(limit / (self.sizes.sum() * relative.sum()))
        finest = np.ldexp(np.ceil(fraction * 2 * UNIT_MANTISSAS) / (2 * UNIT_MANTISSAS), exponent)
        return np.asarray(finest * relative)

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
    candidates = _candidates(timesteps)
    responses = [_responses(sample.points, steps, limit, gate=gate) for steps in candidates]
    outputs = np.stack([output for output, _ in responses])
    spikes = np.stack([spikes for _, spikes in responses])
    codes = [
        RatedBetaCode(steps, float(error), float(mean))
        for steps, error, mean in zip(candidates, sample.errors(outputs), sample.spikes(spikes), strict=True)
    ]

    def simplicity(rated: RatedBetaCode) -> tuple[int, int, float]:
        code = rated.steps.code
        return len(code.octaves), code.halvings, code.decay

    return codes_on_front(codes, simplicity)


def _candidates(timesteps: int) -> list[BetaSteps]:
    """All beta codes of one and two segments that are tried."""
    halvings = range(min(MOST_HALVINGS, timesteps - 1) + 1)
    single = [BetaCode(decay, first) for decay, first in itertools.product(DECAYS, halvings)]
    double = [BetaCode(decay, 0, octaves) for decay, octaves in itertools.product(DECAYS, TWO_SEGMENTS)]
    return [BetaSteps(timesteps, code) for code in single + double]


def _responses(points: Float64, steps: BetaSteps, limit: float, *, gate: bool) -> tuple[Float64, Float64]:
    """Outputs [P] of a code for the magnitudes `points` [P], and its spikes [P]."""
    sizes = steps.sizes
    outputs, spikes = np.zeros_like(points), np.zeros_like(points)
    for knot, unit in zip(steps.knots(limit), steps.units(limit), strict=True):
        rest = (points - knot) / unit + ROUNDING * sizes[-1]
        saturated = rest >= sizes.sum()
        count = np.zeros_like(points)
        for size in sizes:
            fires = rest >= size
            rest -= fires * size
            outputs += fires * (size * unit)
            count += fires
        gated = gate and len(steps.code.octaves) > 1
        spikes += np.where(saturated, 1.0, count) if gated else count
    return outputs, spikes
