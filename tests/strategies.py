# SPDX-License-Identifier: Apache-2.0
"""What the tests draw: neurons of every admitted kind, and inputs that try to tell implementations apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onnx_snn.arrays import Float32
from onnx_snn.fitting.density import Density
from onnx_snn.neurons.mbe import MAX_TIMESTEPS, UNSCALED, MbeNeuron, fired_slots, halving_neuron, time_loop
from onnx_snn.neurons.step_kernels import halving_kernels

MOST_BASES = 32

SPECIAL = np.array(
    [
        *(0x00000000, 0x80000000),  # zeros
        *(0x00000001, 0x80000001, 0x00400000, 0x007FFFFF, 0x807FFFFF),  # denormals
        *(0x00800000, 0x80800000, 0x3F800000, 0xBF800000, 0x3F7FFFFF, 0x40000000),  # smallest normals, 1, 2
        *(0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000),  # largest, infinities
        *(0x7FC00000, 0xFFC00000, 0x7FC12345, 0xFFFFFFFF),  # quiet NaN, with payload
        *(0x7F800001, 0xFFA00000),  # signalling NaN
    ],
    np.uint32,
).view(np.float32)
"""One or more of every class of float32."""

signs = st.sampled_from([-1.0, 1.0])


def floats(low: float, high: float) -> st.SearchStrategy[float]:
    """Float32 numbers from `low` to `high`."""
    return st.floats(np.float32(low).item(), np.float32(high).item(), width=32)


def powers_of_two(low: int, high: int) -> st.SearchStrategy[float]:
    """Powers of two with exponents from `low` to `high`."""
    return st.integers(low, high).map(lambda exponent: 2.0**exponent)


def on_grid(shape: int | tuple[int, ...], most: int, units: st.SearchStrategy[float]) -> st.SearchStrategy[Float32]:
    """Multiples of a drawn power of two, up to `most` of them, either sign."""
    counts = hnp.arrays(np.int64, shape, elements=st.integers(-most, most))
    return st.builds(lambda count, unit: (count * unit).astype(np.float32), counts, units)


@st.composite
def gains(draw: st.DrawFn, bases: int) -> Float32:
    """Gains of either sign, from minute to vast."""
    magnitude = draw(hnp.arrays(np.float32, bases, elements=floats(0.5, 2.0)))
    sign = draw(hnp.arrays(np.float32, bases, elements=signs))
    return magnitude * sign * np.float32(draw(st.one_of(powers_of_two(-6, 6), powers_of_two(-125, 109))))


@st.composite
def generic_kernels(draw: st.DrawFn, bases: int, timesteps: int) -> dict[str, Float32]:
    """Kernels of no closed form: exponential decay with any base, or arbitrary numbers throughout."""
    shape = (timesteps, bases)
    intensity = draw(on_grid(shape, 1 << 10, powers_of_two(-20, 4)))
    if draw(st.booleans()):
        base = draw(hnp.arrays(np.float64, bases, elements=floats(0.25, 0.95)))
        decay = (base ** np.arange(timesteps)[:, None]).astype(np.float32)
        return {"threshold": decay, "reset": decay, "intensity": np.round(decay * 1024) / 1024}
    threshold = draw(hnp.arrays(np.float32, shape, elements=floats(-4, 4)))
    reset = draw(hnp.arrays(np.float32, shape, elements=st.one_of(floats(-4, 4), st.just(np.inf))))
    return {"threshold": threshold, "reset": reset, "intensity": intensity}


@st.composite
def neurons(draw: st.DrawFn, *, halving: bool | None = None) -> MbeNeuron:
    """Any neuron; only those with (without) a closed form where `halving` is true (false)."""
    bases = draw(st.integers(1, MOST_BASES))
    timesteps = draw(st.integers(1, MAX_TIMESTEPS))
    if draw(st.booleans()) if halving is None else halving:
        kernels = halving_kernels(bases, timesteps, gate=draw(st.booleans()))
    else:
        kernels = draw(generic_kernels(bases, timesteps))
    unit = draw(st.one_of(powers_of_two(-24, 8), powers_of_two(-128, 100)))
    return MbeNeuron(
        u_rest=draw(hnp.arrays(np.float32, bases, elements=floats(-64, 64))),
        gain=draw(gains(bases)),
        weight=draw(on_grid(bases, 1 << 14, st.just(unit))),
        bias=draw(on_grid((), 1 << 14, st.just(unit))),
        polarity=draw(st.integers(0, 1)),
        **kernels,
    )


class Case(NamedTuple):
    """A neuron with an input and a scale for it."""

    neuron: MbeNeuron
    x: Float32
    scale: Float32


@st.composite
def cases(draw: st.DrawFn, *, halving: bool | None = None) -> Case:
    """A neuron and an input of any shape, made of what is critical for it: `critical_inputs`, rescaled."""
    neuron = draw(neurons(halving=halving))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pool = critical_inputs(neuron, rng)
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)
    shape = draw(st.one_of(st.just(pool.shape), shapes))
    x = pool if shape == pool.shape else rng.choice(pool, shape).astype(np.float32)
    scale = draw(scales(shape))
    with np.errstate(all="ignore"):
        x = np.where(np.isnan(x), x, x * scale)  # a product would quiet a signalling NaN
    return Case(neuron, x.astype(np.float32).reshape(shape), scale)


@st.composite
def scales(draw: st.DrawFn, shape: tuple[int, ...]) -> Float32:
    """Powers of two that broadcast into `shape`: one of all, or one for each index of some axes."""
    kept = draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
    scale_shape = tuple(side if keep else 1 for side, keep in zip(shape, kept, strict=True))
    if not any(kept):
        return draw(st.sampled_from([UNSCALED, np.float32([0.25]), np.float32([2.0**40])]))
    elements = draw(st.sampled_from([st.integers(-12, 12), st.integers(-126, 127)]))
    exponents = draw(hnp.arrays(np.int64, scale_shape, elements=elements))
    return np.exp2(exponents).astype(np.float32)


def critical_inputs(neuron: MbeNeuron, rng: np.random.Generator, levels: int = 24) -> Float32:
    """Float32 numbers [any count] where implementations of `neuron` could part.

    The inputs at which a basis reaches a threshold, straight away or after some resets, `levels` of each for
    every basis, with their neighbours; every special value; and random ones of every magnitude.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        boundary = neuron.u_rest + critical_charges(neuron, rng, levels) / neuron.gain
        random_bits = rng.integers(0, 1 << 32, 64, np.uint32).view(np.float32)
        ordinary = rng.normal(0, 8, 64).astype(np.float32)
        return np.concatenate([with_neighbours(boundary.ravel()), SPECIAL, random_bits, ordinary])


def critical_charges(neuron: MbeNeuron, rng: np.random.Generator, levels: int) -> Float32:
    """Initial potentials [levels, N] which meet a threshold exactly at one of the time steps."""
    s = rng.integers(0, neuron.timesteps, levels)
    earlier = rng.integers(0, 2, (levels, neuron.timesteps)) * (np.arange(neuron.timesteps) < s[:, None])
    reset = np.where(np.isinf(neuron.reset), 0, neuron.reset)
    met_at_once = neuron.threshold[s]
    return np.concatenate([met_at_once, met_at_once + earlier @ reset]).astype(np.float32)


def with_neighbours(values: Float32) -> Float32:
    """`values` in float32, with the two float32 numbers on either side of each."""
    centre = values.astype(np.float32)
    below, above = np.nextafter(centre, np.float32(-np.inf)), np.nextafter(centre, np.float32(np.inf))
    second = np.nextafter(below, np.float32(-np.inf)), np.nextafter(above, np.float32(np.inf))
    return np.concatenate([centre, below, above, *second])


def mirrored(values: Float32) -> Float32:
    """`values` and their negatives."""
    return np.concatenate([values, -values])


def sample_case(polarity: int, scale: Float32) -> Case:
    """A gated neuron, and its critical inputs in two rows."""
    u_rest, gain, weight = [-1.5, 0.3, 2], [0.7, -1.1, 3], [0.5, -0.75, 0.125]
    neuron = halving_neuron(u_rest, gain, weight, -0.25, 6, gate=True, polarity=polarity)
    x = critical_inputs(neuron, np.random.default_rng(1))
    return Case(neuron, np.stack([x, x[::-1]]), scale)


DENSITY_POINTS = 200

densities = st.builds(
    lambda seed, tail: Density(
        np.sort(np.random.default_rng(seed).gamma(tail, 1.0, DENSITY_POINTS)),
        np.full(DENSITY_POINTS, 1.0 / DENSITY_POINTS),
    ),
    st.integers(0, 2**16),
    st.floats(0.3, 4.0),
)
"""Densities of magnitudes, from ones with a long tail to ones about a mean."""


def half_normal(limit: float = 4.0) -> Density:
    """The density of the magnitude of a normal variable."""
    points = (np.arange(DENSITY_POINTS) + 0.5) * limit / DENSITY_POINTS
    mass = np.exp(-(points**2) / 2.0)
    return Density(points, mass / mass.sum())


def typical_power(density: Density) -> float:
    """Mean square of a signal without the thousandth of its values that are largest."""
    reach = min(int(np.searchsorted(np.cumsum(density.mass), 0.999)), density.points.size - 1)
    return float((density.mass * np.minimum(density.points, density.points[reach]) ** 2).sum())


def assert_as_promised(neuron: MbeNeuron, density: Density, *, error: float, spikes: float) -> None:
    """The neuron errs, relative to the typical power of `density`, and fires as a code said of it."""
    x = density.points.astype(np.float32)
    found = np.sqrt((density.mass * (time_loop(neuron, x).y - x) ** 2).sum() / typical_power(density))
    # A point that float32 moves over the edge of a step answers the other sum.
    assert found == pytest.approx(error, rel=0.02, abs=1e-6)
    assert (fired_slots(neuron, x) * density.mass).sum() == pytest.approx(spikes, abs=0.1)
