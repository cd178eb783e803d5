# SPDX-License-Identifier: Apache-2.0
"""Branches of If nodes: tensors in them are seen from outside, names told apart, execution paths known."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from graphs import graph
from hypothesis import given
from hypothesis import strategies as st
from networks import normal, relative_error, run
from onnx_ir.passes.common import NameFixPass

import onnx_snn
from onnx_snn import Status
from onnx_snn.calibration.branches import execution_paths, running, untaken
from onnx_snn.data.feeds import Feeds, open_feeds
from onnx_snn.data.specs import input_specs
from onnx_snn.graph.subgraphs import EMPTY, around, lifted, places
from onnx_snn.graph.unique_names import make_names_unique
from onnx_snn.rules import Kind, recognise
from onnx_snn.runtime.tap_session import Observer

TENSOR = "float[N,4,8]"
INPUTS = f"{TENSOR} x, bool p, bool q"
NESTED = f"""
    h = Relu (x)
    y = If (p) <
        then_branch = outer () => ({TENSOR} a) {{
            r = Neg (h)
            c = Not (q)
            s = If (c) <
                then_branch = deep () => ({TENSOR} d) {{ t = Tanh (r) d = Mul (t, r) }},
                else_branch = shallow () => ({TENSOR} e) {{ t = Sigmoid (h) e = MatMul (t, w) }}
            >
            a = Gelu (s)
        }},
        else_branch = other () => ({TENSOR} b) {{ t = Erf (h) b = Add (t, h) }}
    >
"""
WEIGHT = "float[8,8] w = {" + ", ".join(str(i % 7 - 3) for i in range(64)) + "}"
NAMES = {
    ("y", "then_branch"): "outer",
    ("y", "else_branch"): "other",
    ("s", "then_branch"): "deep",
    ("s", "else_branch"): "shallow",
}
INNER = list(NAMES.values())
RUNS = {
    (False, False): {"other"},
    (False, True): {"other"},
    (True, False): {"outer", "deep"},
    (True, True): {"outer", "shallow"},
}
"""Graphs that run, by p and q."""


def nested() -> ir.Model:
    model = graph(NESTED, inputs=INPUTS, initializers=WEIGHT)
    make_names_unique(model)
    return model


def data(*choices: tuple[bool, bool]) -> list[dict[str, np.ndarray]]:
    return [
        {"x": normal(2, 4, 8, seed=seed), "p": np.array(p), "q": np.array(q)} for seed, (p, q) in enumerate(choices)
    ]


def feeds(*choices: tuple[bool, bool]) -> Feeds:
    return open_feeds(data(*choices), input_specs(nested()))


# --- names -----------------------------------------------------------------------------------------


def test_names_that_branches_share_get_the_name_of_the_branch() -> None:
    names = Counter(value.name for node in nested().graph.all_nodes() for value in node.outputs)
    assert set(names.values()) == {1}
    assert {"deep/t", "shallow/t", "other/t"} < names.keys()
    assert {"h", "y", "r", "a", "b", "d", "e"} < names.keys()


def test_the_library_lets_branches_share_names() -> None:
    """Why names are made unique here: `NameFixPass` has one scope for each branch."""
    model = graph(NESTED, inputs=INPUTS, initializers=WEIGHT)
    NameFixPass()(model)
    names = Counter(value.name for node in model.graph.all_nodes() for value in node.outputs)
    assert names["t"] > 1


def test_names_that_are_taken_are_numbered() -> None:
    body = NESTED.replace("h = Relu (x)", "deep_t = Neg (x) h = Relu (deep_t)")
    model = graph(body, inputs=INPUTS, initializers=WEIGHT)
    next(iter(model.graph)).outputs[0].name = "deep/t"
    make_names_unique(model)
    names = [value.name for node in model.graph.all_nodes() for value in node.outputs]
    assert len(set(names)) == len(names)
    assert "deep/t_1" in names


def test_renaming_changes_no_result_and_no_interface() -> None:
    before, after = graph(NESTED, inputs=INPUTS, initializers=WEIGHT), nested()
    assert [value.name for value in after.graph.outputs] == ["y"]
    for feed in data(*RUNS):
        np.testing.assert_array_equal(run(before, feed)["y"], run(after, feed)["y"])


# --- lifting ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", RUNS)
def test_a_tensor_is_seen_where_its_branch_is_taken_and_empty_elsewhere(choice: tuple[bool, bool]) -> None:
    model, (feed,) = nested(), data(choice)
    where = {
        "h": "",
        "r": "outer",
        "s": "outer",
        "deep/t": "deep",
        "shallow/t": "shallow",
        "e": "shallow",
        "b": "other",
    }
    seen = Observer(model, list(where))(feed)
    h = np.maximum(feed["x"], 0)
    assert {name for name, array in seen.items() if array.shape != EMPTY} == {
        name for name, inside in where.items() if not inside or inside in RUNS[choice]
    }
    for name, expected in {"h": h, "r": -h, "deep/t": np.tanh(-h), "shallow/t": 1 / (1 + np.exp(-h))}.items():
        if seen[name].shape != EMPTY:
            np.testing.assert_allclose(seen[name], expected, atol=1e-6)
    shapes = Observer(model, list(where), shapes=True)(feed)
    assert {name for name, shape in shapes.items() if shape.size == 3} == {
        name for name, array in seen.items() if array.shape != EMPTY
    }


def test_lifting_leaves_what_the_model_computes() -> None:
    model = nested()
    values = [value for node in model.graph.all_nodes() for value in node.outputs if value.dtype != ir.DataType.BOOL]
    before = [run(model, feed)["y"] for feed in data(*RUNS)]
    model.graph.outputs.extend(value for value in lifted(model, values) if not value.is_graph_output())
    for expected, feed in zip(before, data(*RUNS), strict=True):
        np.testing.assert_array_equal(run(model, feed)["y"], expected)


def test_places_lead_from_the_inside_out() -> None:
    model = nested()
    known = places(model)
    assert sorted(str(graph.name) for graph in known) == sorted(INNER)
    chains = {str(graph.name): [place.attribute for place in around(graph, known)] for graph in known}
    assert chains["shallow"] == ["else_branch", "then_branch"]
    assert chains["other"] == ["else_branch"]
    assert list(around(model.graph, known)) == []


# --- execution paths --------------------------------------------------------------------------------


@pytest.mark.slow
@given(st.lists(st.sampled_from(list(RUNS)), min_size=1, max_size=6))
def test_execution_paths_are_the_sets_of_branches_that_the_data_takes(choices: list[tuple[bool, bool]]) -> None:
    model = nested()
    sites = recognise(model).sites
    found = execution_paths(model, sites, feeds(*choices))
    names = [{NAMES[branch] for branch in path} for path in found]
    assert len(names) == len({frozenset(taken) for taken in names})
    assert {frozenset(taken) for taken in names} == {frozenset(RUNS[choice]) for choice in choices}
    for path, feed in found.items():
        assert {NAMES[branch] for branch in path} == RUNS[bool(feed["p"]), bool(feed["q"])]
    taken = set().union(*names)
    refused = untaken(sites, found, model)
    assert {str(site.nodes[-1].graph.name) for site in refused if site.nodes[-1].graph} == set(INNER) - taken
    seen = {site for path in found for site in running(sites, path, model)}
    assert seen == set(sites) - refused.keys()
    copy = model.clone()
    again = untaken(recognise(copy).sites, found, copy)
    assert sorted(site.name for site in again) == sorted(site.name for site in refused)


def test_without_branches_the_first_feed_stands_for_all() -> None:
    model = graph("y = Gelu (x)")
    source = open_feeds([{"x": normal(2, 4, 8)}, {"x": normal(3, 4, 8)}], input_specs(model))
    ((path, feed),) = execution_paths(model, recognise(model).sites, source).items()
    assert (path, len(feed["x"])) == (frozenset(), 2)


# --- conversion ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_nested_branches_are_converted(tmp_path: Path) -> None:
    model, target = graph(NESTED, inputs=INPUTS, initializers=WEIGHT), tmp_path / "spiking.onnx"
    report = onnx_snn.convert(model, target, data(*RUNS), body="closed", fast=True)
    assert report.count(Status.CONVERTED) == len(report.nodes) == 7
    assert {node.name for node in report.nodes} >= {"deep/t", "shallow/t", "other/t"}
    for feed in data(*RUNS):
        assert relative_error(run(model, feed)["y"], run(target, feed)["y"]) < 0.005
    assert sum(onnx_snn.inspect(target).operators.values()) == 5 + 3  # functions, and codes of operands


def test_scales_run_along_the_channels_of_tensors_in_branches(tmp_path: Path) -> None:
    body = f"""y = If (p) <
        then_branch = yes () => ({TENSOR} a) {{ s = Mul (x, spread) a = MatMul (s, w) }},
        else_branch = no () => ({TENSOR} b) {{ m = MatMul (x, w) b = LayerNormalization <axis = -1> (m, gamma, beta) }}
    >"""
    spread = "float[8] spread = {1, 2, 4, 8, 16, 32, 64, 128}"
    model = graph(body, inputs=f"{TENSOR} x, bool p", initializers=f"{WEIGHT}, {spread}")
    weight = model.graph.initializers["w"]
    rows = weight.const_value.numpy() * 2.0 ** -np.arange(8, dtype=np.float32)[:, None]
    weight.const_value = ir.tensor(rows, name="w")
    both = [{"x": normal(4, 4, 8, seed=seed), "p": np.array(seed > 0)} for seed in range(2)]
    report = onnx_snn.convert(model, tmp_path / "spiking.onnx", both, body="closed", fast=True)
    assert report.count(Status.CONVERTED) == len(report.nodes) == 3
    written = ir.load(tmp_path / "spiking.onnx")
    codes = {node.inputs[0].name: node.inputs[-1] for node in written.graph.all_nodes() if node.op_type == "MbeNeuron"}
    scale = codes["s"].const_value.numpy()
    assert scale.shape == (8,)
    assert np.log2(scale / scale[0]) == pytest.approx(np.arange(8), abs=1)  # steps are coarse where weights are small


def test_branches_share_weights_and_parameters_but_no_code_of_what_lies_outside(tmp_path: Path) -> None:
    body = f"""h = Neg (x) y = If (p) <
        then_branch = yes () => ({TENSOR} a) {{ a = MatMul (h, w) }},
        else_branch = no () => ({TENSOR} b) {{ m = MatMul (h, w) b = Neg (m) }}
    >"""
    model, target = graph(body, inputs=f"{TENSOR} x, bool p", initializers=WEIGHT), tmp_path / "spiking.onnx"
    both = [{"x": normal(4, 4, 8), "p": np.array(p)} for p in (True, False)]
    onnx_snn.convert(model, target, both, body="closed", fast=True)
    written = ir.load(target)
    neurons = [node for node in written.graph.all_nodes() if node.op_type == "MbeNeuron"]
    assert [node.graph.name for node in neurons if node.graph] == ["yes", "no"]
    assert list(neurons[0].inputs) == list(neurons[1].inputs)
    assert [kind.kind for kind in recognise(model).sites] == [Kind.SYNAPSE] * 2
    products = [node for node in written.graph.all_nodes() if node.op_type == "MatMul"]
    assert {node.inputs[1] for node in products} == {written.graph.initializers["w"]}
    assert all(not inner.initializers for inner in written.graph.subgraphs())
