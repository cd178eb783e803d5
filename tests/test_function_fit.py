# SPDX-License-Identifier: Apache-2.0
"""Fitted neurons: how close they come, the structure that kernels rely on, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onnx_snn.errors import ConfigError
from onnx_snn.fitting.density import Density, calibrated_density, uniform_density
from onnx_snn.fitting.function_fit import fit_function
from onnx_snn.fitting.identity_code import fit_identity
from onnx_snn.fitting.paper_neuron import fit_paper
from onnx_snn.neurons.functions import ScalarFunction, get, names
from onnx_snn.neurons.mbe import Halving, MbeNeuron, closed_form

PUBLISHED = {"gelu": 1.0e-4, "rsqrt": 4.9e-5, "reciprocal": 4.4e-5, "exp2": 5.3e-5}
"""Squared errors of the paper's Table X at N=8, T=16."""

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 16))


def squared_error(neuron: MbeNeuron, function: ScalarFunction) -> float:
    """Mean over 2**15 cells of the domain, at their centres."""
    lo, hi = function.domain
    x = (lo + (np.arange(2**15) + 0.5) * ((hi - lo) / 2**15)).astype(np.float32)
    return float(np.mean((neuron(x) - function.formula(x.astype(np.float64))) ** 2))


@cache
def fitted(name: str, bases: int, timesteps: int) -> MbeNeuron:
    return fit_function(get(name), bases, timesteps)


def levels(neuron: MbeNeuron, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """k_n of every basis at `x` [K]: float32 [N, K]."""
    assert neuron.halving is not None
    timesteps = neuron.halving.timesteps
    magnitude = np.abs(x) if neuron.polarity else x
    u = (magnitude[None, :] - neuron.u_rest[:, None]) * neuron.gain[:, None]
    level: NDArray[np.float32] = np.floor(u * np.float32(2.0 ** (timesteps - 1)))
    return level.clip(0, 2**timesteps - 1)


def heavy_tail() -> Density:
    """Counts of a GELU input: the bulk within +-8, and one element in 100 000 at 219."""
    points = np.concatenate([np.linspace(-8.0, 8.0, 641), [219.0]])
    counts = np.exp(-((points + 0.5) ** 2) / 4.5)
    counts[-1] = 1e-5 * counts[:-1].sum()
    return Density(points, counts)


# Closeness --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "bases", "timesteps", "at_most"),
    [
        ("gelu", 8, 16, 1.5e-6),
        ("gelu", 16, 8, 6e-7),
        ("gelu", 16, 4, 3e-5),
        ("exp2", 8, 16, 2.5e-7),
        ("exp2", 16, 8, 3e-8),
        ("reciprocal", 8, 16, 9e-7),
        ("reciprocal", 16, 8, 8e-8),
        ("rsqrt", 8, 16, 9e-7),
        ("rsqrt", 16, 8, 8e-8),
        ("tanh", 16, 8, 1.1e-6),
        ("sigmoid", 16, 8, 3.5e-7),
        ("silu", 16, 8, 1e-5),
    ],
)
def test_squared_error(name: str, bases: int, timesteps: int, at_most: float) -> None:
    assert squared_error(fit_function(get(name), bases, timesteps), get(name)) <= at_most


@pytest.mark.parametrize("name", ["gelu", "tanh", "sigmoid", "exp2", "relu", "hard_swish", "elu"])
def test_more_bases_and_timesteps_come_closer(name: str) -> None:
    function = get(name)
    errors = [squared_error(fitted(name, *size), function) for size in ((3, 2), (6, 4), (12, 8))]
    assert errors[0] > 4.0 * errors[1] > 16.0 * errors[2]


@pytest.mark.parametrize("name", PUBLISHED)
def test_paper_neuron_reaches_its_published_error(name: str) -> None:
    assert squared_error(fit_paper(get(name), 8, 16), get(name)) <= PUBLISHED[name] / 10.0


def test_paper_neuron_collapses_at_few_timesteps_where_ours_does_not() -> None:
    function = get("identity")
    assert squared_error(fit_paper(function, 8, 4), function) > 25.0 * squared_error(
        fit_function(function, 8, 4), function
    )


def test_heavy_tail() -> None:
    density = heavy_tail()
    neuron = fit_function(get("gelu"), 16, 8, calibrated_density(*density, -32.0, 876.0))
    far = np.array([150.0, 219.0, 300.0, 600.0])
    # Where data was, to a thousandth; where only headroom is, within the uniform floor's means.
    assert abs(neuron(219.0) / 219.0 - 1.0) <= 1e-3
    np.testing.assert_allclose(neuron(far), far, rtol=1e-2)
    bulk = density.points[:-1]
    error = (neuron(bulk) - get("gelu").formula(bulk)) ** 2
    assert np.average(error, weights=density.mass[:-1]) <= 1e-5


def test_relative_functions_are_fitted_for_relative_error() -> None:
    relative = get("rsqrt")
    absolute = ScalarFunction("absolute", relative.formula, relative.domain, origin=relative.origin)
    x = np.linspace(0.5, 2.0, 20001)
    worst = [np.mean((fit_function(function, 8, 8)(x) * np.sqrt(x) - 1.0) ** 2) for function in (relative, absolute)]
    assert worst[0] < worst[1]


# Structure --------------------------------------------------------------------------------------------


@given(st.sampled_from(names()), SIZES)
@settings(max_examples=20)
def test_segments_are_disjoint(name: str, size: tuple[int, int]) -> None:
    """At any float32 all bases but one are silent or saturated; kernels compute that one alone."""
    timesteps = size[1]
    neuron = fitted(name, *size)
    step = 1.0 / neuron.gain.astype(np.float64) * 2.0 ** (1 - timesteps)
    first, last = neuron.u_rest + step, neuron.u_rest + step * (2.0**timesteps - 1.0)
    edges = np.concatenate([first, last, neuron.u_rest]).astype(np.float32)
    around = [edges, np.nextafter(edges, np.float32(np.inf)), np.nextafter(edges, np.float32(-np.inf))]
    x = np.concatenate([*around, np.linspace(*get(name).domain, 3001, dtype=np.float32)])
    k = levels(neuron, x)
    assert (((k > 0) & (k < 2**timesteps - 1)).sum(axis=0) <= 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize(("bases", "timesteps"), [(8, 1), (8, 4), (8, 8)])
def test_sums_are_exact_in_float32_up_to_eight_timesteps(name: str, bases: int, timesteps: int) -> None:
    neuron = fitted(name, bases, timesteps)
    # Every product and partial sum is a multiple of this unit and at most 2**24 of it.
    weight = neuron.weight.astype(np.float64) * 2.0 ** (1 - timesteps)
    parts = np.concatenate([weight[weight != 0.0], [float(neuron.bias)] if neuron.bias else []])
    if parts.size:
        mantissa, exponent = np.frexp(parts)
        integer = (mantissa * 2.0**53).astype(np.int64)
        unit = ((integer & -integer) * 2.0 ** (exponent - 53)).min()
        assert np.abs(weight).sum() * (2.0**timesteps - 1.0) + abs(float(neuron.bias)) <= unit * 2.0**24


@pytest.mark.parametrize("timesteps", [1, 4, 8, 16])
def test_gate_changes_no_output(timesteps: int) -> None:
    gated, plain = (fit_function(get("gelu"), 6, timesteps, gate=gate) for gate in (True, False))
    x = np.linspace(-12.0, 12.0, 999)
    np.testing.assert_array_equal(gated(x), plain(x))
    assert gated.halving == Halving(timesteps, True)
    assert plain.halving == Halving(timesteps, False)


def test_gelu_is_nearly_silent_where_its_arguments_are() -> None:
    neuron = fit_function(get("gelu"), 8, 4, calibrated_density(*heavy_tail(), -10.0, 10.0))
    x = np.random.default_rng(0).normal(-0.4, 1.3, 10000)
    assert closed_form(neuron, x).spikes.sum() <= 3.0 * x.size


@pytest.mark.parametrize("name", [name for name in names() if get(name).odd])
@pytest.mark.parametrize("timesteps", [1, 2, 5, 8, 16])
def test_odd_functions(name: str, timesteps: int) -> None:
    neuron = fit_function(get(name), 6, timesteps)
    assert neuron.polarity == 1
    assert neuron.bias == 0.0
    assert float(neuron(0.0)) == 0.0
    x = np.linspace(0.0, 20.0, 999)
    np.testing.assert_array_equal(neuron(-x), -neuron(x))


def test_paper_neuron_shares_one_potential_and_has_no_gate() -> None:
    neuron = fit_paper(get("tanh"), 4, 16)
    assert np.unique(neuron.u_rest).size == 1
    assert np.unique(np.sign(neuron.gain)).size == 1
    assert neuron.halving == Halving(16, False)
    assert neuron.polarity == 0


# Odd input --------------------------------------------------------------------------------------------


@given(
    st.integers(1, 12),
    st.integers(1, 16),
    st.floats(-1e4, 1e4),
    st.floats(1e-3, 1e4),
    st.sampled_from(["gelu", "relu", "tanh", "identity", "sigmoid", "hard_swish"]),
)
@settings(max_examples=20)
def test_any_range(bases: int, timesteps: int, lo: float, extent: float, name: str) -> None:
    """Ranges too narrow for float32 to hold all levels, and functions that are constant or linear there."""
    density = calibrated_density([lo, lo + extent / 2.0], [1, 3], lo, lo + extent)
    neuron = fit_function(get(name), bases, timesteps, density)
    y = neuron(density.points)
    values = get(name).formula(density.points)
    spread = np.ptp(values) if not get(name).odd else np.abs(values).max()
    # One basis at T=1 is a single step: it errs by all of the spread at most, and float32 rounds.
    assert np.abs(y - values).max() <= 1.01 * spread + np.abs(values).max() * 2.0**-16


@pytest.mark.parametrize("fit", [fit_function, fit_paper])
@pytest.mark.parametrize("timesteps", [1, 2, 4, 16])
def test_constant_function(fit: Callable[..., MbeNeuron], timesteps: int) -> None:
    """No error is left from the start, which must not keep the descent waiting for less."""
    neuron = fit(get("relu"), 4, timesteps, uniform_density(-9.0, -1.0))
    np.testing.assert_array_equal(neuron(np.linspace(-9.0, -1.0, 99)), 0.0)


def test_user_function() -> None:
    function = ScalarFunction("bump", lambda x: np.exp(-x * x), (-4.0, 4.0))
    assert squared_error(fit_function(function, 16, 8), function) <= 3e-6


@pytest.mark.parametrize(("bases", "timesteps"), [(0, 4), (-1, 4), (4, 0), (4, 17)])
def test_size_out_of_range(bases: int, timesteps: int) -> None:
    for fit in (fit_function, fit_paper):
        with pytest.raises(ConfigError, match="expected 1"):
            fit(get("gelu"), bases, timesteps)
    with pytest.raises(ConfigError, match="expected 1"):
        fit_identity(uniform_density(0.0, 1.0), bases, timesteps, limit=1.0)


def test_function_must_be_finite() -> None:
    with pytest.raises(ConfigError, match=r"'rsqrt' is not finite at 0\.0"):
        fit_paper(get("rsqrt"), 4, 4, uniform_density(0.0, 1.0))


def test_fixed_domain_is_not_left() -> None:
    with pytest.raises(ConfigError, match=r"beyond the domain \[0.0, 1.0\]"):
        fit_function(get("exp2"), 4, 4, uniform_density(-1.0, 1.0))
    assert fit_function(get("exp2"), 4, 4, calibrated_density([0.2, 0.7], [1, 2], 0.0, 1.0)).bases == 4


@pytest.mark.parametrize(
    "density",
    [
        Density(np.array([1.0]), np.array([1.0])),
        Density(np.array([1.0, 1.0]), np.array([0.5, 0.5])),
        Density(np.array([2.0, 1.0]), np.array([0.5, 0.5])),
        Density(np.array([1.0, np.nan]), np.array([0.5, 0.5])),
        Density(np.array([1.0, 2.0]), np.array([0.0, 0.0])),
        Density(np.array([1.0, 2.0]), np.array([1.5, -0.5])),
        Density(np.array([1.0, 2.0]), np.array([1.0])),
    ],
)
def test_density_must_be_one(density: Density) -> None:
    with pytest.raises(ConfigError, match="density"):
        fit_function(get("gelu"), 4, 4, density)


@pytest.mark.parametrize(("bases", "timesteps"), [(32, 8), (16, 16), (32, 2)])
def test_a_fit_takes_less_than_a_second(bases: int, timesteps: int) -> None:
    density = calibrated_density(*heavy_tail(), -32.0, 876.0)
    begin = time.process_time()  # of this process alone: others may share the core
    fit_function(get("gelu"), bases, timesteps, density)
    fit_identity(uniform_density(0.0, 1.0), bases, timesteps, limit=1.0)
    assert time.process_time() - begin < 2.0
