# SPDX-License-Identifier: Apache-2.0
"""The figures behind reports, against figures that come about another way."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from networks import run, tokens

import onnx_snn
from onnx_snn import ConfigError, ModelError, Survey
from onnx_snn.conversion.verification import measure
from onnx_snn.metadata import SOURCE_KEY
from onnx_snn.neurons.mbe import halving_neuron, spike_trains, time_loop

pytestmark = pytest.mark.slow

SAMPLES, CHOSEN = 8, 3
EXACT_OPERATORS = {"gelu": "Gelu", "softmax": "Softmax", "layer_norm": "LayerNormalization"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Transformer as model.onnx and converted as snn8.onnx and snn4.onnx, with data.npz."""
    folder = tmp_path_factory.mktemp("survey")
    onnx.save(networks.transformer(), folder / "model.onnx")
    labels = np.random.default_rng(2).integers(networks.VOCABULARY, size=(SAMPLES, 6))
    np.savez(folder / "data.npz", labels=labels, **tokens(SAMPLES))
    for timesteps in (8, 4):
        onnx_snn.convert(
            folder / "model.onnx",
            folder / f"snn{timesteps}.onnx",
            tokens(16, seed=5),
            timesteps=timesteps,
            progress=False,
        )
    return folder


@pytest.fixture(scope="module")
def seen(folder: Path) -> Survey:
    """The survey of both files."""
    return surveyed(folder, also=[folder / "snn4.onnx"], sample=CHOSEN)


def surveyed(folder: Path, **options: object) -> Survey:
    files = folder / "model.onnx", folder / "snn8.onnx", folder / "data.npz"
    return onnx_snn.survey(*files, progress=False, **options)  # type: ignore[arg-type]


def test_arguments_fire_the_spikes_that_were_counted(seen: Survey) -> None:
    """All arguments of so small a network are kept: what the neuron fires for them is what the kernels counted."""
    assert {view.activity.kind for view in seen.neurons} >= {
        "identity",
        "gelu",
        "softmax exp2",
        "softmax reciprocal",
        "layer_norm deviation",
        "layer_norm rsqrt",
    }
    for view in seen.neurons:
        assert view.arguments.size == view.activity.elements, view.activity.name
        fired = spike_trains(view.neuron, view.arguments).sum(axis=2)
        np.testing.assert_array_equal(fired, view.activity.spikes, err_msg=view.activity.name)


def test_figures_do_not_depend_on_the_kernels(seen: Survey, folder: Path) -> None:
    without = surveyed(folder, sample=CHOSEN, kernels=False)
    for with_kernels, other in zip(seen.nodes, without.nodes, strict=True):
        assert with_kernels.own == other.own
        assert with_kernels.accumulated == other.accumulated


def test_chosen_sample_is_that_of_the_data(seen: Survey, folder: Path) -> None:
    """The survey of data that is the chosen sample alone sees the same arguments."""
    alone = {name: array[CHOSEN : CHOSEN + 1] for name, array in tokens(SAMPLES).items()}
    single = onnx_snn.survey(folder / "model.onnx", folder / "snn8.onnx", alone, progress=False)
    for view, expected in zip(seen.neurons, single.neurons, strict=True):
        np.testing.assert_array_equal(view.sample, np.sort(expected.arguments), err_msg=view.activity.name)


@pytest.mark.parametrize("source", EXACT_OPERATORS)
def test_own_error_is_that_beside_the_operator(source: str, seen: Survey, folder: Path) -> None:
    """The exact result comes from onnxruntime in float32: decibels up to 60 agree to a hundredth."""
    chosen = next(node for node in seen.nodes if node.source == source)
    model = onnx.load(folder / "snn8.onnx")
    node = next(node for node in model.graph.node if node.name == chosen.name)
    values = {name: onnx.helper.make_tensor_value_info(name, 1, None) for name in (node.input[0], node.output[0])}
    model.graph.output.extend(values.values())
    found = run(model, tokens(SAMPLES))
    x, y = found[node.input[0]], found[node.output[0]]
    operator = onnx.helper.make_node(
        EXACT_OPERATORS[source], ["x", *node.input[1:3]][: 3 if "norm" in source else 1], ["y"]
    )
    weights = [tensor for tensor in model.graph.initializer if tensor.name in operator.input]
    graph = onnx.helper.make_graph(
        [operator],
        "exact",
        [onnx.helper.make_tensor_value_info("x", 1, x.shape)],
        [onnx.helper.make_tensor_value_info("y", 1, y.shape)],
        weights,
    )
    imports = [onnx.helper.make_opsetid("", 20)]
    exact = run(onnx.helper.make_model(graph, opset_imports=imports, ir_version=9), {"x": x})["y"].astype(np.float64)
    expected = 10 * np.log10(np.square(exact).sum() / np.square(y - exact).sum())
    assert chosen.own is not None
    assert chosen.own.sqnr_db == pytest.approx(expected, abs=0.01)


def test_accumulated_error_is_that_of_verification(seen: Survey, folder: Path) -> None:
    """Both compare tensors of the same name, one sample at a time."""
    networks_ = [ir.load(folder / name) for name in ("model.onnx", "snn8.onnx")]
    taps = ["activated", "probabilities", "normed"]
    feeds = [{name: array[i : i + 1] for name, array in tokens(SAMPLES).items()} for i in range(SAMPLES)]
    expected = measure(networks_[0], networks_[1], feeds, taps).sqnr_db
    by_name = {node.name: node for node in seen.nodes}
    for name, tap in zip(("gelu", "softmax", "norm_1"), taps, strict=True):
        accumulated = by_name[name].accumulated
        assert accumulated is not None
        assert accumulated.sqnr_db == pytest.approx(expected[tap], abs=1e-6)


def test_codes_name_the_products_that_read_them(seen: Survey) -> None:
    codes = [node for node in seen.nodes if node.source == "identity"]
    assert {reader for node in codes for reader in node.readers} == {*networks.SYNAPSES, "scores", "context"}


def test_candidates_are_compared_and_counted(seen: Survey, folder: Path) -> None:
    assert [candidate.timesteps for candidate in seen.candidates] == [8, 4]
    for candidate in seen.candidates:
        expected = onnx_snn.compare(folder / "model.onnx", candidate.name, folder / "data.npz", progress=False)
        assert candidate.evaluation == expected
        assert candidate.evaluation.metric == "perplexity"
        counted = onnx_snn.profile(candidate.name, folder / "data.npz", progress=False)
        assert candidate.spikes == sum(neuron.total for neuron in counted.neurons) / SAMPLES
    assert seen.spiking is seen.candidates[0]
    assert seen.observed == SAMPLES


def test_function_that_nobody_knows_has_no_error(folder: Path, tmp_path: Path) -> None:
    """A function of the user's own may not be registered where the report is made."""
    model = onnx.load(folder / "snn8.onnx")
    node = next(node for node in model.graph.node if node.name == "gelu")
    next(entry for entry in node.metadata_props if entry.key == SOURCE_KEY).value = "acme"
    onnx.save(model, tmp_path / "acme.onnx")
    seen = onnx_snn.survey(folder / "model.onnx", tmp_path / "acme.onnx", tokens(SAMPLES), progress=False)
    view = next(node for node in seen.nodes if node.source == "acme")
    assert view.own is None
    assert view.accumulated is not None
    assert view.neurons[0].function is None


@pytest.mark.parametrize(("sample", "says"), [(SAMPLES, f"the data has {SAMPLES}"), (-1, "from 0")])
def test_sample_that_is_not_there_is_refused(sample: int, says: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        surveyed(folder, sample=sample)


def test_data_that_can_be_read_once_is_enough(seen: Survey, folder: Path) -> None:
    data = ({name: array[i : i + 1] for name, array in tokens(SAMPLES).items()} for i in range(SAMPLES))
    once = onnx_snn.survey(folder / "model.onnx", folder / "snn8.onnx", data, progress=False)
    assert [node.own for node in once.nodes] == [node.own for node in seen.nodes]


def test_network_that_counts_by_itself_is_surveyed_alike(seen: Survey, folder: Path, tmp_path: Path) -> None:
    metered = tmp_path / "metered.onnx"
    onnx_snn.convert(folder / "model.onnx", metered, tokens(16, seed=5), timesteps=8, meter=True, progress=False)
    other = onnx_snn.survey(folder / "model.onnx", metered, tokens(SAMPLES), progress=False)
    assert [node.own for node in other.nodes] == [node.own for node in seen.nodes]


def test_network_that_does_not_spike_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="no spiking nodes"):
        onnx_snn.survey(folder / "model.onnx", folder / "model.onnx", folder / "data.npz", progress=False)


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("polarity", [0, 1])
def test_spike_trains_sum_up_to_the_spikes_of_the_time_loop(gate: bool, polarity: int) -> None:
    neuron = halving_neuron([0, 0.5, 2], [2, -1, 0.5], [0.5, -0.75, 0.125], 0.25, 6, gate=gate, polarity=polarity)
    x = np.random.default_rng(3).normal(0, 2, (5, 7)).astype(np.float32)
    trains = spike_trains(neuron, x)
    assert trains.shape == (6 + gate, 3, 35)
    np.testing.assert_array_equal(trains.sum(axis=2), time_loop(neuron, x).spikes)
