# SPDX-License-Identifier: Apache-2.0
"""What is added to a model breaks no name of it, whatever its inputs, initializers and tensors are called."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from graphs import graph
from networks import normal, run

import onnx_snn
from onnx_snn.evaluation.switched_model import SwitchedModel
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.node_builder import NodeBuilder, SharedInitializers, add_initializer
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.neurons.opset import OPERATORS, Body
from onnx_snn.profiling.spike_outputs import add_gates, meter
from onnx_snn.runtime.tap_session import Observer

X = {"x": normal(4, 4, 8)}
TENSOR = "float[N,4,8]"


def network(other: str, *, initializer: bool = False) -> ir.Model:
    """y = Gelu (x) + z, where z is an input or an initializer called `other`, or a tensor of that name."""
    if initializer:
        model = graph("[gelu] g = Gelu (x) y = Add (g, z)", inputs=f"{TENSOR} x", initializers="float[1] z = {1}")
        model.graph.initializers["z"].name = other
    else:
        model = graph("[gelu] g = Gelu (x) y = Add (g, z)", inputs=f"{TENSOR} x, {TENSOR} z")
        model.graph.inputs[1].name = other
    return model


def spiking(model: ir.Model, path: Path, **options: Any) -> ir.Model:
    feeds = {str(value.name): X["x"] for value in model.graph.inputs}
    onnx_snn.convert(model, path, feeds, timesteps=4, progress=False, **{"fast": True, **options})
    return load_model(path)


def feeds_of(model: ir.Model) -> dict[str, Any]:
    return {str(value.name): X["x"] for value in model.graph.inputs}


# --- the allocator ---------------------------------------------------------------------------------


def test_names_of_nodes_values_inputs_and_initializers_are_taken_in_subgraphs_too() -> None:
    body = f"""
        [top] h = Relu (x)
        y = If (p) <
            then_branch = outer () => ({TENSOR} a) <float[1] inner = {{1}}> {{ [deep] a = Add (w, inner) }},
            else_branch = other () => ({TENSOR} b) {{ b = Identity (h) }}
        >
    """
    names = UniqueNames.of(graph(body, inputs=f"{TENSOR} x, bool p", initializers="float[8] w = {1,1,1,1,1,1,1,1}"))
    for name in ("top", "h", "x", "p", "a", "b", "deep", "inner", "w"):
        assert names.unused(name) == f"{name}_1", name
    assert names.unused("z") == "z"


def test_a_name_is_given_once() -> None:
    names = UniqueNames(["a", "a_1", None])
    assert [names.take(name) for name in ("a", "a", "b", "b")] == ["a_2", "a_3", "b", "b_1"]


def test_equal_constants_are_one_initializer_of_an_unused_name() -> None:
    model = network("c", initializer=True)
    names = UniqueNames.of(model)
    constants = SharedInitializers(model, names)
    one = constants.get(1.0, ir.DataType.FLOAT, "c")
    assert constants.get(1.0, ir.DataType.FLOAT, "c") is one
    half = constants.get(1.0, ir.DataType.FLOAT16, "c")
    assert [one.name, half.name] == ["c_1", "c_2"]
    assert add_initializer(model, names, "c", np.ones(1, np.float32)).name == "c_3"
    NodeBuilder(names, model.graph).named("y", "Neg", [one])
    constants.remove_unused()
    assert list(model.graph.initializers) == ["c", "c_1", "c_3"]
    assert model.graph.node(-1).outputs[0].name == "y_1"


# --- counts of spikes ------------------------------------------------------------------------------


@pytest.mark.parametrize("initializer", [False, True])
def test_counts_are_named_beside_inputs_and_initializers(initializer: bool, tmp_path: Path) -> None:
    model = network("gelu/spikes", initializer=initializer)
    metered = spiking(model, tmp_path / "metered.onnx", meter=True)
    assert [value.name for value in metered.graph.outputs] == ["y", "gelu/spikes_1"]
    assert run(metered, feeds_of(model))["gelu/spikes_1"].dtype == np.int64


@pytest.mark.parametrize("initializer", [False, True])
def test_what_counts_for_a_profile_is_named_beside_inputs_and_initializers(initializer: bool, tmp_path: Path) -> None:
    model = network("gelu/spikes/gated_threshold", initializer=initializer)
    counting = spiking(model, tmp_path / "spiking.onnx", gate=False)
    meters = meter(counting, Body.LOOP)
    expected = run(counting, feeds_of(model))
    add_gates(counting, meters)
    found = run(counting, feeds_of(model))
    np.testing.assert_array_equal(found["y"], expected["y"])
    counts = found["gelu/spikes"]
    assert (counts[1:] + counts[0]).sum() == expected["gelu/spikes"].sum()
    profile = onnx_snn.profile(tmp_path / "spiking.onnx", feeds_of(model), progress=False)
    assert sum(int(neuron.spikes.sum()) for neuron in profile.neurons) == expected["gelu/spikes"].sum()


# --- observed tensors ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["n/deviation", "n/divisor", "n/divisor/mean", "n/deviation/mean/axes"])
def test_a_normalization_is_observed_beside_tensors_of_its_names(name: str, tmp_path: Path) -> None:
    """The tensor of that name is coded itself, by the Gelu that reads it."""
    body = "[norm] n = LayerNormalization (x, gamma, beta) z = Mul (n, two) [gelu] g = Gelu (z) y = Add (n, g)"
    plain = graph(body)
    renamed = plain.clone()
    next(node for node in renamed.graph if node.op_type == "Mul").outputs[0].name = name
    expected = run(spiking(plain, tmp_path / "plain.onnx"), X)["y"]
    np.testing.assert_array_equal(run(spiking(renamed, tmp_path / "renamed.onnx"), X)["y"], expected)


@pytest.mark.parametrize("initializer", [False, True])
def test_shapes_are_observed_beside_tensors_of_their_names(initializer: bool) -> None:
    model = network("onnx_snn.shape_of.g", initializer=initializer)
    (shape,) = Observer(model, ["g"], shapes=True)(feeds_of(model)).values()
    assert shape.tolist() == [4, 4, 8]


def test_tensors_of_branches_are_observed_beside_tensors_of_their_names() -> None:
    body = f"""
        y = If (c) <
            then_branch = taken () => ({TENSOR} a) {{ t = Tanh (x) a = Add (t, z) }},
            else_branch = other () => ({TENSOR} b) {{ b = Identity (x) }}
        >
    """
    inputs = f"{TENSOR} x, {TENSOR} z, bool c"
    for name in ("onnx_snn.lifted.t.0", "onnx_snn.lifted.t.0.then_branch", "onnx_snn.lifted.t.0.else_branch"):
        model = graph(body, inputs=inputs)
        model.graph.inputs[1].name = name
        (found,) = Observer(model, ["t"])(feeds_of(model) | {"c": np.array(True)}).values()
        np.testing.assert_allclose(found, np.tanh(X["x"]), atol=1e-6)


# --- switched networks -----------------------------------------------------------------------------


@pytest.mark.parametrize("initializer", [False, True])
@pytest.mark.parametrize("name", ["onnx_snn.switch.0", "gelu.weight", "g/spiking", "g/exact"])
def test_a_switched_network_runs_beside_tensors_of_its_names(name: str, initializer: bool, tmp_path: Path) -> None:
    model = network(name, initializer=initializer)
    converted = spiking(model, tmp_path / "spiking.onnx")
    board = SwitchedModel(model, converted, adjustable=True)
    node = next(node for node in converted.graph if node.domain == "onnx_snn")
    tensors = dict(zip(OPERATORS[node.op_type].inputs, node.inputs, strict=True))
    given = {key: tensors[key[1]].const_value.numpy() for key in board.parameters}  # type: ignore[union-attr]
    feeds = feeds_of(model)
    np.testing.assert_array_equal(board(feeds, {"gelu"}, ["y"], given)["y"], run(converted, feeds)["y"])
    np.testing.assert_allclose(board(feeds, (), ["y"], given)["y"], run(model, feeds)["y"], atol=1e-6)


# --- files -----------------------------------------------------------------------------------------


def test_ordinary_networks_keep_the_documented_names(tmp_path: Path) -> None:
    model = network("z")
    metered = spiking(model, tmp_path / "metered.onnx", meter=True)
    assert [value.name for value in metered.graph.outputs] == ["y", "gelu/spikes"]
    names = Counter(value.name for node in metered.graph.all_nodes() for value in node.outputs)
    assert set(names.values()) == {1}
