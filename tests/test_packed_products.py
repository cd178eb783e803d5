# SPDX-License-Identifier: Apache-2.0
"""Products with packed weights are counted like those of the same network with its weights written out."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from networks import FULL_BASES, normal, relative_error, run

import onnx_snn
from onnx_snn import Profile
from onnx_snn.allocation.cost_model import load_of, observed_shapes, product_work
from onnx_snn.data.specs import sample_count
from onnx_snn.rules import recognise

K, N, BLOCK = 64, 48, 32
"""Length of the contracted axis, outputs, and weights that share a scale."""

X = {"x": normal(32, K)}
UNSEEN = {"x": normal(11, K, seed=5)}


def packed_model(attributes: str, operator: str, weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
        main (float[N, {K}] x) => (float[N, {N}] y) {{
            [product] p = com.microsoft.{operator} <K = {K}, N = {N}, {attributes}> (x, {", ".join(weights)})
            [gelu] y = Gelu (p)
        }}
    """)
    for name, array in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model


def in_a_few_bits(bits: int) -> onnx.ModelProto:
    """MatMulNBits: for every output its blocks, each of `BLOCK` whole numbers and a scale."""
    random = np.random.default_rng(0)
    packed = random.integers(0, 256, (N, K // BLOCK, BLOCK * bits // 8)).astype(np.uint8)
    scales = random.uniform(0.01, 0.03, N * K // BLOCK).astype(np.float32) / 2 ** (bits - 4)
    return packed_model(f"bits = {bits}, block_size = {BLOCK}", "MatMulNBits", {"w": packed, "scales": scales})


def in_four_bit_floats(quant_type: int) -> onnx.ModelProto:
    """MatMulBnb4: the transposed weights in a row, two in a byte, with the largest magnitude of each block."""
    random = np.random.default_rng(1)
    packed = random.integers(0, 256, N * K // 2).astype(np.uint8)
    largest = random.uniform(0.1, 0.3, N * K // BLOCK).astype(np.float32)
    attributes = f"quant_type = {quant_type}, block_size = {BLOCK}"
    return packed_model(attributes, "MatMulBnb4", {"w": packed, "absmax": largest})


def written_out(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with a MatMul, whose weights are what the packed product makes of the unit matrix."""
    product = onnx.ModelProto()
    product.CopyFrom(model)
    del product.graph.node[1:], product.graph.output[:]
    product.graph.output.append(onnx.helper.make_tensor_value_info("p", onnx.TensorProto.FLOAT, [None, N]))
    dense = onnx.ModelProto()
    dense.CopyFrom(model)
    dense.graph.node[0].CopyFrom(onnx.helper.make_node("MatMul", ["x", "w"], ["p"], name="product"))
    weights = run(product, {"x": np.eye(K, dtype=np.float32)})["p"]
    del dense.graph.initializer[:]
    dense.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    return dense


class Pair(NamedTuple):
    """Files of one network: its weights packed, and written out."""

    packed: Path
    dense: Path


MODELS = {
    "MatMulNBits, 4 bits": in_a_few_bits(4),
    "MatMulNBits, 8 bits": in_a_few_bits(8),
    "MatMulBnb4, FP4": in_four_bit_floats(0),
    "MatMulBnb4, NF4": in_four_bit_floats(1),
}


@pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
def models(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    packed = request.param
    files = Pair(tmp_path / "packed.onnx", tmp_path / "dense.onnx")
    for file, model in zip(files, (packed, written_out(packed)), strict=True):
        onnx.save(model, file)
    expected, got = (run(file, UNSEEN)["y"] for file in files)
    assert relative_error(expected, got) < 1e-2  # some kernels quantize the activation as well
    return files


def converted(files: Pair) -> Pair:
    spiking = Pair(*(file.with_stem(f"{file.stem}_spiking") for file in files))
    for file, result in zip(files, spiking, strict=True):
        onnx_snn.convert(file, result, X, progress=False, timesteps=4, **FULL_BASES)
    return spiking


def assert_counted_alike(packed: Profile, dense: Profile) -> None:
    (product,), (reference,) = packed.products, dense.products
    assert product.multiply_accumulates == len(UNSEEN["x"]) * K * N
    assert product.multiply_accumulates == reference.multiply_accumulates
    assert (product.kind, product.spiking) == (reference.kind, True)
    (operand,), (expected_operand,) = product.operands, reference.operands
    assert (operand.neuron, operand.elements) == (expected_operand.neuron, expected_operand.elements)
    # Packed weights tell no importance of channels, so that the codes differ a little.
    assert operand.spikes == pytest.approx(expected_operand.spikes, rel=0.05)
    assert product.synaptic_operations == N * product.operands[0].spikes > 0
    work, expected = ({node.node: node for node in each.energy.nodes} for each in (packed, dense))
    assert work["product"].original == expected["product"].original
    for figure, reference_figure in zip(packed.energy.figures(), dense.energy.figures(), strict=True):
        assert figure.original == reference_figure.original
        assert figure.spiking == pytest.approx(reference_figure.spiking, rel=0.05)
    assert packed.uncounted == dense.uncounted == ()


@pytest.mark.slow
def test_profiles_count_packed_products(models: Pair) -> None:
    assert_counted_alike(*(onnx_snn.profile(file, UNSEEN, progress=False) for file in converted(models)))


@pytest.mark.slow
def test_reports_count_packed_products(models: Pair) -> None:
    surveys = [
        onnx_snn.survey(original, spiking, UNSEEN, progress=False)
        for original, spiking in zip(models, converted(models), strict=True)
    ]
    assert_counted_alike(*(survey.spiking.profile for survey in surveys))


def test_loads_of_packed_products(models: Pair) -> None:
    """A spike of an operand of 64 starts as many accumulates as there are outputs."""
    loads, work, samples = [], [], sample_count(X)
    for file in models:
        model = ir.load(file)
        sites = recognise(model).sites
        (site,) = (site for site in sites if site.name == "product")
        shapes = observed_shapes(model, sites, [X])
        loads.append(load_of(site, site.roles[0], shapes, samples))
        work.append((product_work(model, sites, shapes, samples), product_work(model, [], shapes, samples)))
    assert loads[0] == loads[1]
    assert (loads[0].elements, loads[0].fan_out, loads[0].synaptic) == (K, N, True)
    assert work[0] == work[1]
    assert [(each.original, each.kept) for each in work[0]] == [(K * N, 0.0), (K * N, K * N)]


@pytest.mark.slow
def test_tuning_prices_packed_products(tmp_path: Path) -> None:
    """Energy of the choice over that of the original's: of the packed network as of that written out."""
    model = in_a_few_bits(8)
    found = []
    for name, each in (("packed", model), ("dense", written_out(model))):
        onnx.save(each, tmp_path / f"{name}.onnx")
        files = tmp_path / f"{name}.onnx", tmp_path / f"{name}_tuned.onnx"
        found.append(onnx_snn.tune(*files, X, max_spikes=2.0, max_timesteps=4, progress=False).chosen)
    packed, dense = found
    assert packed.energy == pytest.approx(dense.energy, rel=0.05)
    assert packed.operations == pytest.approx(dense.operations, rel=0.05)
    assert 0.0 < packed.energy < 1.0
