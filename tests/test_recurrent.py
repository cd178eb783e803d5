# SPDX-License-Identifier: Apache-2.0
"""Recurrent cells: written out as loops they compute the same, and their loops are converted, counted and compared."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from networks import normal, relative_error, run
from onnxruntime.quantization import quantize_dynamic
from recurrent_cells import STEPS, directions, feed, network

import onnx_snn
from onnx_snn import Status
from onnx_snn.decompositions.decomposer import decompose

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "LSTM": [
        {},
        {"peepholes": True},
        {"clip": 0.5},
        {"peepholes": True, "clip": 0.3},
        {"input_forget": 1},
        {
            "activations": ["HardSigmoid", "Relu", "ScaledTanh"],
            "activation_alpha": [0.3, 1.2],
            "activation_beta": [0.4, 0.8],
        },
    ],
    "GRU": [
        {},
        {"linear_before_reset": 1},
        {"clip": 0.5},
        {"linear_before_reset": 1, "activations": ["Sigmoid", "Softsign"]},
    ],
    "RNN": [
        {},
        {"clip": 0.5},
        {"activations": ["LeakyRelu"], "activation_alpha": [0.2]},
        {"activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.1]},
    ],
}
ROUNDING = 1e-5
"""Largest difference of the same sums in another order."""


def decomposed(model: onnx.ModelProto) -> tuple[ir.Model, list[str]]:
    """The network with its cell written out, and the reasons why it is not."""
    network = ir.from_proto(model)
    return network, list(decompose(network).undecomposed.values())


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("operator", VARIANTS)
def test_a_loop_computes_what_the_operator_does(operator: str, direction: str) -> None:
    for variant, lengths, initial in itertools.product(VARIANTS[operator], (False, True), (False, True)):
        lists = {name: value * directions(direction) for name, value in variant.items() if isinstance(value, list)}
        model = network(operator, direction, lengths=lengths, initial=initial, **{**variant, **lists})
        written, reasons = decomposed(model)
        assert not reasons
        assert operator not in {node.op_type for node in written.graph.all_nodes()}
        inputs = feed(model)
        for name, expected in run(model, inputs).items():
            np.testing.assert_allclose(run(written, inputs)[name], expected, atol=ROUNDING, err_msg=f"{name} {variant}")


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"layout": 1}, "layout 1, which onnxruntime does not run"),
        ({"activations": ["Sigmoid", "Cubic", "Tanh"]}, "the activation 'Cubic'"),
        ({"activations": ["Sigmoid"]}, "1 activations in place of 3"),
    ],
)
def test_what_cannot_be_written_out_stays_with_a_reason(attributes: dict[str, Any], reason: str) -> None:
    written, reasons = decomposed(network("LSTM", "forward", **attributes))
    assert len(reasons) == 1
    assert reason in reasons[0]
    assert [node.op_type for node in written.graph] == ["LSTM"]


def test_weights_of_8_bits_are_written_out_as_close_as_their_activations_are_rounded(tmp_path: Path) -> None:
    original, quantized = tmp_path / "original.onnx", tmp_path / "quantized.onnx"
    onnx.save(network("LSTM", "bidirectional", lengths=True, size=(12, 16)), original)
    quantize_dynamic(original, quantized)
    model = onnx.load(quantized)
    assert [node.op_type for node in model.graph.node] == ["DynamicQuantizeLSTM"]
    written, reasons = decomposed(model)
    assert not reasons
    inputs = feed(model)
    rounding = relative_error(run(onnx.load(original), inputs)["y"], run(model, inputs)["y"])
    assert relative_error(run(model, inputs)["y"], run(written, inputs)["y"]) < rounding


@pytest.mark.slow
@pytest.mark.parametrize(("operator", "direction"), [("LSTM", "forward"), ("GRU", "reverse")])
def test_cells_are_converted_within_one_percent(operator: str, direction: str, tmp_path: Path) -> None:
    path, spiking = tmp_path / "cell.onnx", tmp_path / "spiking.onnx"
    model = network(operator, direction, lengths=True, size=(16, 24))
    onnx.save(model, path)
    report = onnx_snn.convert(path, spiking, [feed(model, batch=8, seed=seed) for seed in range(4)], progress=False)
    assert report.count(Status.CONVERTED) == len(report.nodes) >= 8
    unseen = feed(model, steps=2 * STEPS, batch=8, seed=50)
    expected = run(path, unseen)["y"]
    got = onnx_snn.session(spiking).run(["y"], unseen)[0]
    assert relative_error(expected, got) < 0.01
    np.testing.assert_array_equal(got, onnx_snn.session(spiking, kernels=False).run(["y"], unseen)[0])
    counted = onnx_snn.profile(spiking, [unseen], progress=False)
    assert counted.uncounted == ()
    gates = {"LSTM": 4, "GRU": 3}[operator]
    macs = sum(product.multiply_accumulates for product in counted.products if product.kind.value == "weights")
    assert macs == (2 * STEPS * 8) * gates * 24 * (16 + 24)
    portable = onnx_snn.profile(spiking, [unseen], progress=False, kernels=False)
    assert portable.to_json() == counted.to_json()


LOOP = """
    [count] n = Constant <value_int = 3> ()
    [repeat] y = Loop (n, , x) <
        body = step (int64 i, bool c, float[N,8] s) => (bool d, float[N,8] t) {
            d = Identity (c) [dense] m = MatMul (s, w) [act] t = Tanh (m)
        }
    >
"""
GROWING = """
    [count] n = Constant <value_int = 3> ()
    [repeat] y = Loop (n, , x) <
        body = step (int64 i, bool c, float[K,8] s) => (bool d, float[K,8] t) {
            d = Identity (c) [dense] m = MatMul (s, w) [act] a = Tanh (m) t = Concat <axis = 0> (a, x)
        }
    >
"""


def loop(body: str) -> onnx.ModelProto:
    weights = ", ".join(str(round(float(number), 3)) for number in normal(64).ravel())
    return onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        main (float[N,8] x) => (float[M,8] y) <float[8,8] w = {{{weights}}}> {{ {body} }}
    """)


@pytest.mark.slow
def test_the_body_of_a_loop_is_converted_and_counted(tmp_path: Path) -> None:
    path, spiking, data = tmp_path / "loop.onnx", tmp_path / "spiking.onnx", {"x": normal(32, 8)}
    onnx.save(loop(LOOP), path)
    report = onnx_snn.convert(path, spiking, data, progress=False, meter=True)
    assert {node.name: node.status for node in report.nodes} == {"dense": Status.CONVERTED, "act": Status.CONVERTED}
    expected, *counts = onnx_snn.session(spiking).run(None, data)
    assert relative_error(run(path, data)["y"], expected) < 0.02
    activity = onnx_snn.profile(spiking, data, batch_size=32, progress=False)
    assert [neuron.elements for neuron in activity.neurons] == [3 * 32 * 8] * 2
    assert sum(int(neuron.spikes.sum()) for neuron in activity.neurons) == sum(int(array.sum()) for array in counts)


@pytest.mark.slow
def test_the_body_of_a_loop_whose_tensors_grow_is_refused_with_the_reason(tmp_path: Path) -> None:
    model = loop("[before] x_1 = Tanh (x) " + GROWING.replace("(n, , x)", "(n, , x_1)"))
    report = onnx_snn.convert(model, tmp_path / "spiking.onnx", {"x": normal(32, 8)}, progress=False, batch_size=8)
    reasons = {node.name: node.reason for node in report.nodes}
    assert not reasons["before"]
    assert all("not of the same shape in all iterations" in reasons[name] for name in ("dense", "act"))
