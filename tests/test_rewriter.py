# SPDX-License-Identifier: Apache-2.0
"""Rewriting on its own: where spiking nodes go, what they are called, and what is left of the rest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import graph
from networks import NONLINEAR, SYNAPSES, normal, run, transformer

from onnx_snn import ConvertConfig
from onnx_snn.allocation.plan import Coding, SitePlan
from onnx_snn.conversion.function_library import attach
from onnx_snn.conversion.rewriter import rewrite
from onnx_snn.fitting.density import uniform_density
from onnx_snn.fitting.function_fit import fit_function
from onnx_snn.metadata import SOURCE_KEY
from onnx_snn.neurons import functions, opset
from onnx_snn.neurons.roles import OPERANDS, NeuronRole
from onnx_snn.rules import Site, recognise


def _coding(function: str) -> Coding:
    fitted = functions.get(function)
    lo, hi = fitted.domain if function in ("exp2", "reciprocal", "rsqrt") else (-4.0, 4.0)
    return Coding(fit_function(fitted, 4, 4, uniform_density(lo, hi), gate=False))


IDENTITY, GELU = _coding("identity"), _coding("gelu")
NEURONS = {
    NeuronRole.FUNCTION: GELU,
    NeuronRole.EXP2: _coding("exp2"),
    NeuronRole.RECIPROCAL: _coding("reciprocal"),
    NeuronRole.DEVIATION: IDENTITY,
    NeuronRole.RSQRT: _coding("rsqrt"),
    **dict.fromkeys(OPERANDS, IDENTITY),
}


def plan(site: Site) -> SitePlan:
    """A plan with coarse neurons: rewriting does not ask how good they are."""
    return SitePlan(site, {role: NEURONS[role] for role in site.roles})


def rewritten(model: ir.Model, plan_of: Callable[[Site], SitePlan] = plan) -> onnx.ModelProto:
    """`model` with every site rewritten; checked, so that nodes are sorted and names are unique."""
    plans = [plan_of(site) for site in recognise(model).sites]
    attach(model, plans, rewrite(model, plans), ConvertConfig(timesteps=4, body=opset.Body.CLOSED))
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def kinds(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


WEIGHT = "float[8,8] weight = {" + ", ".join(["1"] * 64) + "}"
GELU_TEXT = """
    scaled = Div (x, root2) erf = Erf (scaled) shifted = Add (erf, one) product = Mul (x, shifted)
    y = Mul (product, half)
"""


def test_a_pattern_becomes_one_node_and_leaves_nothing_behind() -> None:
    proto = rewritten(graph(GELU_TEXT))
    (node,) = proto.graph.node
    assert (node.domain, node.op_type, list(node.output)) == ("onnx_snn", "MbeNeuron", ["y"])
    assert {entry.key: entry.value for entry in node.metadata_props} == {SOURCE_KEY: "gelu"}


def test_constants_of_a_pattern_go_with_their_last_reader() -> None:
    """Two functions share all their constants; `half` is also read by a node that stays."""
    first, second = (
        f"d{i} = Div ({x}, root2) e{i} = Erf (d{i}) a{i} = Add (e{i}, one) "
        f"m{i} = Mul ({x}, a{i}) {y} = Mul (m{i}, half) "
        for i, (x, y) in enumerate((("x", "h"), ("h", "z")))
    )
    proto = rewritten(graph(f"{first} {second} y = Mul (z, half)"))
    assert kinds(proto) == ["MbeNeuron", "MbeNeuron", "Mul"]
    assert {"root2", "one", "half"} & {tensor.name for tensor in proto.graph.initializer} == {"half"}


def test_a_spiking_node_keeps_the_name_of_what_it_replaces() -> None:
    nodes = rewritten(ir.from_proto(transformer())).graph.node
    replaced = [name for name in NONLINEAR if name not in ("scores", "context")]
    assert [node.name for node in nodes if node.domain and "code" not in node.name] == replaced
    assert {node.name for node in nodes} >= {*SYNAPSES, "scores", "context"}


def test_a_code_stands_right_behind_its_tensor_and_keeps_its_type() -> None:
    model = graph("h = Neg (x) y = MatMul (h, weight)", initializers=WEIGHT)
    h = next(node for node in model.graph if node.op_type == "Neg").outputs[0]
    h.shape, h.dtype = ir.Shape(["N", 4, 8]), ir.DataType.FLOAT
    proto = rewritten(model)
    assert kinds(proto) == ["Neg", "MbeNeuron", "MatMul"]
    types = {value.name: value.type for value in proto.graph.value_info}
    assert types[proto.graph.node[1].output[0]] == types["h"]


def test_a_code_of_an_input_comes_first() -> None:
    proto = rewritten(graph("h = Neg (x) p = MatMul (x, weight) y = Add (h, p)", initializers=WEIGHT))
    assert kinds(proto) == ["MbeNeuron", "Neg", "MatMul", "Add"]


@pytest.mark.parametrize(
    ("body", "coded"),
    [
        ("y = MatMul (x, weight)", [0]),
        ("y = MatMul (weight, x)", [1]),
        ("y = Gemm (x, weight, x)", [0]),  # the addend is the same tensor and stays exact
        ("y = MatMul (x, x)", [0, 1]),
    ],
)
def test_only_the_operands_are_coded(body: str, coded: list[int]) -> None:
    model = graph(body, inputs="float[8,8] x", outputs="float[8,8] y", initializers=WEIGHT)
    code, product = rewritten(model).graph.node
    assert [index for index, name in enumerate(product.input) if name == code.output[0]] == coded


def test_a_model_output_stays_uncoded() -> None:
    model = graph(
        "h = Gelu (x) y = MatMul (h, weight)",
        outputs="float[N,4,8] h, float[N,4,8] y",
        initializers=WEIGHT,
    )
    proto = rewritten(model)
    gelu, code, product = proto.graph.node
    assert (list(gelu.output), code.input[0], list(product.input)) == (["h"], "h", [code.output[0], "weight"])
    assert [output.name for output in proto.graph.output] == ["h", "y"]


def test_a_softmax_over_another_axis_is_turned_there_and_back() -> None:
    proto = rewritten(graph("y = Softmax <axis = 1> (x)"))
    assert kinds(proto) == ["Transpose", "SpikingSoftmax", "Transpose"]
    assert [list(proto.graph.node[i].attribute[0].ints) for i in (0, 2)] == [[0, 2, 1]] * 2
    sums = run(proto, {"x": normal(2, 4, 8)})["y"].sum(axis=1)
    np.testing.assert_allclose(sums, 1.0, atol=0.05)


def test_a_normalization_without_parameters_gets_neutral_ones() -> None:
    proto = rewritten(graph("y = LayerNormalization <axis = -1> (x, gamma)"))
    (node,) = proto.graph.node
    assert node.input[1] == "gamma"
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    assert values[node.input[2]].tolist() == [0.0]
    assert values[node.input[3]] == np.float32(1e-5)


def test_equal_parameters_are_stored_once() -> None:
    proto = rewritten(graph("a = Gelu (x) b = Gelu (a) y = Gelu (b)"))
    nodes = proto.graph.node
    assert list(nodes[0].input[1:]) == list(nodes[1].input[1:]) == list(nodes[2].input[1:])
    contents = [
        (tuple(tensor.dims), onnx.numpy_helper.to_array(tensor).tobytes()) for tensor in proto.graph.initializer
    ]
    assert len(contents) == len(set(contents))


def test_names_that_the_model_uses_are_avoided() -> None:
    first = rewritten(graph("y = MatMul (x, weight)", initializers=WEIGHT))
    taken = list(dict.fromkeys([*first.graph.node[0].output, *first.graph.node[0].input[1:]]))
    model = graph(
        "".join(f"t{i} = Neg (x) " for i in range(len(taken))) + "y = MatMul (x, weight)", initializers=WEIGHT
    )
    for node, name in zip(list(model.graph), taken, strict=False):
        node.outputs[0].name = name
    proto = rewritten(model)  # the checker finds names that are given twice
    assert [node.output[0] for node in proto.graph.node if node.op_type == "Neg"] == taken


def test_weights_are_not_touched() -> None:
    before = {tensor.name: tensor for tensor in transformer().graph.initializer}
    after = {tensor.name: tensor for tensor in rewritten(ir.from_proto(transformer())).graph.initializer}
    assert all(after[name] == tensor for name, tensor in before.items())
    assert all(name.startswith("onnx_snn.") for name in after.keys() - before.keys())


def test_only_functions_that_are_used_are_attached() -> None:
    assert [function.name for function in rewritten(graph("y = Gelu (x)")).functions] == ["MbeNeuron"]
    names = [function.name for function in rewritten(graph("y = Softmax (x)")).functions]
    assert sorted(names) == ["MbeNeuron", "SpikingSoftmax"]


@pytest.mark.parametrize("ir_version", [7, 8, 10])
def test_the_ir_version_is_raised_only_where_it_knows_no_functions(ir_version: int) -> None:
    model = graph("y = Tanh (x)", opset=15)
    model.ir_version = ir_version
    assert rewritten(model).ir_version == max(ir_version, 8)
