# SPDX-License-Identifier: Apache-2.0
"""Networks of float16, and with weights of bfloat16: neurons compute in float32, all else stays as it is."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from conversions import SITES, as_written
from corpus import entries, feeds
from graphs import graph
from networks import FULL_BASES, normal, relative_error, run, tokens
from onnxruntime_tools import by_optimizer

import onnx_snn
from onnx_snn import ModelError, Status

pytestmark = pytest.mark.slow

HALF_PRECISION = 2e-3
"""Error of a network that rounds every tensor to the 11 bits of float16, and of its neurons."""


def halved(model: onnx.ModelProto, *, inputs: bool) -> onnx.ModelProto:
    """`model` in float16, its inputs and outputs as well if `inputs`."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(model, keep_io_types=not inputs)


@pytest.mark.parametrize("body", SITES.values(), ids=SITES.keys())
def test_every_kind_of_site_in_float16(body: str, tmp_path: Path) -> None:
    model = halved(ir.to_proto(graph(body)), inputs=True)
    x = {"x": normal(8, 4, 8).astype(np.float16)}
    path = tmp_path / "spiking.onnx"
    report = onnx_snn.convert(model, path, x, progress=False, body="closed", **FULL_BASES)
    assert {node.status for node in report.nodes} == {Status.CONVERTED}
    expected, got = run(model, x)["y"], run(path, x)["y"]
    assert got.dtype == np.float16
    assert relative_error(expected, got) < 0.005


@pytest.mark.parametrize("inputs", [False, True])
def test_a_transformer_in_float16(inputs: bool, tmp_path: Path) -> None:
    model = halved(networks.transformer(), inputs=inputs)
    path = tmp_path / "spiking.onnx"
    report = onnx_snn.convert(model, path, tokens(), progress=False, body="closed", **FULL_BASES)
    everything = [*networks.NONLINEAR, *networks.SYNAPSES]
    assert {node.name: node.status for node in report.nodes} == dict.fromkeys(everything, Status.CONVERTED)
    result = onnx.load(path)
    onnx.checker.check_model(result, full_check=True)
    kept = {tensor.name: tensor for tensor in result.graph.initializer}
    assert all(kept[tensor.name] == tensor for tensor in model.graph.initializer)
    untouched = [node for node in model.graph.node if node.name not in networks.NONLINEAR + networks.SYNAPSES]
    nodes = [as_written(node) for node in result.graph.node]
    assert all(as_written(node) in nodes for node in untouched)
    unseen = tokens(4, 7, seed=2)
    assert relative_error(run(model, unseen)["logits"], run(path, unseen)["logits"]) < HALF_PRECISION
    with_kernels = onnx_snn.session(path).run(None, unseen)[0]
    np.testing.assert_array_equal(with_kernels, onnx_snn.session(path, kernels=False).run(None, unseen)[0])
    (output,) = report.outputs
    assert output.relative_error < HALF_PRECISION


# The converter appends the Cast of pixels behind the nodes that read it.
@pytest.mark.parametrize(("name", "inputs"), [("llama.optimum", True), ("vit.optimum", False)])
def test_a_family_in_float16(name: str, inputs: bool, tmp_path: Path) -> None:
    (entry,) = [entry for entry in entries() if entry.name == name]
    model = halved(entry.load(), inputs=inputs)
    data = [feeds(model, seed=seed, batch=8) for seed in range(4)]
    path = tmp_path / "spiking.onnx"
    report = onnx_snn.convert(model, path, data, progress=False, body="closed", **FULL_BASES)
    assert {node.status for node in report.nodes} == {Status.CONVERTED}
    unseen = feeds(model, seed=99, batch=4)
    expected, got = run(model, unseen), run(path, unseen)
    assert max(relative_error(expected[name], got[name]) for name in expected) < HALF_PRECISION


def test_a_fused_network_in_float16(tmp_path: Path) -> None:
    (entry,) = [entry for entry in entries() if entry.name == "bert.optimum"]
    by_optimizer(entry.load(), tmp_path / "fused.onnx", "bert")
    model = halved(onnx.load(tmp_path / "fused.onnx"), inputs=True)
    assert {"Attention", "EmbedLayerNormalization"} <= {node.op_type for node in model.graph.node}
    data = [feeds(model, seed=seed, batch=8) for seed in range(4)]
    path = tmp_path / "spiking.onnx"
    report = onnx_snn.convert(model, path, data, progress=False, body="closed", **FULL_BASES)
    assert {node.status for node in report.nodes} == {Status.CONVERTED}
    unseen = feeds(model, seed=99, batch=4)
    assert relative_error(run(entry.load(), unseen)["logits"], run(path, unseen)["logits"]) < HALF_PRECISION


def test_networks_of_float16_are_compared(tmp_path: Path) -> None:
    model = halved(networks.classifier(), inputs=True)
    onnx.save(model, tmp_path / "original.onnx")
    x = {"x": normal(32, 8).astype(np.float16)}
    onnx_snn.convert(model, tmp_path / "spiking.onnx", x, progress=False, **FULL_BASES)
    evaluation = onnx_snn.compare(tmp_path / "original.onnx", tmp_path / "spiking.onnx", x, progress=False)
    assert evaluation.relative_error < HALF_PRECISION
    assert evaluation.agreement > 0.95


# --- bfloat16 ------------------------------------------------------------------------------------------


def brain_floats() -> onnx.ModelProto:
    """A network that takes and keeps bfloat16 and computes in float32: what onnxruntime runs on a CPU."""
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20]>
        main (bfloat16[N, 8] x) => (bfloat16[N, 16] y, float[N, 16] z) {
            wide = Cast <to = 1> (weight)
            [norm] n = LayerNormalization (x, gamma, beta)
            h = Cast <to = 1> (n)
            [product] p = MatMul (h, wide)
            [gelu] z = Gelu (p)
            y = Cast <to = 16> (z)
        }
    """)
    for name, array in {"weight": normal(8, 16), "gamma": 1 + normal(8, seed=2) / 4, "beta": normal(8)}.items():
        tensor = ir.Tensor(array.astype(ml_dtypes.bfloat16), name=name)
        model.graph.initializer.append(ir.to_proto(tensor))
    return model


@pytest.mark.parametrize("given", [ml_dtypes.bfloat16, np.float32])
def test_a_network_that_keeps_bfloat16(given: type, tmp_path: Path) -> None:
    model, path = brain_floats(), tmp_path / "spiking.onnx"
    x = normal(32, 8).astype(given)
    report = onnx_snn.convert(model, path, {"x": x}, progress=False, **FULL_BASES)
    assert {node.name: node.status for node in report.nodes} == dict.fromkeys(
        ["norm", "product", "gelu"], Status.CONVERTED
    )
    weights = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    assert all(weights[tensor.name] == tensor for tensor in model.graph.initializer)
    # bfloat16 keeps 8 bits, and the norm returns it.
    assert {output.name: output.relative_error < 2**-7 for output in report.outputs} == {"y": True, "z": True}


def test_bfloat16_that_onnxruntime_cannot_compute_in_is_a_clear_error(tmp_path: Path) -> None:
    model = graph("g = Add (x, x) y = Gelu (g)", inputs="bfloat16[N,8] x", outputs="bfloat16[N,8] y")
    x = {"x": normal(8, 8).astype(ml_dtypes.bfloat16)}
    with pytest.raises(ModelError, match="few bfloat16 kernels: export the network in float16 or"):
        onnx_snn.convert(model, tmp_path / "spiking.onnx", x, progress=False, **FULL_BASES)
    assert list(tmp_path.iterdir()) == []


def test_inputs_and_outputs_of_bfloat16_are_compared(tmp_path: Path) -> None:
    onnx.save(brain_floats(), tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=normal(8, 8).astype(ml_dtypes.bfloat16))
    files = [tmp_path / name for name in ("model.onnx", "model.onnx", "data.npz")]
    for output in ("y", "z"):
        assert onnx_snn.compare(*files, output=output, progress=False).maximum_error == 0.0
