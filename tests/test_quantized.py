# SPDX-License-Identifier: Apache-2.0
"""Quantized networks: their weights stay quantized, and products with them become accumulate-only."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import corpus
import networks
import numpy as np
import onnx
import pytest
from fused_operators import run as unfused
from networks import FULL_BASES, Feeds, normal, relative_error, run, tokens
from onnxruntime.quantization import QuantFormat, quantize_dynamic
from onnxruntime_tools import quantized

import onnx_snn
from onnx_snn import ConversionReport, Status

ERROR_BOUNDS = {8: 0.03, 12: 1e-3}
"""Largest relative errors by time steps. Codes on the grid of a tensor are exact, but where a function or a norm is off
by a fraction of one of the 256 steps, some elements take the neighbouring one, which is 0.4 % of a tensor's range.
Quantization itself costs 6 %."""


def converted(path: Path, feeds: Feeds, timesteps: int = 8) -> tuple[Path, ConversionReport]:
    result = path.with_name("spiking.onnx")
    options = {
        "body": "closed",
        "timesteps": timesteps,
        **FULL_BASES,
    }  # steps of 8 bits are as wide as the errors of sparse neurons
    return result, onnx_snn.convert(path, result, feeds, progress=False, **options)


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def integers(path: Path) -> set[bytes]:
    """The weights of 8 bits in a file, which a conversion must not change."""
    types = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    tensors = [tensor for tensor in onnx.load(path).graph.initializer if tensor.data_type in types and tensor.dims]
    return {tensor.SerializeToString() for tensor in tensors}


@pytest.mark.slow
@pytest.mark.parametrize("timesteps", ERROR_BOUNDS)
def test_sites_between_quantized_tensors_are_converted(timesteps: int, tmp_path: Path) -> None:
    path = quantized(networks.transformer(), tmp_path, tokens())
    result, report = converted(path, tokens(), timesteps)
    found = {node.name: node.status for node in report.nodes}
    assert found == dict.fromkeys([*networks.NONLINEAR, *networks.SYNAPSES], Status.CONVERTED)
    before, after = operators(path), operators(result)
    assert {name: after[name] for name in before if "Quantize" in name} == {
        name: count for name, count in before.items() if "Quantize" in name
    }
    unseen = tokens(4, 7, seed=2)
    assert relative_error(run(path, unseen)["logits"], run(result, unseen)["logits"]) < ERROR_BOUNDS[timesteps]


@pytest.mark.slow
def test_quantized_weights_stay_as_they_are(tmp_path: Path) -> None:
    path = quantized(networks.transformer(), tmp_path, tokens())
    before = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    after = {tensor.name: tensor for tensor in onnx.load(converted(path, tokens())[0]).graph.initializer}
    integers = [name for name, tensor in before.items() if tensor.data_type == onnx.TensorProto.INT8 and tensor.dims]
    assert len(integers) > len(networks.SYNAPSES)
    assert all(after[name] == before[name] for name in before if name in after)
    assert set(integers) <= after.keys()


@pytest.mark.slow
def test_what_is_quantized_as_it_runs(tmp_path: Path) -> None:
    onnx.save(networks.transformer(), tmp_path / "float.onnx")
    path = tmp_path / "model.onnx"
    quantize_dynamic(tmp_path / "float.onnx", path)
    result, report = converted(path, tokens())
    assert {node.status for node in report.nodes} == {Status.CONVERTED}
    kinds = Counter(node.kind for node in report.nodes)
    assert kinds["synapse"] == len(networks.SYNAPSES)
    assert len(report.nodes) - kinds["synapse"] == len(networks.NONLINEAR)
    assert "MatMulInteger" not in operators(result)
    assert operators(result)["DynamicQuantizeLinear"] == operators(path)["DynamicQuantizeLinear"]
    assert integers(path) <= integers(result)
    unseen = tokens(4, 7, seed=2)
    assert relative_error(run(path, unseen)["logits"], run(result, unseen)["logits"]) < ERROR_BOUNDS[8]


@pytest.mark.parametrize("form", list(QuantFormat))
def test_networks_of_products_and_selections_keep_every_bit(form: QuantFormat, tmp_path: Path) -> None:
    """Between quantized tensors nothing is left that could be inexact."""
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 17]>
        main (float[N, 3, 8, 8] x) => (float[N, 5] y)
        <int64[2] flat = {0, -1}> {
            [conv] c = Conv <pads = [1, 1, 1, 1]> (x, filters, bias)
            r = Relu (c)
            p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
            f = Reshape (p, flat)
            [gemm] y = Gemm (f, weights)
        }
    """)
    for name, array in {"filters": normal(4, 3, 3, 3), "bias": normal(4), "weights": normal(64, 5)}.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    x = {"x": normal(8, 3, 8, 8)}
    path = quantized(model, tmp_path, x, form, ["Conv", "Relu", "MaxPool", "Reshape", "Gemm"])
    result, report = converted(path, x)
    kinds = {"synapse": Status.CONVERTED, "MaxPool": Status.EXACT}
    assert {node.kind: node.status for node in report.nodes} == kinds
    unseen = {"x": 2.0 * normal(8, 3, 8, 8, seed=2)}
    np.testing.assert_array_equal(unfused(onnx.load(result), unseen)["y"], unfused(onnx.load(path), unseen)["y"])


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["bert.optimum", "flan-t5.optimum.encoder"])
@pytest.mark.parametrize("quantized_by", ["dynamic", *QuantFormat])
def test_every_product_of_a_transformer_is_found(entry: str, quantized_by: str | QuantFormat, tmp_path: Path) -> None:
    """In all formats of onnxruntime's tools the same sites as in the network of floats, and nothing is refused."""
    model = next(one for one in corpus.entries() if one.name == entry).load()
    path = tmp_path / "model.onnx"
    if quantized_by == "dynamic":
        onnx.save(model, tmp_path / "float.onnx")
        quantize_dynamic(tmp_path / "float.onnx", path)
    else:
        products = ["MatMul", "Gemm"]
        quantized(model, tmp_path, corpus.feeds(model, seed=0), form=quantized_by, operators=products)
    report = onnx_snn.convert(path, dry_run=True)
    plain = onnx_snn.convert(model, dry_run=True)
    kinds = Counter((node.kind, node.status) for node in report.nodes)
    assert kinds == Counter((node.kind, node.status) for node in plain.nodes)
    assert kinds["synapse", Status.CONVERTED] > 10


@pytest.mark.parametrize("bits", [4, 8])
def test_packed_weights_are_weights(bits: int, tmp_path: Path) -> None:
    """The product of an activation with weights of a few bits, which onnxruntime unpacks as it multiplies."""
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
        main (float[N, 32] x) => (float[N, 16] y) <float[16] scales = {{{", ".join(["0.02"] * 16)}}}> {{
            [packed] p = com.microsoft.MatMulNBits <K = 32, N = 16, bits = {bits}, block_size = 32> (x, w, scales)
            [gelu] y = Gelu (p)
        }}
    """)
    packed = np.random.default_rng(0).integers(0, 256, (16, 1, 4 * bits)).astype(np.uint8)
    model.graph.initializer.append(onnx.numpy_helper.from_array(packed, "w"))
    onnx.save(model, tmp_path / "model.onnx")
    x = {"x": normal(64, 32)}
    result, report = converted(tmp_path / "model.onnx", x)
    assert {node.name: node.kind for node in report.nodes} == {"packed": "synapse", "gelu": "function"}
    assert {node.status for node in report.nodes} == {Status.CONVERTED}
    assert model.graph.initializer[1] in list(onnx.load(result).graph.initializer)
    unseen = {"x": normal(16, 32, seed=2)}
    assert relative_error(run(model, unseen)["y"], run(result, unseen)["y"]) < 0.005
