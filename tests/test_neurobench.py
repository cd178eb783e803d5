# SPDX-License-Identifier: Apache-2.0
"""Figures by the definitions of NeuroBench, beside those of its package on a layer that both can express."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from graphs import graph
from networks import normal

import onnx_snn
from onnx_snn import ModelError, NeuroBench
from onnx_snn.cli.main import main
from onnx_snn.events.neurobench.figures import BY_BASIS, BY_ELEMENT
from onnx_snn.graph.model_reader import load_model
from onnx_snn.neurons.mbe import spike_trains
from onnx_snn.neurons.opset import Body
from onnx_snn.profiling.spike_outputs import meter

SAMPLES = 6

FROZEN = {
    "Effective_MACs": 0.0,
    "Effective_ACs": 313.5,
    "Dense": 6400.0,
    "sparsity": 0.9243489583333333,
    "zeros": 0.35,
    "updates": 272.3333333333333,
}
"""What neurobench 2.3.0 measures of the layer of `layer`, by `of_package`."""


def layer(folder: Path) -> Path:
    """A product of spikes with weights, of which every third is 0."""
    weights = ", ".join(str(float(i % 3)) for i in range(40))
    network = graph(
        "y = MatMul (x, w)",
        inputs="float[N,8] x",
        outputs="float[N,5] y",
        initializers=f"float[8,5] w = {{{weights}}}",
    )
    onnx_snn.convert(network, folder / "s.onnx", {"x": normal(32, 8)}, fast=True, timesteps=4, progress=False)
    return folder / "s.onnx"


def measured(path: Path, data: Any, **options: Any) -> NeuroBench:
    return onnx_snn.neurobench(path, data, progress=False, **options)


def figures(result: NeuroBench) -> dict[str, float]:
    values = result.to_json()
    operations = {name: values["SynapticOperations"][name] for name in ("Effective_MACs", "Effective_ACs", "Dense")}
    return {
        **operations,
        "sparsity": values["ActivationSparsity"],
        "zeros": values["ConnectionSparsity"],
        "updates": values["MembraneUpdates"],
    }


def of_package(path: Path, x: np.ndarray[Any, Any]) -> dict[str, float]:
    """The same of NeuroBench's own metrics: a Linear behind a spiking layer, one call for each time step and basis."""
    pytest.importorskip("neurobench", reason="neurobench is not installed: pip install neurobench")
    torch = pytest.importorskip("torch")
    from neurobench.metrics.static import ConnectionSparsity
    from neurobench.metrics.workload import ActivationSparsity, MembraneUpdates, SynapticOperations
    from neurobench.models import TorchModel
    from snntorch import SpikingNeuron

    model = load_model(path)
    (entry,) = meter(model, Body.LOOP)
    scale = entry.node.inputs[-1].const_value.numpy()
    neuron, sign = entry.neuron, np.where(x < 0, -1.0, 1.0) if entry.neuron.polarity else np.ones_like(x)
    trains = spike_trains(neuron, x / scale).reshape(neuron.timesteps, neuron.bases, *x.shape)

    class Basis(SpikingNeuron):  # type: ignore[misc]
        """A basis of the code: its spikes, and the membrane that they are subtracted from."""

        def __init__(self, basis: int) -> None:
            super().__init__()
            self.basis, self.step = basis, 0
            self.mem = torch.zeros(x.shape)

        def forward(self, charge: Any) -> tuple[Any, Any]:
            if self.step == 0:
                self.mem = charge + 100.0
            spikes = torch.tensor(trains[self.step, self.basis] * sign, dtype=torch.float32)
            self.mem = self.mem - spikes.abs()
            self.step += 1
            return spikes, self.mem

    class Layer(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            weights = next(node for node in model.graph if node.op_type == "MatMul").inputs[1].const_value.numpy()
            self.codes = torch.nn.Sequential(*(Basis(basis) for basis in range(neuron.bases)))
            self.linear = torch.nn.Linear(*weights.shape, bias=False)
            self.linear.weight.data = torch.tensor(weights.T.copy())

        def forward(self, charge: Any) -> Any:
            return sum(self.linear(code(charge)[0]) for _ in range(neuron.timesteps) for code in self.codes)

    net = TorchModel(Layer())
    net.add_activation_module(Basis)
    net.register_hooks()
    batch = (torch.tensor(x), torch.zeros(len(x)))
    with torch.no_grad():
        predicted = net(batch[0])
    operations = SynapticOperations()(net, predicted, batch)
    return {
        **operations,
        "sparsity": ActivationSparsity()(net, predicted, batch),
        "zeros": ConnectionSparsity()(net),
        "updates": MembraneUpdates()(net, predicted, batch),
    }


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layer(tmp_path_factory.mktemp("linear"))


def test_the_figures_are_those_of_the_package(linear: Path) -> None:
    """The package rounds the sparsity of connections to four places."""
    x = normal(SAMPLES, 8, seed=3)
    expected = of_package(linear, x)
    got = figures(measured(linear, {"x": x}))
    assert {**got, "zeros": round(got["zeros"], 4)} == pytest.approx(expected, rel=1e-12)


def test_the_figures_are_those_that_the_package_gave(linear: Path) -> None:
    got = figures(measured(linear, {"x": normal(SAMPLES, 8, seed=3)}, batch_size=4))
    assert {**got, "zeros": round(got["zeros"], 4)} == pytest.approx(FROZEN, rel=1e-12)


def test_both_denominators_are_named(linear: Path) -> None:
    """An element is active at a step if any of its bases fires; a dense layer runs once a step, or once a basis."""
    x = normal(SAMPLES, 8, seed=3)
    result = measured(linear, {"x": x})
    (entry,) = meter(load_model(linear), Body.LOOP)
    trains = spike_trains(entry.neuron, x / entry.node.inputs[-1].const_value.numpy())
    values = result.to_json()
    assert values["ActivationSparsity by denominator"] == {
        BY_BASIS: pytest.approx(1 - trains.mean()),
        BY_ELEMENT: pytest.approx(1 - trains.any(axis=1).mean()),
    }
    dense = values["SynapticOperations"]["Dense by denominator"]
    assert dense == {BY_BASIS: 40 * entry.neuron.slots, BY_ELEMENT: 40 * entry.neuron.timesteps}


def test_attention_counts_as_its_profile(tmp_path: Path) -> None:
    """No weight is 0, so that operations are those of `profile`; products of activations are apart."""
    path = tmp_path / "s.onnx"
    data = {"x": normal(5, 4, 8, seed=2)}
    onnx_snn.convert(networks.attention(), path, {"x": normal(8, 4, 8)}, fast=True, progress=False)
    np.savez(tmp_path / "data.npz", **data)
    command = ["profile", str(path), str(tmp_path / "data.npz"), "-q", "--neurobench", str(tmp_path / "n.json")]
    assert main(command) == 0
    values = json.loads((tmp_path / "n.json").read_text())
    profile = onnx_snn.profile(path, data, progress=False)
    operations = {product.node: product.synaptic_operations / 5 for product in profile.products}
    assert {name: each["Effective_ACs"] for name, each in values["layers"].items()} == {
        name: operations[name] for name in ["head"]
    }
    extension = values["extension: products of two activations"]["nodes"]
    assert {name: each["Effective_ACs"] for name, each in extension.items()} == {
        name: operations[name] for name in ("scores", "context")
    }
    slots = sum(neuron.elements * neuron.slots for neuron in profile.neurons)
    assert values["ActivationSparsity"] == 1 - sum(neuron.total for neuron in profile.neurons) / slots
    assert values["Footprint"] == sum(
        value.const_value.nbytes for value in load_model(path).graph.initializers.values()
    )


def test_a_spike_at_the_border_has_the_synapses_of_its_place(tmp_path: Path) -> None:
    weights = ", ".join(str(float(i % 4)) for i in range(36))
    network = graph(
        "y = Conv <pads = [1, 1, 1, 1]> (x, w)",
        inputs="float[N,2,4,4] x",
        outputs="float[N,2,4,4] y",
        initializers=f"float[2,2,3,3] w = {{{weights}}}",
    )
    data = {"x": normal(6, 2, 4, 4)}
    onnx_snn.convert(network, tmp_path / "s.onnx", data, fast=True, progress=False)
    result = measured(tmp_path / "s.onnx", data)
    (made,) = onnx_snn.replay(tmp_path / "s.onnx", data, progress=False).products
    assert result.zeros == 9
    assert 0.5 * made.accumulations < result.operations.effective_acs < made.accumulations


def test_a_product_that_stays_multiplies_what_is_not_zero(tmp_path: Path) -> None:
    network = graph(
        "h = MatMul (x, w) y = Relu (h)",
        inputs="float[N,8] x",
        outputs="float[N,5] y",
        initializers=f"float[8,5] w = {{{', '.join(str(float(i % 3)) for i in range(40))}}}",
    )
    data = {"x": normal(8, 8)}
    onnx_snn.convert(network, tmp_path / "s.onnx", data, scope="nonlinear", fast=True, progress=False)
    x = normal(4, 8, seed=5)
    x[:, ::2] = 0
    result = measured(tmp_path / "s.onnx", {"x": x})
    weights = np.array([i % 3 for i in range(40)]).reshape(8, 5)
    assert result.operations.effective_macs == 4 * np.count_nonzero(weights[1::2])
    assert measured(tmp_path / "s.onnx", {"x": np.sign(x)}).operations.effective_macs == 0
    assert result.operations.dense == 4 * 40


def test_a_network_without_spikes_is_refused() -> None:
    with pytest.raises(ModelError, match="no spiking nodes"):
        measured(networks.classifier(), {"x": normal(4, 8)})  # type: ignore[arg-type]
