# SPDX-License-Identifier: Apache-2.0
"""Recognition as a whole: order, priority, subgraphs, activations, and that it only looks."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from graphs import functions, graph, unmatched
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.rules import recognise

TABLE = "float[3,8] table = {" + ",".join("1" * 24) + "}, float[8,8] w = {" + ",".join("1" * 64) + "}"
STEPS = {
    "gelu": "{o}d = Div({i}, root2) {o}e = Erf({o}d) {o}s = Add({o}e, one) {o}m = Mul({i}, {o}s) {o} = Mul({o}m, half)",
    "silu": "{o}g = Sigmoid({i}) {o} = Mul({i}, {o}g)",
    "relu": "{o} = Relu({i})",
    "norm": "{o} = LayerNormalization({i}, gamma, beta)",
    "softmax": "{o} = Softmax({i})",
    "written softmax": "{o}e = Exp({i}) {o}s = ReduceSum({o}e, last) {o} = Div({o}e, {o}s)",
    "synapse": "{o} = MatMul({i}, w)",
    "halving": "{o} = Mul({i}, half)",
    "square": "{o} = Mul({i}, {i})",
    "rounding": "{o} = Round({i})",
    "residual": "{o} = Add({i}, x)",
}
"""What a random network is made of."""


def chain(names: list[str]) -> str:
    """The steps one after the other, from x to y."""
    values = ["x", *(f"v{index}" for index in range(1, len(names))), "y"]
    return " ".join(
        STEPS[name].format(i=given, o=made) for name, given, made in zip(names, values, values[1:], strict=False)
    )


networks = st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=6)


@given(networks)
def test_recognition_leaves_the_model_as_it_was(names: list[str]) -> None:
    model = graph(chain(names), initializers=TABLE)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    recognise(model)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


@given(networks)
def test_one_site_or_reason_for_each_step_in_graph_order(names: list[str]) -> None:
    expected = {"norm": "layer_norm", "written softmax": "softmax"}
    expected |= dict.fromkeys(("gelu", "silu", "relu", "square"), "function")
    found = recognise(graph(chain(names), initializers=TABLE))
    counted = [name for name in names if name not in ("residual", "halving", "rounding")]
    assert [site.kind.value for site in found.sites] == [expected.get(name, name) for name in counted]
    assert len(found.unmatched) == names.count("rounding")
    owners = [node for site in found.sites for node in site.nodes]
    assert len(owners) == len(set(owners))


def test_sites_in_branches_and_loops_see_captured_activations() -> None:
    body = """
        h = Relu(x)
        b = Greater(h, zero)
        c = ReduceMax<keepdims = 0>(flag)
        k = Cast<to = 9>(c)
        z = If (k) <
            then_branch = taken () => (t) { g = Sigmoid(h) t = Mul(h, g) },
            else_branch = other () => (e) { e = Identity(h) }
        >
        y = Loop (trips, , z) <
            body = step (int64 i, bool go, float[N,4,8] state) => (more, next) {
                more = Identity(go)
                next = Tanh(state)
            }
        >
    """
    model = graph(body, inputs="float[N,4,8] x, int32[1] flag, int64 trips")
    assert functions(model) == ["relu", "silu", "tanh"]
    assert unmatched(model) == {}


def test_loop_carries_an_activation_into_a_state_that_starts_as_a_constant() -> None:
    body = """
        first, second = Loop (trips, , zero, x) <
            body = step (int64 i, bool go, float a, float b) => (more, c, d) {
                more = Identity(go)
                c = Tanh(a)
                d = Add(b, a)
                unused = Identity(c)
            }
        >
        y = Add(first, second)
    """
    swapped = body.replace("(more, c, d)", "(more, d, c)")
    inputs = "float[N,4,8] x, int64 trips"
    assert functions(graph(body, inputs=inputs)) == []
    assert functions(graph(swapped, inputs=inputs)) == ["tanh"]


def test_scan_hands_rows_to_its_body() -> None:
    body = """
        state, y = Scan (zero, x) <
            num_scan_inputs = 1,
            body = step (float a, float[4,8] row) => (b, out) { b = Identity(a) out = Tanh(row) n = Tanh(a) }
        >
    """
    assert functions(graph(body)) == ["tanh"]


@pytest.mark.parametrize(
    ("body", "is_activation"),
    [
        ("y = Gather(table, input_ids)", True),
        ("d = Identity(table) y = Gather(d, input_ids)", True),
        ("s = Add(input_ids, input_ids) y = Gather(table, s)", True),
        ("y = Gather(table, position_ids)", True),
        ("y = Gather(gamma, input_ids)", True),
        ("s = Shape(input_ids) y = Gather(table, s)", False),
        ("y = Cast<to = 1>(input_ids)", True),
        ("y = Cast<to = 1>(attention_mask)", True),
        ("y = Identity(x)", True),
        ("y = RandomNormalLike(x)", True),
        ("i = Cast<to = 7>(x) y = Cast<to = 1>(i)", True),
        ("q = QuantizeLinear(x, half) y = DequantizeLinear(q, half)", True),
        ("g = Gather(codes, input_ids) y = DequantizeLinear(g, half)", True),
        ("g = Gather(codes, position_ids) y = DequantizeLinear(g, half)", True),
        ("q, s, z = DynamicQuantizeLinear(x) y = Cast<to = 1>(q)", True),
        ("q, s, z = DynamicQuantizeLinear(x) p = MatMulInteger(q, q) y = Cast<to = 1>(p)", True),
        ("q, y, z = DynamicQuantizeLinear(x)", False),
        ("y = acme.Embedding(table, input_ids)", True),
        ("y = acme.Embedding(table, position_ids)", True),
        ("y = Gather(table, seqlens_k)", True),
        ("n = IsNaN(x) y = Where(n, zero, one)", True),
        ("n = IsNaN(x) y = Where(n, zero, x)", True),
        ("v, i = TopK(x, last) y = Cast<to = 1>(i)", True),
        ("v, i = TopK(x, last) y = Identity(v)", True),
        ("a = ArgMax(x) y = Gather(table, a)", True),
    ],
)
def test_activation_flow(body: str, is_activation: bool) -> None:
    inputs = "float[N,4,8] x, int64[N,4] input_ids, int64[N,4] position_ids, int64[N,4] attention_mask"
    codes = "uint8[3,8] codes = {" + ",".join("1" * 24) + "}"
    model = graph(body, inputs=f"{inputs}, int64[N] seqlens_k", initializers=f"{TABLE}, {codes}")
    assert ActivationFlow(model).is_activation(model.graph.outputs[0]) is is_activation


def test_cached_rotation_is_no_activation() -> None:
    body = "c = Gather(table, position_ids) r = Mul(x, c) y = Relu(r)"
    model = graph(body, inputs="float[N,4,8] x, int64[N,4] position_ids", initializers=TABLE)
    assert [site.kind.value for site in recognise(model).sites] == ["function"]


@pytest.mark.parametrize("operator", ["If", "Loop", "Cast", "Shape", "Softmax", "MatMul"])
def test_operator_of_another_domain_is_not_taken_for_ours(operator: str) -> None:
    model = graph(f"a = acme.{operator}(x, x) y = Relu(a)")
    assert functions(model) == ["relu"]
    assert unmatched(model) == {operator: f"no rule matches the operator acme.{operator}"}


def test_reading_a_constant_does_not_name_its_tensor() -> None:
    model = graph("c = Constant<value_float = 0.5>() y = Mul(c, x)")
    (constant, _) = model.graph
    tensor = ir.tensor([0.5])
    constant.attributes.clear()
    constant.attributes.add(ir.AttrTensor("value", tensor))
    recognise(model)
    assert tensor.name is None


def test_constants_are_what_no_run_changes() -> None:
    body = "c = Transpose(w) d = Shape(x) e = RandomNormal<shape = [2]>() y = Mul(x, half) f = Mul(c, half)"
    model = graph(body, initializers=TABLE)
    flow = ActivationFlow(model)
    constant = {value.name: flow.is_constant(value) for node in model.graph for value in node.outputs}
    assert constant == {"c": True, "d": False, "e": False, "y": False, "f": True}


def test_name_of_a_site_is_that_of_its_last_node() -> None:
    model = graph("g = Sigmoid(x) y = Mul(x, g)")
    tuple(model.graph)[-1].name = "/mlp/act"
    assert [site.name for site in recognise(model).sites] == ["/mlp/act"]
