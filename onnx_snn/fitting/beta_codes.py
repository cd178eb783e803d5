# SPDX-License-Identifier: Apache-2.0
"""Beta codes: few segments with many steps whose sizes decay by less than halves.

This is greedy beta-expansion with beta = 1 / decay (I. Daubechies and O. Yilmaz, "Robust and practical
analog-to-digital conversion with exponential precision", IEEE Trans. Inf. Theory 52, 2006), in converters sub-radix-2
successive approximation.

The sizes of the steps are the same in all segments n, but for a power of two:

    size_0 = 1,   size_t+1 = size_t / 2 for t < H (halvings),   size_t * decay after,   0.5 < decay < 1
    K_0 = 0,   K_n+1 = K_n + unit_n * sum_t size_t,   unit_n = unit_0 * 2**p_n (octaves),   0 = p_0 < p_1

At each step what is left of the magnitude gives away the size of the step, if it holds it:

    u = (x - K_n) / unit_n + ROUNDING * size_T-1;   for t = 0 .. T-1:  u >= size_t fires, u -= size_t, o_n += size_t

Sizes of halves are digits of a binary number, of which every other one is set: half a spike halves the error. The
slower sizes decay the closer is one to what is left: a third of a spike does it at decay 0.8, with three times as many
steps. Halvings at the beginning and a second segment reach out for the few values that are far larger than the rest:
those for fewer spikes, this for finer steps. A value in the second segment fires once for the first one, by its gate.
"""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_snn.config.neuron_settings import BetaCode
from onnx_snn.fitting.density import Density
from onnx_snn.fitting.judgement import Sample, codes_on_front
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.step_kernels import size_kernels

Float64 = NDArray[np.float64]

DECAYS = (0.6, 0.7, 0.75, 0.8, 0.85)
"""Decays that are tried. With larger ones 16 steps reach down only to errors of a tenth."""

MOST_HALVINGS = 4
"""Most halvings that are tried. Further ones leave too few of 16 steps to what decays slower."""

TWO_SEGMENTS = tuple((0, octaves) for octaves in range(1, 6))
"""Octaves of the codes of two segments that are tried. A third segment saves nothing that is worth its spike."""

ROUNDING = 0.3
"""Share of the last size by which a magnitude is raised. One half would round to the nearest sum, and fire more."""

SIZE_BITS = 20
"""Sizes are multiples of 2**-20: with 16 of them, of which the first is 1, every sum is exact in float32."""

UNIT_MANTISSAS = 8
"""Mantissas that a unit can have, in an octave: the first that reaches the limit is taken."""


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
        """Sizes of the first step of each segment, with which all of them together reach `limit`: float64 [N]."""
        relative = np.exp2(self.code.octaves)
        fraction, exponent = np.frexp(limit / (self.sizes.sum() * relative.sum()))
        finest = np.ldexp(np.ceil(fraction * 2 * UNIT_MANTISSAS) / (2 * UNIT_MANTISSAS), exponent)
        return np.asarray(finest * relative)

    def knots(self, limit: float) -> Float64:
        """The knot K_n at which each segment begins, float64 [N]."""
        ends = np.cumsum(self.units(limit) * self.sizes.sum())
        return np.concatenate([[0.0], ends[:-1]])

    def neuron(self, limit: float, *, one_sided: bool, gate: bool) -> MbeNeuron:
        """The code up to `limit`, for signals that are never negative or for any.

        Args:
            limit: the largest magnitude that it must reach.
            one_sided: the signal is never negative; negative input answers 0.
            gate: whether a saturated basis fires once instead of T times. The last one has none above it to tell.
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
class JudgedBetaCode:
    """A beta code with what it costs.

    Attributes:
        steps: its steps.
        error: root mean square of the error over that of the signal.
        spikes: mean over the elements.
    """

    steps: BetaSteps
    error: float
    spikes: float


def beta_codes(
    density: Density, timesteps: int, *, limit: float, importance: Float64 | None = None, gate: bool = True
) -> list[JudgedBetaCode]:
    """The Pareto front of the beta codes up to `limit`, from the fewest spikes to the smallest error.

    Args:
        density: of the signal's magnitude.
        timesteps: T.
        limit: the largest magnitude that a code must reach.
        importance: float64 [M], how much a squared error counts at each point; None for alike.
        gate: whether a saturated basis fires once instead of T times.
    """
    sample = Sample.of(density, importance)
    kinds = _kinds(timesteps)
    responses = [_responses(sample.points, each, limit, gate=gate) for each in kinds]
    answers, fired = (np.stack(each) for each in zip(*responses, strict=True))
    codes = [
        JudgedBetaCode(steps, float(error), float(mean))
        for steps, error, mean in zip(kinds, sample.errors(answers), sample.spikes(fired), strict=True)
    ]

    def simplicity(judged: JudgedBetaCode) -> tuple[int, int, float]:
        code = judged.steps.code
        return len(code.octaves), code.halvings, code.decay

    return codes_on_front(codes, simplicity)


def _kinds(timesteps: int) -> list[BetaSteps]:
    """The codes that are tried."""
    halvings = range(min(MOST_HALVINGS, timesteps - 1) + 1)
    single = [BetaCode(decay, first) for decay, first in itertools.product(DECAYS, halvings)]
    double = [BetaCode(decay, 0, octaves) for decay, octaves in itertools.product(DECAYS, TWO_SEGMENTS)]
    return [BetaSteps(timesteps, code) for code in single + double]


def _responses(points: Float64, steps: BetaSteps, limit: float, *, gate: bool) -> tuple[Float64, Float64]:
    """What a code answers to `points` [P], and the spikes that it fires: [P] both."""
    sizes = steps.sizes
    answers, fired = np.zeros_like(points), np.zeros_like(points)
    for knot, unit in zip(steps.knots(limit), steps.units(limit), strict=True):
        left = (points - knot) / unit + ROUNDING * sizes[-1]
        saturated = left >= sizes.sum()
        count = np.zeros_like(points)
        for size in sizes:
            fires = left >= size
            left -= fires * size
            answers += fires * (size * unit)
            count += fires
        fired += np.where(saturated, 1.0, count) if gate and len(steps.code.octaves) > 1 else count
    return answers, fired
