# SPDX-License-Identifier: Apache-2.0
"""Counts of spikes as outputs of a network: the same as NumPy's, behind the outputs that it had, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx_ir as ir
import pytest
from hosts.runner import run as run_in_host
from networks import Feeds, tokens
from numpy.typing import NDArray

import onnx_snn
from onnx_snn.arrays import Float32
from onnx_snn.graph.model_reader import load_model
from onnx_snn.neurons.composite import spiking_layer_normalization, spiking_rms_normalization, spiking_softmax
from onnx_snn.neurons.mbe import UNSCALED, MbeNeuron, time_loop
from onnx_snn.neurons.opset import OPERATORS, Body
from onnx_snn.profiling.spike_outputs import Meter, add_gates, meter
from onnx_snn.runtime.session import session_options

pytestmark = pytest.mark.slow

SETTINGS = {
    "default": {},
    "ungated": {"gate": False, "timesteps": 4},
    "long": {"timesteps": 12},
    "paper": {"preset": "paper", "timesteps": 4},
}


class Recorder:
    """A neuron that keeps the spikes of its last call, as NumPy's time loop fires them."""

    def __init__(self, neuron: MbeNeuron) -> None:
        self.neuron = neuron
        self.spikes: NDArray[np.int64] = np.zeros((0, 0), np.int64)

    def __call__(self, x: Any, scale: Any = UNSCALED) -> Float32:
        y, self.spikes = time_loop(self.neuron, x, scale)
        return y


def _neuron(x: Float32, inputs: dict[str, Float32], recorders: dict[str, Any]) -> None:
    recorders[""](x, inputs["scale"])


def _softmax(x: Float32, inputs: dict[str, Float32], recorders: dict[str, Any]) -> None:
    del inputs
    spiking_softmax(x, recorders["exp2_"], recorders["reciprocal_"])


def _layer_norm(x: Float32, inputs: dict[str, Float32], recorders: dict[str, Any]) -> None:
    gamma, beta, epsilon, scale = (inputs[name] for name in ("gamma", "beta", "epsilon", "deviation_scale"))
    spiking_layer_normalization(x, gamma, beta, epsilon.item(), recorders["deviation_"], recorders["rsqrt_"], scale)


def _rms_norm(x: Float32, inputs: dict[str, Float32], recorders: dict[str, Any]) -> None:
    gamma, epsilon, scale = (inputs[name] for name in ("gamma", "epsilon", "deviation_scale"))
    spiking_rms_normalization(x, gamma, epsilon.item(), recorders["deviation_"], recorders["rsqrt_"], scale)


REFERENCES: dict[str, Callable[[Float32, dict[str, Float32], dict[str, Any]], None]] = {
    "MbeNeuron": _neuron,
    "SpikingSoftmax": _softmax,
    "SpikingLayerNormalization": _layer_norm,
    "SpikingRMSNormalization": _rms_norm,
}


def numpy_spikes(meters: list[Meter], arguments: dict[str, Float32]) -> dict[str, NDArray[np.int64]]:
    """Spikes that NumPy's reference fires for `arguments`, the first input of every spiking node."""
    expected = {}
    for node in dict.fromkeys(entry.node for entry in meters):
        own = [entry for entry in meters if entry.node is node]
        recorders = {entry.prefix: Recorder(entry.neuron) for entry in own}
        inputs = {
            name: value.const_value.numpy()
            for name, value in zip(OPERATORS[node.op_type].inputs, node.inputs, strict=True)
            if value is not None and value.const_value is not None
        }
        REFERENCES[node.op_type](arguments[str(node.inputs[0].name)], inputs, recorders)
        expected |= {entry.output: recorders[entry.prefix].spikes for entry in own}
    return expected


@pytest.fixture(scope="module", params=SETTINGS)
def spiking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Transformer, converted."""
    path = tmp_path_factory.mktemp("meter") / "spiking.onnx"
    onnx_snn.convert(networks.transformer(), path, tokens(32), progress=False, **SETTINGS[request.param], fast=True)
    return path


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "functions"])
def test_a_network_counts_what_numpy_fires(spiking: Path, kernels: bool, tmp_path: Path) -> None:
    """Every neuron, step and basis, from the very numbers that reach the spiking nodes."""
    model = load_model(spiking)
    meters = meter(model, Body.LOOP)
    arguments = list(dict.fromkeys(entry.node.inputs[0] for entry in meters))
    model.graph.outputs.extend(arguments)
    ir.save(model, tmp_path / "metered.onnx")
    session = onnx_snn.session(
        tmp_path / "metered.onnx", kernels=kernels, session_options=session_options(quiet=True, kernels=kernels)
    )
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(None, tokens(5, seed=3)), strict=True))
    expected = numpy_spikes(meters, found)
    assert len(expected) == len(meters)
    for name, spikes in expected.items():
        np.testing.assert_array_equal(found[name], spikes, err_msg=name)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same network, converted without and with counts as outputs."""
    folder = tmp_path_factory.mktemp("pair")
    paths = folder / "plain.onnx", folder / "metered.onnx"
    for path, metered in zip(paths, (False, True), strict=True):
        onnx_snn.convert(networks.transformer(), path, tokens(16), meter=metered, progress=False, fast=True)
    return paths


def test_outputs_stay_the_first_and_keep_their_bits(pair: tuple[Path, Path]) -> None:
    plain, metered = (onnx_snn.session(path) for path in pair)
    outputs = metered.get_outputs()
    assert [output.name for output in outputs][:1] == [output.name for output in plain.get_outputs()] == ["logits"]
    assert {output.type for output in outputs[1:]} == {"tensor(int64)"}
    results = [session.run(["logits"], tokens(4, seed=5))[0] for session in (plain, metered)]
    np.testing.assert_array_equal(*results)


def test_names_of_counts_are_those_of_nodes(pair: tuple[Path, Path]) -> None:
    names = [output.name for output in onnx_snn.session(pair[1]).get_outputs()]
    wanted = ["gelu/spikes", "softmax/exp2_spikes", "softmax/reciprocal_spikes"]
    wanted += ["norm_1/deviation_spikes", "norm_1/rsqrt_spikes"]
    assert set(wanted) < set(names)


def test_a_taken_name_is_numbered(tmp_path: Path) -> None:
    model = networks.classifier()
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "gelu/spikes"
    path = tmp_path / "metered.onnx"
    onnx_snn.convert(model, path, {"x": networks.normal(16, 8)}, meter=True, timesteps=2, progress=False, fast=True)
    assert "gelu/spikes_1" in [output.name for output in onnx_snn.session(path).get_outputs()]


def test_a_metered_network_is_compared_by_its_first_output(pair: tuple[Path, Path], tmp_path: Path) -> None:
    original = tmp_path / "model.onnx"
    original.write_bytes(networks.transformer().SerializeToString())
    assert onnx_snn.compare(original, pair[1], tokens(4), progress=False).output == "logits"


def test_metering_twice_changes_nothing(pair: tuple[Path, Path]) -> None:
    model = load_model(pair[1])
    before = [value.name for value in model.graph.outputs]
    meters = meter(model, Body.LOOP)
    assert [value.name for value in model.graph.outputs] == before
    assert [entry.output for entry in meters] == before[1:]


def test_gates_change_no_output_and_move_saturated_spikes(tmp_path: Path) -> None:
    path = tmp_path / "spiking.onnx"
    options = {"gate": False, "timesteps": 3, "progress": False}
    onnx_snn.convert(networks.classifier(), path, {"x": networks.normal(16, 8)}, **options)
    results: list[Feeds] = []
    for gated in (False, True):
        model = load_model(path)
        meters = meter(model, Body.LOOP)
        if gated:
            add_gates(model, meters)
        results.append(networks.run(model, {"x": 2 * networks.normal(64, 8, seed=6)}))
    before, after = results
    np.testing.assert_array_equal(after["scores"], before["scores"])
    for entry in meters:
        counts = after[entry.output]
        assert counts[0].any()
        np.testing.assert_array_equal(counts[1:] + counts[0], before[entry.output], err_msg=entry.output)


@pytest.mark.host
@pytest.mark.parametrize(("backend", "body"), [("node", Body.LOOP), ("web", Body.CLOSED)])
def test_an_application_reads_its_own_spikes(backend: str, body: Body, pair: tuple[Path, Path], tmp_path: Path) -> None:
    """In JavaScript, where no library can be loaded: what NumPy fires for the numbers that reach the nodes there."""
    model = load_model(pair[0])
    meters = meter(model, body)
    model.graph.outputs.extend(dict.fromkeys(entry.node.inputs[0] for entry in meters))
    ir.save(model, tmp_path / "metered.onnx")
    found = run_in_host(backend, tmp_path / "metered.onnx", tokens(5, seed=9))
    for name, spikes in numpy_spikes(meters, found).items():
        assert found[name].dtype == np.int64
        np.testing.assert_array_equal(found[name], spikes, err_msg=name)
