# SPDX-License-Identifier: Apache-2.0
"""Scans: written as loops they compute the same bits, and their bodies are converted, counted and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fused_operators as fused
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import normal, relative_error, run
from onnx import TensorProto, helper, numpy_helper

import onnx_snn
from onnx_snn import Status
from onnx_snn.config.convert_config import RECURRENT_MAX_ERROR
from onnx_snn.decompositions.decomposer import decompose

WEIGHTS = normal(4, 4) / 2
STEP = "m = MatMul (h, w) a = Add (m, e) [act] g = Tanh (a)"


def rnn(outputs: str = "float[B,4] state, float[B,4] out", *, opset: int = 17, **attributes: Any) -> onnx.ModelProto:
    """A Scan over x along some axis with a state [batch, 4]; its body is a step of a recurrent cell."""
    extra = "".join(f", {name} = {value}" for name, value in attributes.items())
    model = onnx.parser.parse_model(f"""
        <ir_version: 9, opset_import: ["" : {opset}]>
        main (float[B,4] first, float[d0,d1,d2] x) => (float[B,4] last, float[e0,e1,e2] y) <float[4,4] w = {{0}}> {{
            [walk] last, y = Scan (first, x) <num_scan_inputs = 1{extra},
                body = step (float[B,4] h, float[B,4] e) => ({outputs}) {{
                    {STEP}
                    state = Identity (g)
                    out = Neg (g)
                }}>
        }}
    """)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(WEIGHTS, "w"))
    return model


def undeclared(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` without any shape in the bodies of its Scans."""
    for node in model.graph.node:
        body = helper.get_node_attr_value(node, "body")
        for value in (*body.input, *body.output):
            value.type.tensor_type.ClearField("shape")
        next(each for each in node.attribute if each.name == "body").g.CopyFrom(body)
    return model


def feed(steps: int = 5, batch: int = 3, axis: int = 0, seed: int = 1) -> dict[str, np.ndarray]:
    x = np.moveaxis(normal(steps, batch, 4, seed=seed), 0, axis)
    return {"first": normal(batch, 4, seed=seed + 1), "x": np.ascontiguousarray(x)}


@given(
    axes=st.tuples(st.integers(-3, 2), st.integers(-3, 2)),
    backward=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    steps=st.integers(1, 4),
    batch=st.integers(1, 3),
    declared=st.booleans(),
)
def test_a_loop_computes_what_the_scan_does(
    axes: tuple[int, int], backward: tuple[int, int], steps: int, batch: int, declared: bool
) -> None:
    names = ("scan_input_axes", "scan_output_axes", "scan_input_directions", "scan_output_directions")
    model = rnn(**{name: f"[{each}]" for name, each in zip(names, (*axes, *backward), strict=True)})
    model = model if declared else undeclared(model)
    inputs = feed(steps, batch, axes[0])
    network = ir.from_proto(model)
    assert decompose(network).undecomposed == {}
    assert "Scan" not in {node.op_type for node in network.graph.all_nodes()}
    onnx.checker.check_model(ir.to_proto(network))
    expected, got = fused.run(model, inputs), fused.run(network, inputs)
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)


NESTED = """
    last, y = Scan (first, x) <num_scan_inputs = 1, body = outer (float[4] h, float[3,4] row) => (o, s) {
        [inner] o, s = Scan (h, row) <num_scan_inputs = 1, body = inner (float[4] k, float[4] e) => (g, f) {
            a = Add (k, e) g = Tanh (a) f = Identity (g)
        }>
    }>
"""
TWO_SEQUENCES = """
    y, kept = Scan (x, x) <num_scan_inputs = 2, scan_input_directions = [0, 1],
        body = pair (float[3,4] a, float[3,4] b) => (t, a) { s = Mul (a, b) t = Tanh (s) }>
    last = Identity (first)
"""


@pytest.mark.parametrize("body", [NESTED, TWO_SEQUENCES], ids=["nested", "two sequences"])
def test_every_form_of_a_scan_is_a_loop(body: str) -> None:
    first = "float[4] first" if body is NESTED else "float[3,4] first"
    model = onnx.parser.parse_model(f"""
        <ir_version: 9, opset_import: ["" : 17]>
        main ({first}, float[T,3,4] x) => (float[] last, float[T,3,4] y) {{ {body} }}
    """)
    model.graph.output[0].type.CopyFrom(model.graph.input[0].type)
    inputs = {"first": normal(4) if body is NESTED else normal(3, 4), "x": normal(5, 3, 4)}
    network = ir.from_proto(model)
    decompose(network)
    operators = [node.op_type for node in network.graph.all_nodes()]
    assert "Scan" not in operators
    assert operators.count("Loop") == (2 if body is NESTED else 1)
    for name, array in fused.run(model, inputs).items():
        np.testing.assert_array_equal(fused.run(network, inputs)[name], array, err_msg=name)


def test_an_output_of_unknown_rank_stays_where_its_elements_come_first() -> None:
    """Where they lie along another axis, the reason is given."""
    stacked = rnn(outputs="float[B,4] state, float[] r", scan_output_axes="[0]")
    moved = rnn(outputs="float[B,4] state, float[] r", scan_output_axes="[1]")
    for model in (stacked, moved):
        body = helper.get_node_attr_value(model.graph.node[0], "body")
        body.node.append(helper.make_node("Reshape", ["g", "sizes"], ["r"]))
        next(each for each in model.graph.node[0].attribute if each.name == "body").g.CopyFrom(body)
        model.graph.input.append(helper.make_tensor_value_info("sizes", TensorProto.INT64, [None]))
        model.graph.output[1].type.tensor_type.ClearField("shape")
    assert decompose(ir.from_proto(stacked)).undecomposed == {}
    (reason,) = decompose(ir.from_proto(moved)).undecomposed.values()
    assert reason == "the rank of 'y' is unknown"


@pytest.mark.slow
@pytest.mark.parametrize("declared", [True, False], ids=["shapes", "no shapes"])
def test_the_body_of_a_scan_is_converted_and_counted(declared: bool, tmp_path: Path) -> None:
    model = rnn(scan_input_directions="[1]", scan_output_axes="[1]")
    path, spiking = tmp_path / "scan.onnx", tmp_path / "spiking.onnx"
    onnx.save(model if declared else undeclared(model), path)
    data = [feed(seed=seed) for seed in range(0, 16, 2)]
    report = onnx_snn.convert(path, spiking, data, progress=False, meter=True)
    assert {node.name: node.status for node in report.nodes} == {"m": Status.CONVERTED, "act": Status.CONVERTED}
    assert report.config.max_error == RECURRENT_MAX_ERROR
    unseen = feed(steps=9, seed=50)
    expected = run(path, unseen)
    last, y, *counts = onnx_snn.session(spiking).run(None, unseen)
    assert relative_error(expected["y"], y) < 0.02
    portable = onnx_snn.session(spiking, kernels=False).run(None, unseen)
    assert all(np.array_equal(a, b) for a, b in zip([last, y, *counts], portable, strict=True))
    activity = onnx_snn.profile(spiking, [unseen], progress=False)
    assert [neuron.elements for neuron in activity.neurons] == [9 * 3 * 4] * 2
    assert sum(int(neuron.spikes.sum()) for neuron in activity.neurons) == sum(int(array.sum()) for array in counts)
    assert activity.uncounted == ()
    assert onnx_snn.compare(path, spiking, [unseen], progress=False).relative_error < 0.02


@pytest.mark.slow
def test_a_scan_that_holds_nothing_to_convert_stays_a_scan(tmp_path: Path) -> None:
    model = rnn()
    model.graph.node.insert(0, helper.make_node("Tanh", ["x"], ["x_1"], name="before"))
    model.graph.node[1].input[1] = "x_1"
    report = onnx_snn.convert(
        model, tmp_path / "spiking.onnx", [feed()], exclude=["m", "act"], fast=True, progress=False
    )
    found = {node.name: node.status for node in report.nodes}
    assert found == {"before": Status.CONVERTED, "m": Status.KEPT, "act": Status.KEPT}
    (walk,) = [node for node in onnx.load(tmp_path / "spiking.onnx").graph.node if node.name == "walk"]
    assert walk.op_type == "Scan"


BATCHED = """
    <ir_version: 4, opset_import: ["" : 8]>
    main (float[B,4] first, float[B,T,4] x) => (float[B,4] last, float[B,T,4] y) {
        [walk] last, y = Scan (, first, x) <num_scan_inputs = 1, directions = [1],
            body = step (float[4] h, float[4] e) => (state, out) {
                a = Add (h, e) t = Tanh (a) u = Unsqueeze <axes = [0]> (t)
                state = Squeeze <axes = [0]> (u) out = Neg (t)
            }>
    }
"""


def test_a_scan_of_opset_8_goes_over_its_batch(tmp_path: Path) -> None:
    path, spiking = tmp_path / "scan.onnx", tmp_path / "spiking.onnx"
    onnx.save(onnx.parser.parse_model(BATCHED), path)
    data = [{"first": normal(3, 4, seed=seed), "x": normal(3, 5, 4, seed=seed + 1)} for seed in range(0, 8, 2)]
    report = onnx_snn.convert(path, spiking, data, progress=False)
    assert report.upgrade == "upgraded from opset 8 to 13; equal outputs on calibration samples"
    assert report.count(Status.CONVERTED) == 1
    expected, got = run(path, data[0]), onnx_snn.session(spiking).run(["last", "y"], data[0])
    assert relative_error(expected["last"], got[0]) < 0.02
    assert relative_error(expected["y"], got[1]) < 0.02
    portable = onnx_snn.session(spiking, kernels=False).run(["last", "y"], data[0])
    assert all(np.array_equal(a, b) for a, b in zip(got, portable, strict=True))


def test_a_scan_with_lengths_of_its_sequences_is_named(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(BATCHED.replace("Scan (,", "Scan (n,").replace("main (", "main (int64[B] n, "))
    with pytest.raises(onnx_snn.ModelError, match=r"opset 8, .* its Scan 'walk' takes lengths of sequences"):
        onnx_snn.convert(model, tmp_path / "spiking.onnx", {}, progress=False)
