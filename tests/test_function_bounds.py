# SPDX-License-Identifier: Apache-2.0
"""The table of bounds of function errors holds: for the fits of today, and for every function."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from onnx_snn.fitting.density import uniform_density
from onnx_snn.fitting.function_fit import fit_function
from onnx_snn.neurons import functions
from onnx_snn.neurons.functions import ScalarFunction

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

import function_bounds  # noqa: E402 - it lies beside the other benchmarks

ROWS = json.loads((ROOT / "docs" / "measurements" / "function-bounds.json").read_text())
FAST = [row for row in ROWS if row[2] * row[3] <= 64]
"""Rows of few bases and time steps, whose fits take a few hundredths of a second."""


def test_the_table_has_every_function_at_every_size() -> None:
    keys = [(name, tuple(domain), bases, timesteps) for name, domain, bases, timesteps, *_ in ROWS]
    assert keys == list(function_bounds.keys())
    assert {name.split("(")[0] for name, *_ in keys} == set(functions.names()) - functions.registered()


def test_the_page_is_that_of_the_table() -> None:
    page = function_bounds.PAGE.read_text()
    assert page == "\n".join(function_bounds.page(ROWS)) + "\n"


@pytest.mark.parametrize("row", FAST[::37], ids=lambda row: f"{row[0]} {row[1]} N={row[2]} T={row[3]}")
def test_rows_are_those_of_the_fits(row: list) -> None:
    name, domain, bases, timesteps, *_ = row
    assert function_bounds.row((name, tuple(domain), bases, timesteps)) == row


@pytest.mark.parametrize(
    ("name", "bases", "timesteps"),
    [("gelu", 3, 4), ("tanh", 2, 5), ("abs", 2, 2), ("sin", 1, 3), ("rsqrt", 3, 1), ("mish", 1, 4)],
)
def test_no_argument_has_a_larger_error(name: str, bases: int, timesteps: int) -> None:
    """At random arguments, and at all float32 numbers beside the steps, where errors are largest."""
    function = functions.get(name)
    neuron = fit_function(function, bases, timesteps, uniform_density(*function.domain))
    found = function_bounds.bound(neuron, function, function.domain)
    lo, hi = np.float32(function.domain)
    x = np.random.default_rng(0).uniform(lo, hi, 20_000).astype(np.float32)
    steps = (neuron.u_rest + np.arange(2**timesteps)[:, None] / (neuron.gain * 2.0 ** (timesteps - 1))).ravel()
    near = (np.float32(steps).view(np.int32) + np.arange(-9, 10, dtype=np.int32)[:, None]).view(np.float32).ravel()
    x = np.clip(np.concatenate([x, near, -near]), lo, hi)
    exact = function.formula(x.astype(np.float64))
    error = np.abs(neuron(x) - exact)
    assert 0.9 * found.absolute <= error.max() <= found.absolute
    assert found.relative is None or (error / np.abs(exact)).max() <= found.relative


def test_a_turn_between_the_points_is_found() -> None:
    """A peak that lies on no point of the grid, far above all others."""
    peak = ScalarFunction("peak", lambda x: np.exp(-((x - 0.123456789) ** 2) * 1e7), (-1.0, 1.0))
    neuron = fit_function(functions.get("relu"), 1, 1, uniform_density(-1.0, 1.0))
    assert function_bounds.bound(neuron, peak, (-1.0, 1.0)).of_range >= 1.0 - float(
        neuron(np.float32([0.123456789]))[0]
    )


@pytest.mark.parametrize(("value", "rounded"), [(0.0, 0.0), (0.0101, 0.011), (0.01, 0.01), (9.91, 10.0), (1e-9, 1e-9)])
def test_bounds_are_rounded_up(value: float, rounded: float) -> None:
    assert function_bounds.rounded_up(value) == rounded
