# SPDX-License-Identifier: Apache-2.0
"""Conversion of a Transformer: all is found, nothing else is touched, and the result stays close."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import onnx
import pytest
from conversions import as_written, converted, statuses
from networks import relative_error, run, spiking_nodes, tokens

import onnx_snn
from onnx_snn import ConversionReport, ModelError, Status


@pytest.fixture(scope="module")
def original() -> onnx.ModelProto:
    return networks.transformer()


@pytest.fixture(scope="module")
def spiking(original: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ConversionReport]:
    return converted(original, tmp_path_factory.mktemp("transformer"), tokens())


@pytest.mark.slow
def test_all_of_a_transformer_is_converted(spiking: tuple[Path, ConversionReport]) -> None:
    everything = [*networks.NONLINEAR, *networks.SYNAPSES]
    assert statuses(spiking[1]) == dict.fromkeys(everything, Status.CONVERTED)


def test_interface_metadata_and_weights_stay(original: onnx.ModelProto, spiking: tuple[Path, ConversionReport]) -> None:
    result = onnx.load(spiking[0])
    assert list(result.graph.input) == list(original.graph.input)
    assert list(result.graph.output) == list(original.graph.output)
    for field in ("producer_name", "producer_version", "doc_string", "ir_version", "domain", "model_version"):
        assert getattr(result, field) == getattr(original, field), field
    assert result.graph.name == original.graph.name
    assert original.opset_import[0] in result.opset_import
    assert {entry.key: entry.value for entry in result.metadata_props}["origin"] == "a test"
    weights = {tensor.name: tensor for tensor in result.graph.initializer}
    for tensor in original.graph.initializer:
        assert weights[tensor.name] == tensor


def test_nodes_outside_the_sites_stay(original: onnx.ModelProto, spiking: tuple[Path, ConversionReport]) -> None:
    sites = [*networks.NONLINEAR, *networks.SYNAPSES]
    untouched = [as_written(node) for node in original.graph.node if node.name not in sites]
    nodes = [as_written(node) for node in onnx.load(spiking[0]).graph.node]
    assert len(untouched) == len(original.graph.node) - len(sites)
    assert [node for node in nodes if node in untouched] == untouched


@pytest.mark.parametrize(("samples", "length"), [(1, 1), (3, 6), (2, 17)])
def test_it_runs_on_other_batch_sizes_and_lengths(
    samples: int, length: int, original: onnx.ModelProto, spiking: tuple[Path, ConversionReport]
) -> None:
    feeds = tokens(samples, length, seed=samples)
    assert relative_error(run(original, feeds)["logits"], run(spiking[0], feeds)["logits"]) < 0.01


def test_a_tensor_that_several_nodes_read_is_coded_once(spiking: tuple[Path, ConversionReport]) -> None:
    nodes = onnx.load(spiking[0]).graph.node
    (code,) = [node for node in nodes if node.op_type == "MbeNeuron" and node.input[0] == "normed"]
    readers = [node.name for node in nodes if code.output[0] in node.input]
    assert readers == ["query", "key", "value"]


def test_both_normalizations_keep_the_parameters_that_they_share(
    spiking: tuple[Path, ConversionReport],
) -> None:
    norms = [node for node in spiking_nodes(spiking[0]) if node.op_type == "SpikingLayerNormalization"]
    assert [list(node.input[1:3]) for node in norms] == [["gamma", "beta"]] * 2


def test_the_reported_error_is_that_of_the_calibration_data(
    original: onnx.ModelProto, spiking: tuple[Path, ConversionReport]
) -> None:
    (output,) = spiking[1].outputs
    expected, got = run(original, tokens())["logits"], run(spiking[0], tokens())["logits"]
    assert output.relative_error == pytest.approx(relative_error(expected, got), rel=1e-3)
    assert output.maximum_error == pytest.approx(np.abs(got - expected).max(), rel=1e-3)
    assert output.agreement == (expected.argmax(axis=-1) == got.argmax(axis=-1)).mean()


@pytest.mark.slow
def test_scope_nonlinear_leaves_the_weight_products(original: onnx.ModelProto, tmp_path: Path) -> None:
    path, report = converted(original, tmp_path, tokens(), scope="nonlinear")
    expected = dict.fromkeys(networks.NONLINEAR, Status.CONVERTED)
    assert statuses(report) == expected | dict.fromkeys(networks.SYNAPSES, Status.KEPT)
    nodes = [as_written(node) for node in onnx.load(path).graph.node]
    assert all(as_written(node) in nodes for node in original.graph.node if node.name in networks.SYNAPSES)


@pytest.mark.slow
def test_loop_and_closed_bodies_give_the_same_bits(
    original: onnx.ModelProto, spiking: tuple[Path, ConversionReport], tmp_path: Path
) -> None:
    path, _ = converted(original, tmp_path, tokens(), body="loop")
    feeds = tokens(2, 5, seed=3)
    assert run(path, feeds)["logits"].tobytes() == run(spiking[0], feeds)["logits"].tobytes()


@pytest.mark.slow
def test_the_same_conversion_gives_the_same_bytes(
    original: onnx.ModelProto, spiking: tuple[Path, ConversionReport], tmp_path: Path
) -> None:
    path, _ = converted(original, tmp_path, tokens())
    assert path.read_bytes() == spiking[0].read_bytes()


def test_a_spiking_network_is_not_converted_again(spiking: tuple[Path, ConversionReport], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a spiking network already; convert the original"):
        onnx_snn.convert(spiking[0], tmp_path / "twice.onnx", tokens(), fast=True)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_needs_no_data_and_writes_nothing(original: onnx.ModelProto, tmp_path: Path) -> None:
    report = onnx_snn.convert(original, tmp_path / "out.onnx", dry_run=True, exclude="gelu", fast=True)
    everything = [*networks.NONLINEAR, *networks.SYNAPSES]
    assert statuses(report) == dict.fromkeys(everything, Status.CONVERTED) | {"gelu": Status.KEPT}
    assert report.output is None
    assert list(tmp_path.iterdir()) == []
