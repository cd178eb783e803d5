# SPDX-License-Identifier: Apache-2.0
"""Functions in a conversion: what is taken apart, what is put back, and how it is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from conversions import statuses
from local_functions import X, converted, network
from networks import relative_error, run
from onnx_ir.passes.common import InlinePass

import onnx_snn
from onnx_snn import ModelError, Status
from onnx_snn.decompositions.decomposer import decompose, origin_of

BLOCKS = "[one] a = local.Block <slope = 0.3> (x, w) [two] y = local.Block <slope = 0.1> (a, w)"


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
    report = onnx_snn.convert(onnx.parser.parse_model(text), path, feeds, progress=False, fast=True)
    assert statuses(report) == {"embedded": Status.CONVERTED, "scaled": Status.CONVERTED}
    assert {function.name for function in onnx.load(path).functions} == {"Hide", "Embed", "MbeNeuron"}


@pytest.mark.slow
def test_functions_in_which_nothing_can_be_converted_stay_with_the_reason(tmp_path: Path) -> None:
    model = network("[gate] a = local.Gate (x) [root] y = local.Root (a)")
    result, report = converted(model, tmp_path)
    assert statuses(report) == {"gate/gate": Status.CONVERTED, "root": Status.REFUSED}
    assert report.nodes[1].kind == "Root"
    assert report.nodes[1].reason == "holds root/size: no rule matches Round here"
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
        <domain: "local", opset_import: ["" : 20]> Both (x, w) => (y) { [size] a = Round (x) [dense] y = MatMul (a, w) }
    """
    model = network("[act] a = Tanh (x) [both] y = local.Both (a, w)", functions)
    _, report = converted(model, tmp_path, scope="nonlinear")
    assert [(node.name, node.status, node.reason) for node in report.nodes] == [
        ("act", Status.CONVERTED, ""),
        ("both", Status.REFUSED, "holds both/size: no rule matches Round here"),
    ]
