# SPDX-License-Identifier: Apache-2.0
"""Replay: whole networks whose products spikes reproduce, and files in which they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from graphs import graph
from networks import normal, tokens

import onnx_snn
from onnx_snn import ModelError
from onnx_snn.cli.main import main

FAST: dict[str, Any] = {"fast": True, "progress": False}


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("transformer") / "spiking.onnx"
    onnx_snn.convert(networks.transformer(), path, tokens(8), fast=True, progress=False)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "functions"])
def test_every_product_is_reproduced_and_counts_are_those_of_profile(transformer: Path, kernels: bool) -> None:
    data = tokens(5, seed=7)
    replayed = onnx_snn.replay(transformer, data, batch_size=2, progress=False, kernels=kernels)
    assert replayed.reproduced, replayed.text()
    assert not replayed.left
    counted = onnx_snn.profile(transformer, data, batch_size=2, progress=False, kernels=kernels).products
    assert [(each.node, each.accumulations) for each in replayed.products] == [
        (activity.node, activity.synaptic_operations) for activity in counted if activity.spiking
    ]
    assert all(each.error <= 64 and each.ulps <= 16 for each in replayed.products)
    assert {"softmax", "layer_norm", "gelu"} <= replayed.others.keys()


def test_a_padded_convolution_accumulates_less_at_its_border(tmp_path: Path) -> None:
    network = graph(
        "y = Conv <pads = [1, 1, 1, 1]> (x, w)",
        inputs="float[N,2,5,5] x",
        outputs="float[N,3,5,5] y",
        initializers=f"float[3,2,3,3] w = {{{', '.join(str(float(i % 7 - 3)) for i in range(54))}}}",
    )
    data = {"x": np.random.default_rng(0).normal(size=(8, 2, 5, 5)).astype(np.float32)}
    onnx_snn.convert(network, tmp_path / "s.onnx", data, fast=True, progress=False)
    (product,) = onnx_snn.replay(tmp_path / "s.onnx", data, progress=False).products
    assert not product.faults
    assert product.spikes * 9 < product.accumulations < product.spikes * 27


def test_products_in_float16_are_reproduced(tmp_path: Path) -> None:
    """Behind the code a Cast rounds the operand, which the spikes are not asked to show."""
    network = graph(
        "a = Cast <to = 1> (x) t = Tanh (a) c = Cast <to = 10> (t) h = Cast <to = 10> (w) m = MatMul (c, h) "
        "y = Cast <to = 1> (m)",
        inputs="float16[N,4,8] x",
        initializers=f"float[8,8] w = {{{', '.join(str(0.25 * (i % 5) - 0.5) for i in range(64))}}}",
    )
    data = {"x": normal(8, 4, 8).astype(np.float16)}
    onnx_snn.convert(network, tmp_path / "s.onnx", data, fast=True, progress=False)
    replayed = onnx_snn.replay(tmp_path / "s.onnx", data, progress=False)
    assert len(replayed.products) == 1
    assert replayed.reproduced, replayed.text()


def test_what_is_not_replayed_is_named(tmp_path: Path) -> None:
    weights = f"float[8,8] w = {{{', '.join(str(0.25 * (i % 5) - 0.5) for i in range(64))}}}"
    einsum = '[sum] e = Einsum<equation = "nab,bc->nac">(x, w)'
    x = {"x": normal(4, 4, 8)}
    onnx_snn.convert(graph(f"{einsum} y = MatMul(e, w)", initializers=weights), tmp_path / "s.onnx", x, **FAST)
    replayed = onnx_snn.replay(tmp_path / "s.onnx", x, progress=False)
    assert replayed.left == {"sum": "Einsum, whose synapses are not known here"}
    assert len(replayed.products) == 1
    onnx_snn.convert(graph(einsum.replace(" e ", " y "), initializers=weights), tmp_path / "e.onnx", x, **FAST)
    with pytest.raises(ModelError, match=r"none of its products .* is replayed: sum \(Einsum, whose synapses"):
        onnx_snn.replay(tmp_path / "e.onnx", x, progress=False)


def changed(path: Path, folder: Path, name: str, step: int) -> Path:
    """The network of `path` with another value in the input `name` of its first code, at time step `step`."""
    model = onnx.load(path)
    place = {"threshold": 3, "reset": 4, "intensity": 5}[name]
    node = next(node for node in model.graph.node if node.op_type == "MbeNeuron" and "code" in node.name)
    tensor = next(each for each in model.graph.initializer if each.name == node.input[place])
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[step, 0] *= 0.75
    own = onnx.numpy_helper.from_array(values, f"{tensor.name}/changed")
    model.graph.initializer.append(own)
    node.input[place] = own.name
    onnx.save(model, folder / "changed.onnx")
    return folder / "changed.onnx"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["threshold", "intensity", "reset"])
def test_a_broken_neuron_is_found_and_named(transformer: Path, name: str, tmp_path: Path) -> None:
    broken = changed(transformer, tmp_path, name, step=2)
    neuron = next(node.name for node in onnx.load(broken).graph.node if "/changed" in " ".join(node.input))
    replayed = onnx_snn.replay(broken, tokens(4), progress=False)
    faulty = [product for product in replayed.products if product.faults]
    assert faulty
    assert all(neuron in product.neurons and neuron in product.faults[0] for product in faulty)
    with pytest.raises(ModelError, match="not what spikes make of them"):
        replayed.check()


def test_command_prints_and_writes_the_figures(
    transformer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "data.npz", **tokens(3))
    arguments = ["replay", str(transformer), str(tmp_path / "data.npz"), "--samples", "2"]
    assert main([*arguments, "--json", str(tmp_path / "replay.json")]) == 0
    printed = capsys.readouterr().out
    assert "2 samples made by spikes alone" in " ".join(printed.split())
    assert "all products are reproduced" in printed
    assert json.loads((tmp_path / "replay.json").read_text())["reproduced"] is True


def test_command_ends_with_one_line_where_a_neuron_is_broken(
    transformer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "data.npz", **tokens(3))
    assert main(["replay", str(changed(transformer, tmp_path, "intensity", 1)), str(tmp_path / "data.npz"), "-q"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_network_without_coded_operands_is_refused(tmp_path: Path) -> None:
    network = graph("y = Tanh(x)")
    onnx_snn.convert(network, tmp_path / "s.onnx", {"x": normal(8, 4, 8)}, fast=True, progress=False)
    with pytest.raises(ModelError, match="no product reads a coded operand"):
        onnx_snn.replay(tmp_path / "s.onnx", {"x": normal(8, 4, 8)}, progress=False)
