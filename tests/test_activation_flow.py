# SPDX-License-Identifier: Apache-2.0
"""Which inputs are activations: where they go decides, whatever their names and types."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from graphs import graph, kinds, unmatched
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.rules import recognise
from onnx_snn.rules.node_class import NodeClass

TABLES = (
    "float[8,8] w = {" + ",".join(["1"] * 64) + "}, float[3,8] table = {" + ",".join(["1"] * 24) + "}, "
    "float[256] curve = {" + ",".join(["1"] * 256) + "}, float[1,8] frequencies = {1,2,3,4,5,6,7,8}, "
    "float[1,8,1] column = {1,2,3,4,5,6,7,8}, int64 depth = {8}, float[2] onoff = {0,1}, int64[8] classes = "
    "{0,1,2,3,4,5,6,7}, uint8 zero8 = {0}, int64[1] middle = {1}"
)

STARTS = {
    "float input": ("float[N,4,8] given", "f = Identity (given)"),
    "image of bytes": ("uint8[N,4,8] given", "c = Cast <to = 1> (given) f = Div (c, six)"),
    "samples of audio": ("int16[N,4,8] given", "c = Cast <to = 1> (given) f = Mul (c, sixth)"),
    "truth values": ("bool[N,4,8] given", "f = Cast <to = 1> (given)"),
    "one-hot by comparison": (
        "int32[N,4,1] given",
        "g = Cast <to = 7> (given) e = Equal (g, classes) f = Cast <to = 1> (e)",
    ),
    "one-hot": ("int64[N,4] given", "f = OneHot (given, depth, onoff)"),
    "embedding": ("int64[N,4] given", "f = Gather (table, given)"),
    "lookup of a curve": ("uint8[N,4,8] given", "g = Cast <to = 7> (given) f = Gather (curve, g)"),
    "dequantized": ("uint8[N,4,8] given", "f = DequantizeLinear (given, half, zero8)"),
    "chosen by truth values": ("bool[N,4,8] given", "f = Where (given, half, third)"),
    "clipped bytes": ("uint8[N,4,8] given", "m = Max (given, zero8) f = Cast <to = 1> (m)"),
    "thresholded": ("float[N,4,8] given", "b = Greater (given, half) f = Cast <to = 1> (b)"),
    "index of the largest": ("float[N,4,8] given", "a = ArgMax <axis = 2, keepdims = 0> (given) f = Gather (table, a)"),
    "noise": ("float[N,4,8] given", "f = RandomNormalLike (given)"),
}
"""Ways in which numbers start, from the input `given` to f."""

NAMES = ["x", "attention_mask", "position_ids", "pixel_mask", "sequence_length", "past_frames"]

SINKS = {
    "weights": "p = MatMul (f, w) y = Tanh (p)",
    "function": "y = Tanh (f)",
    "softmax": "s = Mul (f, half) y = Softmax (s)",
    "function beside an activation": "h = MatMul (x2, w) gate = Sigmoid (f) y = Mul (h, gate)",
    "in one tensor with an activation": "h = MatMul (x2, w) y = Concat <axis = 1> (h, f)",
}


@pytest.mark.parametrize("sink", SINKS.values(), ids=SINKS.keys())
@pytest.mark.parametrize(("declared", "start"), STARTS.values(), ids=STARTS.keys())
def test_what_a_sink_takes_by_itself_is_an_activation(declared: str, start: str, sink: str) -> None:
    model = graph(f"{start} {sink}", inputs=f"{declared}, float[N,4,8] x2", initializers=TABLES)
    (f,) = (value for node in model.graph for value in node.outputs if value.name == "f")
    assert ActivationFlow(model).is_activation(f)


STEERING = {
    "multiplicative mask": "m = Cast <to = 1> (ids) e = Mul (h, m) y = MatMul (e, w)",
    "additive mask": "m = Cast <to = 1> (ids) i = Sub (one, m) b = Mul (i, six) s = Add (h, b) y = Softmax (s)",
    "float mask": "i = Sub (one, floats) b = Mul (i, six) s = Add (h, b) y = Softmax (s)",
    "float mask of products": "e = Mul (h, floats) y = MatMul (e, w)",
    "mask by comparison": "c = Greater (ids, depth) m = Where (c, zero, six) s = Add (h, m) y = Softmax (s)",
    "logarithm of a mask": "m = Cast <to = 1> (ids) l = Log (m) s = Add (h, l) y = Softmax (s)",
    "mean by a mask": "m = Cast <to = 1> (ids) y = MatMul (h, m)",
    "rotation by table": "c = Gather (table, ids) r = Mul (h, c) y = MatMul (r, w)",
    "rotation by frequencies": (
        "u = Unsqueeze (row, middle) c = Cast <to = 1> (u) a = MatMul (column, c) s = Sin (a) r = Mul (h, s) "
        "y = MatMul (r, w)"
    ),
    "lengths": "m = ReduceSum <keepdims = 1> (floats) d = Div (h, m) y = MatMul (d, w)",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("body", STEERING.values(), ids=STEERING.keys())
def test_what_is_only_combined_with_activations_steers(body: str, name: str) -> None:
    inputs = f"float[N,8,8] tokens, int64[N,8,8] {name}, int64[N,8] row, float[N,8,8] floats"
    model = graph(f"h = MatMul (tokens, w) ids = Identity ({name}) {body}", inputs=inputs, initializers=TABLES)
    assert "product" not in [kind.value for kind in kinds(model)]
    assert unmatched(model) == {}
    flow = ActivationFlow(model)
    values = {value.name: flow.is_activation(value) for node in model.graph for value in node.outputs}
    assert values["h"]
    assert not any(values.get(steering) for steering in ("m", "i", "b", "c", "a"))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_decides_nothing(name: str) -> None:
    body = f"h = MatMul ({name}, w) y = Tanh (h)"
    model = graph(body, inputs=f"float[N,4,8] {name}", initializers=TABLES)
    assert [kind.value for kind in kinds(model)] == ["synapse", "function"]


def test_numbers_of_comparisons_show_activations_but_no_masks() -> None:
    """Like the loop of a neuron, which hands on what it compares."""
    masked = "m = Cast <to = 1> (ids) h = Mul (x, m) b = Greater (h, half)"
    body = f"{masked} c = Cast <to = 1> (b) y = MatMul (c, w)"
    model = graph(body, inputs="float[N,4,8] x, int64[N,4,8] ids", initializers=TABLES)
    flow = ActivationFlow(model)
    values = {value.name: flow.is_activation(value) for node in model.graph for value in node.outputs}
    assert values == {"m": False, "h": True, "b": False, "c": True, "y": True}


def test_fourier_features_are_activations() -> None:
    body = "c = Cast <to = 1> (step) a = MatMul (c, frequencies) s = Sin (a) p = MatMul (s, w) y = Relu (p)"
    model = graph(body, inputs="int64[N,1] step", initializers=TABLES)
    assert unmatched(model) == {}
    assert [kind.value for kind in kinds(model)] == ["synapse", "function", "synapse", "function"]


def test_integers_of_quantized_activations_are_seen() -> None:
    body = """
        q = QuantizeLinear (x, half, zero8)
        m = com.microsoft.QLinearAdd (q, half, zero8, q, half, zero8, half, zero8)
        f = DequantizeLinear (m, half, zero8)
        y = Relu (f)
    """
    model = graph(body, initializers=TABLES)
    for node in model.graph:
        if node.op_type in ("QuantizeLinear", "QLinearAdd"):
            node.outputs[0].dtype = ir.DataType.UINT8
    assert list(unmatched(model)) == ["QLinearAdd"]


OPERATORS = {
    "Tanh": "{o} = Tanh ({a})",
    "Gelu": "{o} = Gelu ({a})",
    "Log": "{o} = Log ({a})",
    "Floor": "{o} = Floor ({a})",
    "Max": "{o} = Max ({a}, {b})",
    "Clip": "{o} = Clip ({a}, zero)",
    "Add": "{o} = Add ({a}, {b})",
    "Mul": "{o} = Mul ({a}, {b})",
    "Div": "{o} = Div ({a}, {b})",
    "Half": "{o} = Mul ({a}, half)",
    "MatMul": "{o} = MatMul ({a}, w)",
    "Softmax": "{o} = Softmax ({a})",
    "Where": "{o}c = Greater ({a}, zero) {o} = Where ({o}c, {a}, {b})",
    "Cast": "{o}i = Cast <to = 7> ({a}) {o} = Cast <to = 1> ({o}i)",
    "ArgMax": "{o}i = ArgMax <axis = 2, keepdims = 0> ({a}) {o} = Gather (table, {o}i)",
    "Shape": "{o}s = Shape ({a}) {o}f = Cast <to = 1> ({o}s) {o}r = ReduceMax ({o}f) {o} = Mul ({a}, {o}r)",
    "Concat": "{o}t = Concat <axis = 0> ({a}, {b}) {o} = Slice ({o}t, from, to)",
    "If": """{o}s = ReduceSum <keepdims = 0> ({a}) {o}c = Greater ({o}s, zero) {o} = If ({o}c) <
        then_branch = taken () => (float[N,4,8] {o}u) {{ {o}u = Tanh ({a}) }},
        else_branch = other () => (float[N,4,8] {o}v) {{ {o}v = Log ({b}) }} >""",
    "Loop": """{o} = Loop (trips, , {a}) <
        body = step (int64 {o}i, bool {o}g, float[N,4,8] {o}s) => (bool {o}m, float[N,4,8] {o}n) {{
            {o}m = Identity ({o}g) {o}n = Sigmoid ({o}s) }} >""",
}
"""Steps of a random network, from the values a and b to o."""

NONLINEAR = {"Tanh", "Gelu", "Log", "Floor", "Softmax", "Sigmoid", "MatMul"}
"""Operators that are never linear, exact or steering where their operand comes from an input."""


steps_of_networks = st.lists(
    st.tuples(st.sampled_from(sorted(OPERATORS)), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8
)


@given(steps_of_networks, st.sampled_from(sorted(STARTS)))
def test_every_node_is_in_one_class_and_none_is_silent(steps: list[tuple[str, int, int]], start: str) -> None:
    declared, begin = STARTS[start]
    values, body = ["f"], [begin]
    for index, (operator, a, b) in enumerate(steps):
        chosen = {"a": values[a % len(values)], "b": values[b % len(values)], "o": f"v{index}"}
        body.append(OPERATORS[operator].format(**chosen))
        values.append(f"v{index}")
    initializers = f"{TABLES}, int64[1] from = {{0}}, int64[1] to = {{1}}, int64 trips = {{2}}"
    # Every value leaves the network, so that none is without use.
    outputs = ", ".join(f"float[N,4,8] {name}" for name in values)
    model = graph(" ".join(body), inputs=declared, outputs=outputs, initializers=initializers)
    found = recognise(model)
    claimed = [node for site in found.sites for node in site.nodes]
    assert len(claimed) == len(set(claimed))
    assert {*claimed} & found.classes.keys() == set()
    assert {*claimed, *found.classes} == set(model.graph.all_nodes())
    assert [node for node, of_node in found.classes.items() if of_node is NodeClass.REFUSED] == [
        node for node, _ in found.unmatched
    ]
    for node, of_node in found.classes.items():
        assert node.op_type not in NONLINEAR or of_node is NodeClass.REFUSED, node
        assert node.op_type not in ("Max", "Clip", "ArgMax") or of_node is not NodeClass.REFUSED, node
