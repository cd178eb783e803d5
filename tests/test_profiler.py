# SPDX-License-Identifier: Apache-2.0
"""Profiles of converted networks: what they count, over any amount of data, and what they print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import graph
from networks import Feeds, normal, tokens

import onnx_snn
from onnx_snn import CalibrationError, ModelError, OutputError, ProductKind, Profile
from onnx_snn.cli.main import main
from onnx_snn.graph.model_reader import load_model
from onnx_snn.neurons.mbe import fired_slots
from onnx_snn.neurons.opset import OPERATORS, Body
from onnx_snn.profiling.spike_outputs import meter

X: Feeds = {"x": normal(16, 8)}


def converted(model: onnx.ModelProto | ir.Model, data: Any, folder: Path, **options: Any) -> Path:
    path = folder / "spiking.onnx"
    onnx_snn.convert(model, path, data, progress=False, **{"fast": True, **options})
    return path


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(networks.transformer(), tokens(16), tmp_path_factory.mktemp("transformer"))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(networks.classifier(), X, tmp_path_factory.mktemp("classifier"), timesteps=4)


def profiled(path: Path | ir.Model, data: Any, **options: Any) -> Profile:
    return onnx_snn.profile(path, data, progress=False, **options)


# --- spikes --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "functions"])
def test_counts_are_sums_over_the_runs(transformer: Path, kernels: bool) -> None:
    """The last batch is smaller; 11 samples stay below the largest batch that runs otherwise."""
    model = load_model(transformer)
    meters = meter(model, Body.LOOP)
    feeds = tokens(11, seed=4)
    batches = [{name: array[start : start + 4] for name, array in feeds.items()} for start in (0, 4, 8)]
    session = networks.session(model)
    sums = [sum(session.run([entry.output], batch)[0] for batch in batches) for entry in meters]
    profile = profiled(transformer, feeds, batch_size=4, kernels=kernels)
    assert (profile.samples, profile.batches) == (11, 3)
    for neuron, entry, expected in zip(profile.neurons, meters, sums, strict=True):
        assert (neuron.node, neuron.neuron) == (entry.node.name, entry.prefix.rstrip("_"))
        np.testing.assert_array_equal(neuron.spikes, expected, err_msg=neuron.name)


@pytest.mark.slow
def test_elements_are_those_of_the_data(transformer: Path) -> None:
    """5 samples of 6 tokens, of width 8, in 2 heads; a norm or softmax has one mean or sum a row."""
    elements = {neuron.name: neuron.elements for neuron in profiled(transformer, tokens(5)).neurons}
    assert elements["gelu"] == 5 * 6 * 16
    assert elements["norm_1 deviation"] == 5 * 6 * 8
    assert elements["norm_1 rsqrt"] == 5 * 6
    assert elements["softmax exp2"] == 8 * elements["softmax reciprocal"] // 8 * 6
    assert elements["softmax reciprocal"] % (5 * 6) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "gate"),
    [
        ({"gate": True}, True),
        ({"gate": False}, False),
        ({"timesteps": 12}, True),
        ({"nodes": [{"name": "first", "decay": 0.75}]}, False),
        ({"nodes": [{"name": "first", "decay": 0.75, "octaves": [0, 2]}]}, True),
    ],
    ids=str,
)
def test_spikes_and_saturated_elements_of_a_code(options: dict[str, Any], gate: bool, tmp_path: Path) -> None:
    """The code is that of the network's input, counted by element in NumPy; one sample is far out of range."""
    path = converted(networks.classifier(), X, tmp_path, **{"timesteps": 4, **options})
    x = normal(7, 8, seed=8)
    x[3] *= 100
    code = next(neuron for neuron in profiled(path, {"x": x}).neurons if neuron.node == "x/code")
    (entry,) = [entry for entry in meter(load_model(path), Body.LOOP) if entry.node.name == "x/code"]
    scale = entry.node.inputs[-1].const_value.numpy()
    assert code.total == fired_slots(entry.neuron, x / scale).sum()
    assert code.spikes.shape == entry.neuron.threshold.shape
    assert code.gate == gate
    # The code answers with its largest value.
    assert code.out_of_range == (np.abs(entry.neuron(x / scale)) == entry.neuron(np.float32([1e30]))).sum() > 0
    assert code.spikes_per_element == code.total / 56
    assert code.firing_rate == code.total / (56 * code.slots)
    assert code.spikes_per_step.sum() == code.total


@pytest.mark.slow
def test_spikes_of_other_kernels_do_not_tell_what_is_out_of_range(classifier: Path) -> None:
    model = load_model(classifier)
    (gelu,) = [node for node in model.graph if node.name == "gelu"]
    index = OPERATORS["MbeNeuron"].inputs.index("threshold")
    threshold = gelu.inputs[index].const_value.numpy()
    value = ir.val("lower", const_value=ir.tensor(threshold * np.float32(0.75), name="lower"))
    model.graph.register_initializer(value)
    gelu.replace_input_with(index, value)
    profile = profiled(model, X)
    (activity,) = [neuron for neuron in profile.neurons if neuron.node == "gelu"]
    assert activity.out_of_range is activity.out_of_range_share is None
    assert not activity.gate
    assert activity.total > 0
    assert "unknown" in profile.text()


def test_a_code_that_is_silent_beyond_one_end_does_not_tell_what_is_out_of_range(tmp_path: Path) -> None:
    path = converted(networks.classifier(), X, tmp_path, preset="paper")
    profile = profiled(path, {"x": 100 * normal(4, 8)})
    assert {neuron.out_of_range for neuron in profile.neurons if neuron.is_code} == {None}


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "functions"])
def test_a_single_value_out_of_range_is_named(classifier: Path, kernels: bool) -> None:
    """Where its share of all values would read as 0."""
    x = np.tile(X["x"], (700, 1))
    x[5, 2] = 1e4
    profile = profiled(classifier, {"x": x}, batch_size=x.shape[0], kernels=kernels)
    (code,) = (neuron for neuron in profile.neurons if neuron.node == "x/code")
    assert code.out_of_range == 1
    text = " ".join(profile.text().split())
    assert "<0.01%" in text
    assert "x/code: 1 of 89,600 elements (<0.01%) are beyond the range" in text
    assert "calibrate on data like these" in text
    assert "warning" not in profiled(classifier, X, kernels=kernels).text()


def test_mantissas_are_never_out_of_range(transformer: Path) -> None:
    inner = [n for n in profiled(transformer, tokens(5)).neurons if n.neuron in ("exp2", "reciprocal", "rsqrt")]
    assert inner
    assert all(neuron.out_of_range == 0 for neuron in inner)


@pytest.mark.slow
def test_a_metered_network_has_the_same_profile(transformer: Path, tmp_path: Path) -> None:
    metered = converted(networks.transformer(), tokens(16), tmp_path, meter=True)
    before, after = (profiled(path, tokens(5)).to_json() for path in (transformer, metered))
    assert {**before, "model": ""} == {**after, "model": ""}


# --- operations ----------------------------------------------------------------------------------


def test_spikes_travel_to_every_outgoing_synapse(classifier: Path) -> None:
    """8 inputs to 16 hidden units, and these to 5 scores."""
    profile = profiled(classifier, {"x": normal(7, 8, seed=8)})
    spikes = {neuron.node: neuron.total for neuron in profile.neurons}
    first, second = profile.products
    assert (first.node, first.kind, first.multiply_accumulates) == ("first", ProductKind.WEIGHTS, 7 * 8 * 16)
    assert first.synaptic_operations == 16 * spikes["x/code"]
    (operand,) = second.operands
    assert (operand.spikes, operand.synaptic_operations) == (spikes[operand.neuron], 5 * spikes[operand.neuron])


def test_products_of_activations_count_the_spikes_of_both(transformer: Path) -> None:
    """Probabilities [6, 6] meet values [6, features]: spikes of either times the other's outgoing side."""
    profile = profiled(transformer, tokens(5))
    spikes = {neuron.node: neuron.total for neuron in profile.neurons}
    (context,) = [product for product in profile.products if product.node == "context"]
    assert context.kind is ProductKind.ACTIVATIONS
    probabilities, values = context.operands
    features = context.multiply_accumulates // probabilities.elements
    assert probabilities.synaptic_operations == features * spikes[probabilities.neuron]
    assert values.synaptic_operations == 6 * spikes[values.neuron]
    assert context.synaptic_operations == probabilities.synaptic_operations + values.synaptic_operations


def test_weights_and_activations_are_told_apart(transformer: Path) -> None:
    kinds = {product.node: product.kind for product in profiled(transformer, tokens(3)).products}
    assert {name for name, kind in kinds.items() if kind is ProductKind.WEIGHTS} == set(networks.SYNAPSES)
    assert {name for name, kind in kinds.items() if kind is ProductKind.ACTIVATIONS} == {"scores", "context"}


def test_elements_at_a_border_have_fewer_synapses(tmp_path: Path) -> None:
    """Where all is one each element fires alike: operations are spikes a tap times taps that fall on the image."""
    body = "y = Conv <pads = [1, 1, 1, 1]> (x, weight)"
    ones = "float[2,1,3,3] weight = {" + ", ".join("1" for _ in range(18)) + "}"
    model = graph(body, inputs="float[N,1,4,5] x", outputs="float[N,2,4,5] y", initializers=ones)
    path = converted(model, {"x": normal(16, 1, 4, 5)}, tmp_path, timesteps=4)
    profile = profiled(path, {"x": np.ones((3, 1, 4, 5), np.float32)})
    (product,) = profile.products
    taps = 3 * 2 * (2 * 4 - 2 + 4) * (2 * 5 - 2 + 5)  # 3 a position along each side, but 2 at its ends
    assert product.multiply_accumulates == taps
    (code,) = profile.neurons
    assert product.synaptic_operations == taps * code.total // code.elements


@pytest.mark.slow
def test_scope_nonlinear_keeps_multiplications_in_both(tmp_path: Path) -> None:
    full = profiled(converted(networks.transformer(), tokens(16), tmp_path), tokens(5))
    path = converted(networks.transformer(), tokens(16), tmp_path, scope="nonlinear")
    nonlinear = profiled(path, tokens(5))
    assert [p.multiply_accumulates for p in nonlinear.products] == [p.multiply_accumulates for p in full.products]
    assert {product.node for product in nonlinear.products if product.spiking} == {"scores", "context"}
    kept = sum(product.multiply_accumulates for product in nonlinear.products if not product.spiking)
    operations = sum(product.synaptic_operations for product in nonlinear.products)
    figure = nonlinear.energy.figures()[0]
    assert figure.spiking == pytest.approx(4.6 * kept + 0.9 * operations)
    assert figure.original == full.energy.figures()[0].original


@pytest.mark.slow
def test_what_is_kept_computes_the_same_in_both(tmp_path: Path) -> None:
    path = converted(networks.transformer(), tokens(16), tmp_path, exclude=["gelu", "norm_2"])
    nodes = {node.node: node for node in profiled(path, tokens(5)).energy.nodes}
    for name, kind in (("gelu", "Gelu"), ("norm_2", "LayerNormalization")):
        assert nodes[name].kind == kind
        assert nodes[name].original == nodes[name].spiking
        assert nodes[name].original.neurons.multiply_accumulate > 0


def test_shapes_may_vary_from_run_to_run(transformer: Path) -> None:
    """Sums over sequences of two lengths are those of each alone."""
    feeds = [tokens(2, length=length, seed=length) for length in (4, 6, 4)]
    together = profiled(transformer, feeds)
    apart = [profiled(transformer, [feed]) for feed in feeds]
    assert together.samples == 6
    for index, product in enumerate(together.products):
        parts = [profile.products[index] for profile in apart]
        assert product.multiply_accumulates == sum(part.multiply_accumulates for part in parts)
        assert product.synaptic_operations == sum(part.synaptic_operations for part in parts)
    for index, figure in enumerate(together.energy.figures()):
        parts = [profile.energy.figures()[index] for profile in apart]
        assert figure.original == pytest.approx(sum(part.original for part in parts))
        assert figure.spiking == pytest.approx(sum(part.spiking for part in parts))


# --- reports and errors --------------------------------------------------------------------------


def test_text_names_kinds_rules_and_nodes(transformer: Path) -> None:
    profile = profiled(transformer, tokens(5))
    text = profile.text()
    for words in ("identity", "softmax exp2", "weight matmul", "activation matmul", "accumulate-only", "with memory"):
        assert words in text
    assert "norm_1 deviation" not in text
    assert "norm_1 deviation" in profile.text(nodes=True)


def test_json_holds_every_count(transformer: Path, tmp_path: Path) -> None:
    profile = profiled(transformer, tokens(5))
    profile.save(tmp_path / "profile.json")
    values = json.loads((tmp_path / "profile.json").read_text())
    assert [neuron["spikes"] for neuron in values["neurons"]] == [n.spikes.tolist() for n in profile.neurons]
    assert [product["synaptic_operations"] for product in values["products"]] == [
        product.synaptic_operations for product in profile.products
    ]
    assert [rule["name"] for rule in values["energy"]["network"]] == [f.rule.name for f in profile.energy.figures()]
    with pytest.raises(OutputError, match="cannot write"):
        profile.save(tmp_path)


def test_a_network_without_spikes_is_refused(tmp_path: Path) -> None:
    onnx.save(networks.classifier(), tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="no spiking nodes; convert it with"):
        profiled(tmp_path / "model.onnx", X)


def test_data_must_fit(classifier: Path) -> None:
    with pytest.raises(CalibrationError, match="lacks model input 'x'"):
        profiled(classifier, {"y": X["x"]})


def test_the_command_line_profiles(classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "data.npz", **X)
    arguments = ["profile", str(classifier), str(tmp_path / "data.npz"), "--samples", "8", "--nodes", "--no-kernels"]
    json_file = tmp_path / "profile.json"
    assert main([*arguments, "--cost", "accumulate=0.5", "access=2", "--json", str(json_file)]) == 0
    assert "x/code" in capsys.readouterr().out
    values = json.loads(json_file.read_text())
    assert values["samples"] == 8
    assert values["energy"]["costs_pj"]["accumulate"] == 0.5
    assert main([*arguments, "--cost", "accumulate"]) == 1
    assert "invalid --cost 'accumulate': expected NAME=PICOJOULES" in capsys.readouterr().err
