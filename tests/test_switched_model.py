# SPDX-License-Identifier: Apache-2.0
"""Original and spiking network in one session: every choice of spiking nodes computes what it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
import recurrent_cells
from graphs import graph
from networks import normal, relative_error, run, tokens

import onnx_snn
from onnx_snn import ModelError
from onnx_snn.decompositions.decomposer import decompose
from onnx_snn.evaluation.switched_graph import SwitchedGraph
from onnx_snn.evaluation.switched_model import SwitchedModel
from onnx_snn.graph.model_reader import load_model
from onnx_snn.neurons import opset
from onnx_snn.neurons.function_bodies import function_protos

pytestmark = pytest.mark.slow

ROUNDING = 1e-5
"""Products outside the spiking nodes sum in another order where onnxruntime fuses or packs differently."""


@pytest.fixture(scope="module")
def spiking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Transformer at T=4, so that errors show."""
    path = tmp_path_factory.mktemp("switched") / "spiking.onnx"
    onnx_snn.convert(networks.transformer(), path, tokens(), timesteps=4, body="closed", fast=True)
    return path


@pytest.fixture(scope="module")
def switched(spiking: Path) -> SwitchedModel:
    return SwitchedModel(ir.from_proto(networks.transformer()), load_model(spiking))


def test_it_knows_every_spiking_node(switched: SwitchedModel, spiking: Path) -> None:
    assert list(switched.nodes) == [node.name for node in networks.spiking_nodes(spiking)]
    (code,) = (node for node in switched.nodes.values() if node.original == "normed" and node.source == "identity")
    assert code.readers == ("query", "key", "value")
    assert switched.nodes["gelu"].output == switched.nodes["gelu"].original == "activated"


def test_nothing_on_is_the_original(switched: SwitchedModel) -> None:
    expected = run(networks.transformer(), tokens(seed=2))["logits"]
    assert relative_error(expected, switched(tokens(seed=2), (), ["logits"])["logits"]) < ROUNDING


def test_everything_on_is_the_spiking_network(switched: SwitchedModel, spiking: Path) -> None:
    expected = run(spiking, tokens(seed=2))["logits"]
    original = run(networks.transformer(), tokens(seed=2))["logits"]
    got = switched(tokens(seed=2), set(switched.nodes), ["logits"])["logits"]
    assert relative_error(expected, got) < ROUNDING < relative_error(original, got)


@pytest.mark.parametrize("name", ["norm_1", "softmax", "gelu"])
def test_one_node_on_changes_nothing_before_it(name: str, switched: SwitchedModel) -> None:
    nodes = list(switched.nodes.values())
    place = list(switched.nodes).index(name)
    taps = [node.output for node in nodes]
    exact, alone = switched(tokens(), (), taps), switched(tokens(), {name}, taps)
    for node in nodes[:place]:
        np.testing.assert_array_equal(exact[node.output], alone[node.output])
    assert 0.0 < relative_error(exact[nodes[place].output], alone[nodes[place].output]) < 0.1


def test_it_runs_without_kernels(switched: SwitchedModel, spiking: Path) -> None:
    portable = SwitchedModel(ir.from_proto(networks.transformer()), load_model(spiking), kernels=False)
    on = {"softmax", "gelu"}
    expected, got = (each(tokens(), on, ["logits"])["logits"] for each in (switched, portable))
    assert relative_error(expected, got) < ROUNDING


@pytest.mark.parametrize(
    "body",
    [
        "y = Softmax<axis = 1>(x)",
        "d = Div(x, root2) e = Erf(d) s = Add(e, one) m = Mul(x, s) y = Mul(m, half)",
        "s = Sigmoid(x) y = Mul(x, s)",
        "a = Relu(x) y = Add(a, x)",
    ],
)
def test_patterns_of_several_nodes_and_other_axes(body: str, tmp_path: Path) -> None:
    original, x = graph(body), {"x": normal(3, 4, 8)}
    onnx_snn.convert(original, tmp_path / "spiking.onnx", x, timesteps=3, fast=True)
    small = SwitchedModel(original, load_model(tmp_path / "spiking.onnx"))
    exact, spiking = run(original, x)["y"], run(tmp_path / "spiking.onnx", x)["y"]
    assert relative_error(exact, small(x, (), ["y"])["y"]) < ROUNDING
    np.testing.assert_array_equal(small(x, set(small.nodes), ["y"])["y"], spiking)


@pytest.mark.parametrize(
    "body",
    [
        "y = Softmax<axis = 1>(x)",
        "a = Relu(x) t = Transpose<perm = [0, 2, 1]>(a) y = MatMul(a, t)",
        "c = Cast<to = 1>(x) n = Tanh(c) y = Cast<to = 10>(n)",
    ],
)
def test_casts_of_half_precision_belong_to_the_spiking_nodes(body: str, tmp_path: Path) -> None:
    original = graph(body, inputs="float16[N,4,8] x", outputs="float16[N,4,a] y")
    x = {"x": normal(3, 4, 8).astype(np.float16)}
    onnx_snn.convert(original, tmp_path / "spiking.onnx", x, timesteps=3, fast=True)
    half = SwitchedModel(original, load_model(tmp_path / "spiking.onnx"))
    expected = {(): run(original, x)["y"], tuple(half.nodes): run(tmp_path / "spiking.onnx", x)["y"]}
    for on, y in expected.items():  # float16 has 11 bits, and onnxruntime sums in float32 where it fuses casts
        assert relative_error(y, half(x, on, ["y"])["y"]) < 1e-3


@pytest.mark.parametrize("kernels", [True, False])
def test_a_metered_network_is_like_any_other(kernels: bool, spiking: Path, tmp_path: Path) -> None:
    model = networks.transformer()
    onnx_snn.convert(model, tmp_path / "metered.onnx", tokens(), timesteps=4, body="closed", meter=True, fast=True)
    metered = SwitchedModel(ir.from_proto(model), load_model(tmp_path / "metered.onnx"), kernels=kernels)
    got = metered(tokens(), set(metered.nodes), ["logits"])["logits"]
    assert relative_error(run(spiking, tokens())["logits"], got) < ROUNDING


def test_parameters_can_be_given_with_each_run(spiking: Path) -> None:
    model = load_model(spiking)
    adjustable = SwitchedModel(ir.from_proto(networks.transformer()), model, adjustable=True)
    given = {
        (str(node.name), read): value.const_value.numpy()
        for node in model.graph
        if node.domain == "onnx_snn"
        for read, value in zip(opset.OPERATORS[node.op_type].inputs, node.inputs, strict=True)
        if value is not None and value.const_value is not None
    }
    every = {("gelu", name) for name in (*opset.PARAMETERS, "scale")}
    assert every <= adjustable.parameters.keys()
    given = {key: array for key, array in given.items() if key in adjustable.parameters}
    expected = run(spiking, tokens())["logits"]
    got = adjustable(tokens(), set(adjustable.nodes), ["logits"], given)["logits"]
    assert relative_error(expected, got) < ROUNDING
    silent = given | {("gelu", "weight"): 0 * given["gelu", "weight"]}
    activated = adjustable(tokens(), {"gelu"}, ["activated"], silent)["activated"]
    np.testing.assert_array_equal(activated, np.full_like(activated, given["gelu", "bias"]))


def test_functions_of_free_parameters_rely_on_no_neuron(spiking: Path) -> None:
    """Other parameters may be given than those whose properties the functions of the file rely on."""
    model = load_model(spiking)
    SwitchedGraph(ir.from_proto(networks.transformer()), model).free_parameters()
    found = {name: ir.to_proto(function) for (domain, name, _), function in model.functions.items()}
    general = {proto.name: proto for proto in function_protos(found, opset=model.graph.opset_imports[""])}
    operations = [
        {name: [node.op_type for node in proto.node[-1].attribute[0].g.node] for name, proto in functions.items()}
        for functions in (found, general)
    ]
    assert operations[0] == operations[1]


def strangers() -> list[tuple[Any, str]]:
    other = networks.classifier()
    renamed = networks.transformer()
    for node in renamed.graph.node:
        node.output[:] = [name if name == "logits" else f"other_{name}" for name in node.output]
        node.input[:] = [f"other_{name}" if name in _INNER else name for name in node.input]
    return [(other, "give the original of this network"), (renamed, "is not in the original")]


_INNER = {name for node in networks.transformer().graph.node for name in node.output} - {"logits"}


@pytest.mark.parametrize(("original", "says"), strangers())
def test_networks_that_do_not_belong_together_are_refused(original: onnx.ModelProto, says: str, spiking: Path) -> None:
    with pytest.raises(ModelError, match=says):
        SwitchedModel(ir.from_proto(original), load_model(spiking))


def test_a_network_without_spiking_nodes_is_refused() -> None:
    model = ir.from_proto(networks.transformer())
    with pytest.raises(ModelError, match="no spiking node"):
        SwitchedModel(model, model)


def test_a_run_that_starts_before_a_cell_reaches_the_spiking_nodes_in_its_loop(tmp_path: Path) -> None:
    model = recurrent_cells.network("RNN", "forward")
    factor = onnx.numpy_helper.from_array(normal(4, 4, seed=7), "factor")
    model.graph.initializer.extend([factor])
    product = onnx.helper.make_node("MatMul", ["x", "factor"], ["p"], "p")
    before = [product, onnx.helper.make_node("Add", ["p", "x"], ["a"], "a")]
    model.graph.node[0].input[0] = "a"
    nodes = [*before, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    feed, path = recurrent_cells.feed(model), tmp_path / "spiking.onnx"
    onnx_snn.convert(model, path, feed, timesteps=4, fast=True, progress=False)
    original = ir.from_proto(model)
    decompose(original)
    found = SwitchedModel(original, load_model(path), cuts=2, cut_for="y")
    assert found.suffixes
    for suffix in found.suffixes:
        assert suffix.nodes
        whole = found(feed, suffix.nodes, ["y", suffix.start])
        part = suffix(feed, whole[suffix.start], suffix.nodes, ["y"])
        np.testing.assert_allclose(part["y"], whole["y"], rtol=ROUNDING, atol=ROUNDING)
