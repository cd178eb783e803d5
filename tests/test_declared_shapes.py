# SPDX-License-Identifier: Apache-2.0
"""Declared shapes that a model cannot have are mended; all others stay."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from both_runtimes import checked_conversion
from conversions import converted
from graphs import graph
from hypothesis import given
from hypothesis import strategies as st
from networks import normal

from onnx_snn.errors import CalibrationError
from onnx_snn.graph.declared_shapes import drop_contradicted_shapes, free_negative_sizes, is_consistent

SPLIT = "t = Tanh (x) y = Reshape (t, halves)"
HALVES = "int64[4] halves = {-1, 4, 2, 4}"
FEEDS = [{"x": normal(2, 4, 8, seed=seed)} for seed in range(3)]

Sizes = "list[int | str | None]"


def split(output: str = "float[N,4,2,4] y") -> ir.Model:
    return graph(SPLIT, outputs=output, initializers=HALVES)


def declare(model: ir.Model, sizes: Sizes) -> None:
    """Declare the output of the first node."""
    value = model.graph[0].outputs[0]
    value.shape, value.type = ir.Shape(sizes), ir.TensorType(ir.DataType.FLOAT)


def shapes(model: ir.Model) -> dict[str | None, ir.Shape | None]:
    return {value.name: value.shape for node in model.graph for value in node.outputs}


@pytest.mark.parametrize(
    "output", ["float[N,8] y", "float[N,4,2,5] y", "float[1,2,3,4,5] y"], ids=["rank", "size", "larger rank"]
)
def test_a_wrong_output_shape_is_replaced(output: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = checked_conversion(split(output), tmp_path, FEEDS)
    assert ir.load(found.spiking).graph.outputs[0].shape == ir.Shape([None, 4, 2, 4])
    assert "'y' is declared with shape" in caplog.text
    assert "original.onnx" in caplog.text
    assert found.error < 0.02


@pytest.mark.parametrize("sizes", [["N"], ["N", 4, 9], [2, 3, 4, 5]])
def test_a_wrong_inner_shape_is_replaced(sizes: Sizes, tmp_path: Path) -> None:
    model = split()
    declare(model, sizes)
    assert not is_consistent(model)
    drop_contradicted_shapes(model, "it")
    assert shapes(model)["t"] == ir.Shape(["N", 4, 8])
    assert is_consistent(model)
    assert checked_conversion(model, tmp_path, FEEDS).error < 0.02


def test_a_wrong_rank_does_not_move_a_softmax(tmp_path: Path) -> None:
    model = graph("t = Tanh (x) y = Softmax <axis = 1> (t)")
    declare(model, ["N", 4])
    assert checked_conversion(model, tmp_path, FEEDS).error < 0.02


def test_wrong_shapes_in_a_branch_are_dropped(tmp_path: Path) -> None:
    branch = "() => (float[N,4,8] a) { p = Tanh (x) a = Neg (p) }"
    body = f"y = If (c) <then_branch = t {branch}, else_branch = e {branch}>"
    model = graph(body, inputs="float[N,4,8] x, bool[1] c")
    inner = next(node for node in model.graph.all_nodes() if node.op_type == "Tanh").outputs[0]
    inner.shape, inner.type = ir.Shape([2]), ir.TensorType(ir.DataType.FLOAT)
    feeds = [{**feed, "c": np.array([number % 2 == 0])} for number, feed in enumerate(FEEDS)]
    assert checked_conversion(model, tmp_path, feeds).error < 0.02


@given(st.lists(st.sampled_from(["N", "M", 2, 4, 8, None]), min_size=3, max_size=3))
def test_shapes_that_are_possible_stay(sizes: Sizes) -> None:
    model = graph("t = Tanh (x) y = Neg (t)")
    declare(model, sizes)
    possible = sizes[1] not in (2, 8) and sizes[2] not in (2, 4)
    drop_contradicted_shapes(model, "it")
    assert (shapes(model)["t"] == ir.Shape(sizes)) is possible


@pytest.mark.slow
def test_sizes_of_minus_one_are_free(tmp_path: Path) -> None:
    model = graph("y = Tanh (x)")
    model.graph.inputs[0].shape, model.graph.outputs[0].shape = ir.Shape([-1, 4, 8]), ir.Shape([-1, 4, 8])
    assert checked_conversion(model, tmp_path, [FEEDS[0] | {}, {"x": normal(3, 4, 8)}]).error < 0.02
    _, report = converted(model, tmp_path, {"x": normal(12, 4, 8)})
    assert report.calibration_samples == 12


def test_other_sizes_stay() -> None:
    model = graph("y = Tanh (x)", inputs="float[N,4,0] x", outputs="float[N,4,0] y")
    free_negative_sizes(model)
    assert model.graph.inputs[0].shape == ir.Shape(["N", 4, 0])


def test_no_sample_fits_a_first_axis_of_size_0(tmp_path: Path) -> None:
    model = graph("y = Tanh (x)", inputs="float[0,4,8] x", outputs="float[0,4,8] y")
    with pytest.raises(CalibrationError, match=r"fixes the first axis of input 'x' to size 0.*symbolic size"):
        converted(model, tmp_path, {"x": normal(12, 4, 8)})
