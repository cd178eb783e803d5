# SPDX-License-Identifier: Apache-2.0
"""Unrolled networks: standard operators alone, spikes of bool, and the same bits wherever sums are exact."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import graph
from networks import normal, relative_error, run
from onnx.reference import ReferenceEvaluator

import onnx_snn
from onnx_snn import ModelError, OutputError
from onnx_snn.cli.main import main
from onnx_snn.evaluation.range_guard import load_unguarded
from onnx_snn.evaluation.stored_neurons import stored_neuron
from onnx_snn.graph.model_reader import load_model
from onnx_snn.neurons.mbe import spike_trains

FAST: dict[str, Any] = {"fast": True, "progress": False}


def unrolled(
    model: ir.Model | onnx.ModelProto, data: networks.Feeds, folder: Path, **options: Any
) -> tuple[Path, Path]:
    """The converted file and the unrolled one, which holds nothing of the domain, no function, no Loop."""
    onnx_snn.convert(model, folder / "s.onnx", data, **{**FAST, **options})
    onnx_snn.unroll(folder / "s.onnx", folder / "u.onnx")
    written = onnx.load(folder / "u.onnx")
    onnx.checker.check_model(written, full_check=True)
    assert not written.functions
    assert {node.domain for node in written.graph.node} == {""}
    assert not {"Loop", "Scan", "If"} & {node.op_type for node in written.graph.node}
    return [folder / "s.onnx", folder / "u.onnx"]


def assert_same_bits(converted: Path, written: Path, feeds: networks.Feeds) -> None:
    """In onnxruntime and in ONNX's reference."""
    expected = run(converted, feeds)
    reference = dict(zip(expected, ReferenceEvaluator(str(written)).run(list(expected), feeds), strict=True))
    for name, array in run(written, feeds).items():
        np.testing.assert_array_equal(array, expected[name])
        np.testing.assert_array_equal(reference[name], expected[name])


GELU, SOFTMAX = "y = Gelu(x)", "y = Softmax<axis = -1>(x)"
NORM = "y = LayerNormalization(x, gamma, beta)"


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (GELU, {}),
        (SOFTMAX, {}),
        (NORM, {"gate": True, "timesteps": 4}),
        ("t = Relu(x) y = Mul(t, x)", {"nodes": [{"name": ".*", "decay": 0.75}]}),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_neurons_keep_their_bits(body: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Infinities and NaN of functions included."""
    x = normal(8, 4, 8)
    files = unrolled(graph(body), {"x": x}, tmp_path, **options)
    x = x * 3
    if body == GELU:
        x[0, 0] = [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-40, -1e30, 1e30]
    assert_same_bits(*files, {"x": x})


def with_dyadic_codes(path: Path) -> None:
    """Change the codes of a file so that what a spike stands for is a power of two, and sums over them are exact."""
    model = onnx.load(path)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for name in {node.input[place] for node in networks.spiking_nodes(model) for place in (6, 7, 8)}:
        values = onnx.numpy_helper.to_array(stored[name])
        powers = np.where(values == 0, 0, np.sign(values) * 2.0 ** np.round(np.log2(np.abs(values) + (values == 0))))
        stored[name].CopyFrom(onnx.numpy_helper.from_array(powers.astype(np.float32), name))
    onnx.save(model, path)


def dyadic(*shape: int) -> str:
    """Small multiples of 1/4."""
    numbers = ", ".join(str((i * 7 % 11 - 5) / 4) for i in range(math.prod(shape)))
    return f"float[{','.join(map(str, shape))}] w = {{{numbers}}}"


@pytest.mark.parametrize(
    ("body", "shape", "weights"),
    [
        ("y = MatMul(x, w)", (4, 8), (8, 5)),
        ("y = MatMul(w, x)", (4, 8), (3, 4)),
        ("y = Conv<pads = [1, 0, 1, 1], strides = [2, 1]>(x, w, two_three)", (2, 5, 4), (2, 2, 3, 2)),
        ("r = Relu(x) t = Transpose<perm = [0, 2, 1]>(r) y = MatMul(t, w)", (4, 8), (4, 3)),
    ],
)
def test_exact_sums_keep_their_bits(
    body: str, shape: tuple[int, ...], weights: tuple[int, ...], tmp_path: Path
) -> None:
    free = ",".join(map(str, shape))
    network = graph(
        body,
        inputs=f"float[N,{free}] x",
        outputs=f"float[{','.join('abcd'[: len(shape) + 1])}] y",
        initializers=f"{dyadic(*weights)}, float[2] two_three = {{2, 3}}",
    )
    x = normal(8, *shape)
    onnx_snn.convert(network, tmp_path / "s.onnx", {"x": x}, timesteps=6, **FAST)
    with_dyadic_codes(tmp_path / "s.onnx")
    onnx_snn.unroll(tmp_path / "s.onnx", tmp_path / "u.onnx")
    assert_same_bits(tmp_path / "s.onnx", tmp_path / "u.onnx", {"x": x[:3]})


def test_sums_round_by_no_more_than_their_terms(tmp_path: Path) -> None:
    """Of codes of 24 bits: a rounding for each term of each sum, of both files."""
    weights = ", ".join(f"{math.sin(i + 1):.7f}" for i in range(40))
    network = graph(
        "y = MatMul(x, w)", inputs="float[N,8] x", outputs="float[N,5] y", initializers=f"float[8,5] w = {{{weights}}}"
    )
    x = normal(64, 8)
    converted, written = unrolled(network, {"x": x}, tmp_path)
    node = next(node for node in load_model(converted).graph if node.domain == "onnx_snn")
    stored = stored_neuron(node)
    assert stored is not None
    w = onnx.numpy_helper.to_array(next(t for t in onnx.load(converted).graph.initializer if t.name == "w"))
    magnitude = np.abs(stored.neuron(x, stored.scale)).astype(np.float64) @ np.abs(w.astype(np.float64))
    terms = 8 + 8 * stored.neuron.slots
    difference = np.abs(run(written, {"x": x})["y"].astype(np.float64) - run(converted, {"x": x})["y"])
    assert (difference <= terms * 2.0**-24 * magnitude).all()


def test_gemm_keeps_what_it_transposes_scales_and_adds(tmp_path: Path) -> None:
    network = graph(
        "y = Gemm<transB = 1, alpha = 0.5, beta = 2.0>(x, w, c)",
        inputs="float[N,8] x",
        outputs="float[N,5] y",
        initializers=f"{dyadic(5, 8)}, float[5] c = {{1, 2, 3, 4, 5}}",
    )
    x = normal(6, 8)
    onnx_snn.convert(network, tmp_path / "s.onnx", {"x": x}, timesteps=6, **FAST)
    with_dyadic_codes(tmp_path / "s.onnx")
    onnx_snn.unroll(tmp_path / "s.onnx", tmp_path / "u.onnx")
    assert_same_bits(tmp_path / "s.onnx", tmp_path / "u.onnx", {"x": x})


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A product with weights."""
    network = graph("y = MatMul(x, w)", inputs="float[N,8] x", outputs="float[N,5] y", initializers=dyadic(8, 5))
    return unrolled(network, {"x": normal(16, 8)}, tmp_path_factory.mktemp("product"), timesteps=4, guard=True)


def test_spikes_are_tensors_of_bool(product: list[Path]) -> None:
    converted, written = product
    x = normal(3, 8, seed=4)
    node = next(node for node in load_unguarded(converted).graph if node.name == "x/code")
    stored = stored_neuron(node)
    assert stored is not None
    model = onnx.load(written)
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info("x/code/spikes"))
    (spikes,) = ReferenceEvaluator(model).run(["x/code/spikes"], {"x": x})
    trains = spike_trains(stored.neuron, x / stored.scale)
    assert spikes.dtype == bool
    np.testing.assert_array_equal(spikes, trains.reshape(*trains.shape[:2], *x.shape))


def test_attention_differs_by_its_sums_alone(tmp_path: Path) -> None:
    """float32 sums in another order: a rounding each, and where it meets a threshold, the last spike of a code."""
    converted, written = unrolled(networks.attention(), {"x": normal(8, 4, 8)}, tmp_path)
    feeds = {"x": normal(5, 4, 8, seed=3)}
    assert relative_error(run(converted, feeds)["y"], run(written, feeds)["y"]) < 1e-4
    result = onnx_snn.unroll(converted, tmp_path / "again.onnx")
    assert result.products == ("scores", "context", "head")
    assert not result.dense
    assert (tmp_path / "again.onnx").read_bytes() == written.read_bytes()


def test_what_is_left_dense_is_named(tmp_path: Path) -> None:
    network = graph(
        'y = Einsum<equation = "nab,bc->nac">(x, w)',
        inputs="float[N,4,8] x",
        outputs="float[N,4,5] y",
        initializers=dyadic(8, 5),
    )
    files = unrolled(network, {"x": normal(8, 4, 8)}, tmp_path)
    assert onnx_snn.unroll(files[0], tmp_path / "v.onnx").dense == {"y": "operator without a form over spikes"}
    assert_same_bits(*files, {"x": normal(3, 4, 8, seed=2)})


def test_what_cannot_be_unrolled_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(networks.classifier(), tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="no spiking nodes"):
        onnx_snn.unroll(tmp_path / "model.onnx", tmp_path / "u.onnx")
    path = tmp_path / "metered.onnx"
    network = graph("y = MatMul(x, w)", inputs="float[N,8] x", outputs="float[N,5] y", initializers=dyadic(8, 5))
    onnx_snn.convert(network, path, {"x": normal(8, 8)}, meter=True, **FAST)
    with pytest.raises(ModelError, match="counts its spikes"):
        onnx_snn.unroll(path, tmp_path / "u.onnx")
    with pytest.raises(OutputError, match="is the input"):
        onnx_snn.unroll(path, path)
    assert main(["unroll", str(path), "-o", str(tmp_path / "u.onnx")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "u.onnx").exists()


def test_command_writes(product: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unroll", str(product[0]), "-o", str(tmp_path / "v.onnx")]) == 0
    assert "1 products as sums over spikes" in " ".join(capsys.readouterr().out.split())
