# SPDX-License-Identifier: Apache-2.0
"""Greedy codes: one basis with many steps whose sizes decay by less than halves.

    size_0 = 1,   size_t+1 = size_t / 2 for t < H (halvings),   size_t * decay after,   0.5 < decay < 1

At each step what is left of the magnitude gives away the size of the step, if it holds it:

    u = (x + ROUNDING * last) / unit;   for t = 0 .. T-1:  u >= size_t fires, u -= size_t, o += size_t;   y = unit * o

Sizes of halves are digits of a binary number, of which every other one is set: half a spike halves the error. The
slower sizes decay the closer is one to what is left: a third of a spike does it at decay 0.8, with three times as many
steps. The first H halvings reach out for the few values that are far larger than the rest.
"""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_snn.density import Density
from onnx_snn.front import Sample, front
from onnx_snn.neuron import MbeNeuron

Float64 = NDArray[np.float64]

DECAYS = (0.6, 0.7, 0.75, 0.8, 0.85)
"""Above, 16 steps reach too far down only where errors of a tenth are good enough."""

MOST_HALVINGS = 4
"""Further ones leave too few of 16 steps to what decays slower."""

ROUNDING = 0.3
"""Of the last size, by which a magnitude is raised. One half would round to the nearest sum, and fire more."""

SIZE_BITS = 20
"""Sizes are multiples of 2**-20: with 16 of them, of which the first is 1, every sum is exact in float32."""

UNIT_MANTISSAS = 8
"""Of the unit, to an octave: the first that reaches the limit is taken."""


@dataclass(frozen=True)
class GreedyCode:
    """A code on the front.

    Attributes:
        decay: of the sizes.
        halvings: of the sizes before.
        timesteps: T.
        error: root mean square of the error over that of the signal.
        spikes: mean over the elements.
    """

    decay: float
    halvings: int
    timesteps: int
    error: float
    spikes: float


def greedy_codes(
    density: Density, timesteps: int, *, limit: float, importance: Float64 | None = None
) -> list[GreedyCode]:
    """The front of the codes up to `limit`, from the fewest spikes to the smallest error.

    Args:
        density: of the signal's magnitude.
        timesteps: T.
        limit: the largest magnitude that a code must reach.
        importance: float64 [M], how much a squared error counts at each point; None for alike.
    """
    sample = Sample.of(density, importance)
    kinds = [*itertools.product(DECAYS, range(min(MOST_HALVINGS, timesteps - 1) + 1))]
    sizes = np.array([step_sizes(timesteps, decay, halvings) for decay, halvings in kinds])
    units = np.array([[unit_of(each, limit)] for each in sizes])
    left = sample.points / units + ROUNDING * sizes[:, -1:]
    answers, fired = np.zeros_like(left), np.zeros_like(left)
    for size in sizes.T[:, :, None]:
        fires = left >= size
        left -= fires * size
        answers += fires * size
        fired += fires
    errors, spikes = sample.errors(units * answers), sample.spikes(fired)
    codes = [
        GreedyCode(decay, halvings, timesteps, float(error), float(mean))
        for (decay, halvings), error, mean in zip(kinds, errors, spikes, strict=True)
    ]
    return front(codes, lambda code: (code.halvings, code.decay))


def greedy_neuron(timesteps: int, decay: float, halvings: int, *, limit: float, one_sided: bool) -> MbeNeuron:
    """The code that just reaches `limit`, for signals that are never negative or for any."""
    sizes = step_sizes(timesteps, decay, halvings)
    unit = unit_of(sizes, limit)
    kernel = sizes[:, None].astype(np.float32)
    return MbeNeuron(
        theta=np.array([-ROUNDING * sizes[-1] * unit], np.float32),
        gain=np.array([1.0 / unit], np.float32),
        threshold=kernel,
        reset=kernel,
        intensity=kernel,
        weight=np.array([unit], np.float32),
        bias=np.array(0.0, np.float32),
        polarity=0 if one_sided else 1,
    )


def step_sizes(timesteps: int, decay: float, halvings: int) -> Float64:
    """Sizes of all steps, float64 [T]."""
    factors = [0.5 if t <= halvings else decay for t in range(1, timesteps)]
    exact = list(itertools.accumulate(factors, operator.mul, initial=1.0))
    return np.asarray(np.round(np.ldexp(exact, SIZE_BITS)) / 2.0**SIZE_BITS)


def unit_of(sizes: Float64, limit: float) -> float:
    """The size of the first step in units of the signal, with which all of them together reach `limit`."""
    fraction, exponent = np.frexp(limit / sizes.sum())
    return float(np.ldexp(np.ceil(fraction * 2 * UNIT_MANTISSAS) / (2 * UNIT_MANTISSAS), exponent))
