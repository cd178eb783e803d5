# SPDX-License-Identifier: Apache-2.0
"""Functions and fused operators in a conversion: what is taken apart, what is put back, and how it is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import graph
from networks import normal, relative_error, run
from onnx_ir.passes.common import InlinePass, RemoveUnusedFunctionsPass

import onnx_snn
from onnx_snn import ConversionReport, ModelError, Status
from onnx_snn.decompositions.decomposer import decompose, origin_of

X = {"x": normal(16, 4, 8)}
WEIGHT = "float[8,8] w = {" + ", ".join(str((i % 9 - 4) / 8) for i in range(64)) + "}"

FUNCTIONS = """
    <domain: "local", opset_import: ["" : 20, "local" : 1]> Block <slope> (x, w) => (y) {
        [dense] h = MatMul (x, w)
        [act] g = local.Gate (h)
        [leak] y = LeakyRelu <alpha: float = @slope> (g)
    }
    <domain: "local", opset_import: ["" : 20]> Gate (x) => (y) { s = Sigmoid (x) [gate] y = Mul (x, s) }
    <domain: "local", opset_import: ["" : 20]> Shift (x) => (y) { y = Add (x, x) }
    <domain: "local", opset_import: ["" : 20]> Root (x) => (y) { [size] a = Abs (x) r = Sqrt (a) y = Add (r, x) }
"""


def network(body: str, functions: str = FUNCTIONS) -> onnx.ModelProto:
    """A model from `x` to `y` with those of the functions that it calls."""
    header = '<ir_version: 10, opset_import: ["" : 20, "local" : 1, "com.microsoft" : 1]>'
    text = f"{header} main (float[N, 4, 8] x) => (float[N, 4, 8] y) <{WEIGHT}> {{ {body} }} {functions}"
    model = ir.from_proto(onnx.parser.parse_model(text))
    RemoveUnusedFunctionsPass()(model)
    return ir.to_proto(model)


BLOCKS = "[one] a = local.Block <slope = 0.3> (x, w) [two] y = local.Block <slope = 0.1> (a, w)"


def converted(model: Any, folder: Path, **options: Any) -> tuple[onnx.ModelProto, ConversionReport]:
    report = onnx_snn.convert(model, folder / "spiking.onnx", X, progress=False, **options)
    return onnx.load(folder / "spiking.onnx"), report


def statuses(report: ConversionReport) -> dict[str, Status]:
    return {node.name: node.status for node in report.nodes}


# --- functions ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_nonlinear_in_functions_is_found_under_the_names_of_their_calls(tmp_path: Path) -> None:
    model = network(BLOCKS)
    result, report = converted(model, tmp_path)
    inner = [f"{call}/{name}" for call in ("one", "two") for name in ("dense", "act/gate", "leak")]
    assert statuses(report) == dict.fromkeys(inner, Status.CONVERTED)
    assert [node.function for node in report.nodes if "leak" in node.name] == ["leaky_relu(0.3)", "leaky_relu(0.1)"]
    assert all(node.sqnr_db is not None for node in report.nodes)
    assert {function.name for function in result.functions} == {"MbeNeuron"}
    assert relative_error(run(model, X)["y"], run(result, X)["y"]) < 0.005


def test_functions_that_hold_nothing_nonlinear_stay_functions(tmp_path: Path) -> None:
    model = network("[gate] a = local.Gate (x) [shift] y = local.Shift (a)")
    result, report = converted(model, tmp_path)
    assert statuses(report) == {"gate/gate": Status.CONVERTED}
    (call,) = [node for node in result.graph.node if node.name == "shift"]
    assert call == model.graph.node[1]
    assert {function.name for function in result.functions} == {"MbeNeuron", "Shift"}


@pytest.mark.slow
def test_what_a_function_makes_of_masks_and_tokens_is_no_activation(tmp_path: Path) -> None:
    functions = """
        <domain: "local", opset_import: ["" : 20]> Hide (m) => (h) {
            f = Cast <to = 1> (m) last = Constant <value = int64[1] {-1}> () h = Unsqueeze (f, last)
        }
        <domain: "local", opset_import: ["" : 20]> Embed (t, i) => (e) { e = Gather (t, i) }
    """
    body = """
        e = local.Embed (table, input_ids) [embedded] a = Mul (e, e)
        h = local.Hide (mask) g = Mul (a, h)
        i = local.Hide (input_ids) k = Mul (g, i)
        [scaled] y = Tanh (k)
    """
    text = f"""
        <ir_version: 10, opset_import: ["" : 20, "local" : 1]>
        main (int64[N, 4] input_ids, int64[N, 4] mask) => (float[N, 4, 4] y)
        <float[9, 4] table = {{{", ".join(str(i % 7 - 3) for i in range(36))}}}> {{ {body} }} {functions}
    """
    ids = np.random.default_rng(0).integers(1, 9, (16, 4))
    feeds = {"input_ids": ids, "mask": np.ones_like(ids)}
    path = tmp_path / "spiking.onnx"
    report = onnx_snn.convert(onnx.parser.parse_model(text), path, feeds, progress=False)
    assert statuses(report) == {"embedded": Status.CONVERTED, "scaled": Status.CONVERTED}
    assert {function.name for function in onnx.load(path).functions} == {"Hide", "Embed", "MbeNeuron"}


def test_functions_in_which_nothing_can_be_converted_stay_with_the_reason(tmp_path: Path) -> None:
    model = network("[gate] a = local.Gate (x) [root] y = local.Root (a)")
    result, report = converted(model, tmp_path)
    assert statuses(report) == {"gate/gate": Status.CONVERTED, "root": Status.REFUSED}
    assert report.nodes[1].kind == "Root"
    assert report.nodes[1].reason == "holds root/size: no rule matches Abs here"
    assert "root" in [node.name for node in result.graph.node]
    with pytest.raises(ModelError, match="strict, but not converted: root: holds root/size"):
        converted(model, tmp_path, strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["two", "two/.*"])
def test_an_excluded_function_stays_in_one_piece(pattern: str, tmp_path: Path) -> None:
    model = network(BLOCKS)
    result, report = converted(model, tmp_path, exclude=pattern, strict=True)
    assert statuses(report) == {
        "one/dense": Status.CONVERTED,
        "one/act/gate": Status.CONVERTED,
        "one/leak": Status.CONVERTED,
        "two": Status.KEPT,
    }
    assert report.nodes[-1].reason == "excluded by name"
    assert model.graph.node[1] in list(result.graph.node)
    assert {function.name for function in result.functions} == {"MbeNeuron", "Block", "Gate"}


def test_a_node_within_a_function_can_be_excluded(tmp_path: Path) -> None:
    _, report = converted(network(BLOCKS), tmp_path, exclude="two/act/gate")
    assert [name for name, status in statuses(report).items() if status is Status.KEPT] == ["two/act/gate"]


def test_a_call_without_a_name_goes_by_its_output(tmp_path: Path) -> None:
    _, report = converted(network("h = local.Gate (x) y = local.Gate (h)"), tmp_path)
    assert list(statuses(report)) == ["h/gate", "y/gate"]


def test_a_function_may_return_what_it_was_given_and_leave_attributes_out() -> None:
    functions = """
        <domain: "local", opset_import: ["" : 20]> Pass <slope> (x) => (x, y) {
            y = LeakyRelu <alpha: float = @slope> (x)
        }
    """
    model = network("a, b = local.Pass (x) y = Add (a, b)", functions)
    apart = ir.from_proto(model)
    decompose(apart)
    assert [node.op_type for node in apart.graph] == ["LeakyRelu", "Identity", "Add"]
    np.testing.assert_array_equal(run(apart, X)["y"], X["x"] + np.where(X["x"] < 0, np.float32(0.01), 1) * X["x"])


def test_a_function_of_another_opset_stays(tmp_path: Path) -> None:
    functions = '<domain: "local", opset_import: ["" : 17]> Old (x) => (y) { y = Tanh (x) }'
    _, report = converted(network("[gate] a = Relu (x) [old] y = local.Old (a)", functions), tmp_path)
    assert [node.reason for node in report.nodes if node.status is Status.REFUSED] == [
        "the function Old imports version 17 of the operators of 'ai.onnx', but the model imports 20"
    ]


IMPORTS = 'domain: "local", opset_import: ["" : 20, "local" : 1]'
EVER = f"<{IMPORTS}> Ever (x) => (y) {{ y = local.Ever (x) }}"
PING_PONG = f"""
    <{IMPORTS}> Ping (x) => (y) {{ a = local.Pong (x) b = local.Pong (x) y = Add (a, b) }}
    <{IMPORTS}> Pong (x) => (y) {{ y = local.Ping (x) }}
"""


@pytest.mark.parametrize(
    ("body", "functions", "circle"),
    [
        ("y = local.Ever (x)", EVER, "local::Ever -> local::Ever"),
        ("y = local.Ping (x)", PING_PONG, "local::P.ng -> local::P.ng -> local::P.ng"),
    ],
)
def test_functions_that_call_themselves_are_named(body: str, functions: str, circle: str, tmp_path: Path) -> None:
    model = network(body, functions)
    for source in (model, ir.from_proto(model)):
        with pytest.raises(ModelError, match=circle):
            converted(source, tmp_path)


def test_functions_may_call_each_other_100_deep(tmp_path: Path) -> None:
    deep = [f"<{IMPORTS}> F{i} (x) => (y) {{ [c] y = local.F{i + 1} (x) }}" for i in range(99)]
    model = network("[a] y = local.F0 (x)", "\n".join([*deep, f"<{IMPORTS}> F99 (x) => (y) {{ [t] y = Tanh (x) }}"]))
    result, report = converted(model, tmp_path)
    assert statuses(report) == {"a/" + 99 * "c/" + "t": Status.CONVERTED}
    assert [node.op_type for node in result.graph.node] == ["MbeNeuron"]


def test_the_library_s_inlining_loses_which_call_a_node_was_written_for() -> None:
    """Why calls are taken apart here: names of the nodes of two calls tell them apart, and one call may stay."""
    model = ir.from_proto(network(BLOCKS))
    InlinePass()(model)
    assert not any("one" in str(node.name) or "two" in str(node.name) for node in model.graph)
    held = ir.from_proto(network(BLOCKS))
    decompose(held, intact={"two"})
    assert [node.name for node in held.graph] == ["one/dense", "one/act/Sigmoid", "one/act/gate", "one/leak", "two"]


def test_a_function_in_a_branch_is_taken_apart_where_it_is_called() -> None:
    branches = """
        then_branch = taken () => (t) { [inner] t = local.Gate (x) },
        else_branch = other () => (e) { e = Identity (x) }
    """
    model = ir.from_proto(network(f"c = Constant <value = bool {{1}}> () y = If (c) <{branches}>"))
    assert decompose(model).origins == {"inner"}
    names = [node.name for node in model.graph.all_nodes() if origin_of(node) == "inner"]
    assert names == ["inner/Sigmoid", "inner/gate"]
    np.testing.assert_allclose(run(model, X)["y"], X["x"] / (1 + np.exp(-X["x"])), rtol=1e-5)


@pytest.mark.slow
def test_what_cannot_be_converted_counts_before_what_is_kept(tmp_path: Path) -> None:
    functions = """
        <domain: "local", opset_import: ["" : 20]> Both (x, w) => (y) { [size] a = Abs (x) [dense] y = MatMul (a, w) }
    """
    model = network("[act] a = Tanh (x) [both] y = local.Both (a, w)", functions)
    _, report = converted(model, tmp_path, scope="nonlinear")
    assert [(node.name, node.status, node.reason) for node in report.nodes] == [
        ("act", Status.CONVERTED, ""),
        ("both", Status.REFUSED, "holds both/size: no rule matches Abs here"),
    ]


# --- fused operators -----------------------------------------------------------------------------------

FUSED = """
    [bias] a = com.microsoft.BiasGelu (x, beta)
    [skip] y = com.microsoft.SkipLayerNormalization (a, x, gamma, beta)
"""


def test_fused_operators_are_converted_and_named(tmp_path: Path) -> None:
    model = graph(FUSED)
    result, report = converted(model, tmp_path)
    assert statuses(report) == {"bias/Gelu": Status.CONVERTED, "skip/LayerNormalization": Status.CONVERTED}
    assert {node.domain for node in result.graph.node} == {"", "onnx_snn"}
    assert relative_error(run(model, X)["y"], run(result, X)["y"]) < 0.005


def test_an_excluded_fused_operator_stays_fused(tmp_path: Path) -> None:
    model = graph(FUSED)
    result, report = converted(model, tmp_path, exclude="skip")
    assert statuses(report) == {"bias/Gelu": Status.CONVERTED, "skip": Status.KEPT}
    assert ir.to_proto(model).graph.node[1] in list(result.graph.node)
    assert "skip" not in [initializer.name for initializer in result.graph.initializer]


def test_expansion_edits_neither_weights_nor_other_nodes() -> None:
    model = graph(f"{FUSED[: FUSED.index('[skip]')]} y = Mul (a, gamma)")
    before = ir.to_proto(model)
    decompose(model)
    after = ir.to_proto(model)
    assert list(after.graph.initializer) == list(before.graph.initializer)
    assert after.graph.node[-1] == before.graph.node[-1]
    assert [(value.name, value.type) for value in after.graph.output] == [
        (value.name, value.type) for value in before.graph.output
    ]


def test_an_operator_that_stays_is_the_only_reader_of_its_inputs() -> None:
    model = graph('y = com.microsoft.FusedGemm <activation = "Elu"> (x, w)', initializers=WEIGHT)
    assert len(decompose(model).undecomposed) == 1
    assert [len(value.uses()) for value in (*model.graph.inputs, *model.graph.initializers.values())] == [1, 1]


def test_what_nothing_reads_is_not_left_behind() -> None:
    model = graph("y, k, v = com.microsoft.MultiHeadAttention <num_heads = 2> (x, x, x)", inputs="float[N,4,8] x")
    decompose(model)
    read = {value for node in model.graph for value in node.inputs} | set(model.graph.outputs)
    assert {value for node in model.graph for value in node.outputs} <= read
    assert set(model.graph.initializers.values()) <= read


def test_a_model_without_anything_to_take_apart_is_not_touched() -> None:
    model = graph("g = Gelu (x) y = Tanh (g)")
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    assert not decompose(model).origins
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


# --- operators that nobody knows -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "name", "reason"),
    [
        pytest.param(
            network("[gate] a = local.Gate (x) [other] y = local.Root (a)"),
            "other",
            "holds other/size: no rule matches Abs here",
            id="function",
        ),
        pytest.param(
            graph("[gate] g = Gelu (x) [other] y = com.microsoft.Inverse (g)", inputs="float[N,4,4] x"),
            "other",
            "no rule matches the operator com.microsoft.Inverse",
            id="operator",
        ),
        pytest.param(
            graph("[gate] g = Gelu (x) [other] y = com.microsoft.RotaryEmbedding (g, position_ids, c, c)",
                  inputs="float[N,4,32] x, int64[1] position_ids",
                  initializers="float[9,16] c = {" + ",".join(["1"] * 144) + "}"),
            None,
            "",
            id="rotation",
        ),
    ],
)  # fmt: skip
def test_a_network_is_converted_around_what_nobody_knows(
    model: Any, name: str | None, reason: str, tmp_path: Path
) -> None:
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    shape = [dim.dim_value or 16 for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    feeds = {"x": normal(*shape)} | ({"position_ids": np.zeros(1, int)} if len(proto.graph.input) > 1 else {})
    path = tmp_path / "spiking.onnx"
    report = onnx_snn.convert(model, path, [feeds], progress=False)
    assert report.count(Status.CONVERTED) == 1
    assert [(node.name, node.reason) for node in report.nodes if node.status is Status.REFUSED] == (
        [(name, reason)] if name else []
    )
    assert "other" in [node.name for node in onnx.load(path).graph.node]
    assert relative_error(run(proto, feeds)["y"], run(path, feeds)["y"]) < 0.05
