# SPDX-License-Identifier: Apache-2.0
"""The families of docs/measurements/supported.md are converted as it says, and it says what the project promises.

Every network of the corpus is recognised. One of every other family, through one exporter after the other from family
to family, is converted and run; `python tests/support.py` does so with all of them and writes the page.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import groupby
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from corpus import CHOICE, SMALLEST_WEIGHT, Entry, compacted, entries, expanded, feeds
from graphs import graph
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from support import ERROR_BOUNDS, TABLE, converted, nonlinear_nodes, page, recognised

ENTRIES = {entry.name: entry for entry in entries()}
ROWS: dict[str, dict[str, Any]] = json.loads(TABLE.with_suffix(".json").read_text())

BY_FAMILY = [list(group) for _, group in groupby(ENTRIES.values(), key=lambda entry: entry.family)]
CONVERTED = [group[place % len(group)] for place, group in enumerate(BY_FAMILY)]
EVERY = {8: 4, 4: 16}
"""How many families go to one that is converted, by time steps: the fits of few time steps take longer."""

FAMILIES, OF_SEVERAL_EXPORTERS = 28, 20
"""How many families are promised, and how many of them through two exporters or more."""


def assert_no_worse(coverage: dict[str, Any], row: dict[str, Any]) -> None:
    """At least as many nodes converted as the page says, and none kept for a reason that it does not name."""
    assert coverage["converted"] >= row["converted"]
    assert {reason: count for reason, count in coverage["kept"].items() if count > row["kept"].get(reason, 0)} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_recognition_finds_what_the_page_says(name: str) -> None:
    assert_no_worse(recognised(ENTRIES[name]), ROWS[name])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "timesteps"),
    [
        pytest.param(entry, timesteps, id=f"{entry.name}-T{timesteps}")
        for timesteps, every in EVERY.items()
        for entry in CONVERTED[::every]
    ],
)
def test_conversion_is_as_close_as_the_page_says(entry: Entry, timesteps: int) -> None:
    coverage, error = converted(entry, timesteps)
    assert_no_worse(coverage, ROWS[entry.name])
    assert error <= ERROR_BOUNDS[timesteps]


# --- the page --------------------------------------------------------------------------------------


def test_the_page_is_about_the_corpus_and_up_to_date() -> None:
    assert ROWS.keys() == ENTRIES.keys()
    assert TABLE.read_text() == page(ROWS)


def test_as_many_families_as_promised() -> None:
    dialects = defaultdict(set)
    for entry in ENTRIES.values():
        dialects[entry.family].add(entry.dialect)
    assert len(dialects) >= FAMILIES
    assert sum(len(found) > 1 for found in dialects.values()) >= OF_SEVERAL_EXPORTERS


@pytest.mark.parametrize("name", ROWS)
def test_errors_on_the_page_are_within_bounds(name: str) -> None:
    assert ROWS[name]["errors"].keys() == {str(timesteps) for timesteps in ERROR_BOUNDS}
    for timesteps, bound in ERROR_BOUNDS.items():
        assert ROWS[name]["errors"][str(timesteps)] <= bound


# --- what the tests stand on -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("t = Tanh(x) y = Mul(t, half)", ["t"]),
        ("d = Div(x, two) y = Div(d, x)", ["y"]),
        ("s = Shape(x) f = Cast<to = 1>(s) r = Sqrt(f) y = Mul(x, r)", []),
        ("a = acme.Any(x) y = Add(a, x)", ["a"]),
        ("a = Neg(x) y = MatMul(a, x)", []),
    ],
)
def test_nonlinear_nodes_that_see_an_activation_are_found(body: str, left: list[str]) -> None:
    assert list(nonlinear_nodes(ir.to_proto(graph(body)))) == left


def with_weights(**arrays: np.ndarray) -> onnx.ModelProto:
    """A model that is nothing but initializers."""
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    return onnx.helper.make_model(onnx.helper.make_graph([], "weights", [], [], tensors))


def stored(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@given(st.floats(-2, 2), st.floats(1e-3, 2), st.integers(0, 99))
def test_weights_are_drawn_again_as_they_were_spread(offset: float, deviation: float, seed: int) -> None:
    before = np.random.default_rng(seed).normal(offset * deviation, deviation, size=(64, 48)).astype(np.float32)
    compact = compacted(with_weights(w=before))
    assert not compact.graph.initializer[0].raw_data
    after = stored(expanded(compact))["w"]
    assert (after.shape, after.dtype) == (before.shape, before.dtype)
    assert after.mean() == pytest.approx(before.mean(), abs=0.1 * deviation)
    assert after.std() == pytest.approx(before.std(), rel=0.1)
    np.testing.assert_array_equal(after, stored(expanded(compact))["w"])


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(np.arange(96, dtype=np.int64), id="indices"),
        pytest.param(np.full((1, 8, 8), -np.inf, np.float32), id="a mask"),
        pytest.param(np.cos(np.outer(np.arange(64), 10.0 ** -np.arange(0, 4, 0.5))).astype(np.float32), id="angles"),
        pytest.param(np.full(128, 0.3, np.float32), id="a constant"),
        pytest.param(np.random.default_rng(0).uniform(0.5, 1, 128).astype(np.float32), id="variances"),
        pytest.param(np.random.default_rng(0).normal(size=SMALLEST_WEIGHT - 1).astype(np.float32), id="few numbers"),
    ],
)
def test_what_is_no_weight_is_kept_to_the_bit(kept: np.ndarray) -> None:
    after = stored(expanded(compacted(with_weights(w=kept))))["w"]
    np.testing.assert_allclose(after, kept, rtol=1e-7)
    assert after.dtype == kept.dtype


def test_inputs_fit_every_network() -> None:
    for entry in ENTRIES.values():
        model = entry.load()
        made = feeds(model, seed=0, batch=3)
        assert {array.shape[0] for name, array in made.items() if name != CHOICE} == {3}
        assert all("mask" not in name or (array[1] == 0).any() for name, array in made.items())
