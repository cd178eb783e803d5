# SPDX-License-Identifier: Apache-2.0
"""Settings of single neurons: what is accepted, whom they reach, and that a file of them repeats a conversion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from networks import spiking_nodes, tokens
from portable import assert_same_bits

import onnx_snn
from onnx_snn import Body, ConfigError, ConvertConfig
from onnx_snn.config.neuron_settings import BetaCode, BinaryCode, FittedBases, NeuronSettings, Shape
from onnx_snn.config.node_settings import NodeSettings, node_settings
from onnx_snn.conversion.selection import resolve
from onnx_snn.neurons.opset import PARAMETERS
from onnx_snn.neurons.roles import OPERANDS
from onnx_snn.rules import recognise


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"name": "a"}, "'a' sets nothing"),
        ({"name": "", "bases": 1}, "name is ''"),
        ({"bases": 1}, "names no node"),
        ({"name": "a", "base": 1}, r"unknown options \['base'\]"),
        ({"name": "a", "neuron": "operand 3", "bases": 1}, "neuron is 'operand 3'"),
        ({"name": "a", "timesteps": 17}, "timesteps is 17"),
        ({"name": "a", "bases": 0}, "bases is 0"),
        ({"name": "a", "bases": True}, "bases is True"),
        ({"name": "a", "gate": "yes"}, "gate is 'yes'"),
        ({"name": "a", "headroom": 0.5}, "headroom is 0.5"),
        ({"name": "a", "octaves": [1, 2]}, r"octaves is \[1, 2\]; expected whole numbers that ascend from 0"),
        ({"name": "a", "octaves": [0, 2, 1]}, "ascend from 0"),
        ({"name": "a", "octaves": []}, "ascend from 0"),
        ({"name": "a", "octaves": 3}, "ascend from 0"),
        ({"name": "a", "octaves": [0, 99]}, "up to 64 segments and 24 octaves"),
        ({"name": "a", "octaves": [0, 2], "bases": 2}, "give one of them"),
        ({"name": "a", "bases": 2, "decay": 0.8}, "sets bases 2 and decay 0.8; give one of them"),
        ({"name": "a", "decay": 0.5}, "decay is 0.5; expected a number above 0.5, at most 1"),
        ({"name": "a", "decay": "slow"}, "decay is 'slow'"),
        ({"name": "a", "increment": 2}, "increment is 2 without a decay"),
        ({"name": "a", "decay": 0.8, "increment": -1}, "increment is -1; expected 0 to 16 last steps"),
        ({"name": "a", "step": 0.0}, "step is 0.0; expected"),
        ({"name": "a", "step": "fine"}, "step is 'fine'"),
        ({"name": "a", "step": 0.1, "decay": 0.8}, "sets step 0.1 and decay 0.8; give one of them"),
        ({"name": "a", "step": 0.1, "bases": 2}, "sets bases 2 and step 0.1; give one of them"),
        ("a", "holds 'a'; expected an object"),
    ],
)
def test_a_bad_entry_is_quoted_with_what_was_expected(entry: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        node_settings([entry])


def test_entries_are_a_list() -> None:
    with pytest.raises(ConfigError, match="expected a list"):
        ConvertConfig(nodes={"a": 1})  # type: ignore[arg-type]


def test_the_preset_of_the_paper_has_no_octaves() -> None:
    with pytest.raises(ConfigError, match="octaves is an option of preset 'default' alone"):
        ConvertConfig(preset="paper", nodes=[{"name": "a", "octaves": [0]}])  # type: ignore[arg-type]


def settings_of(entries: list[dict[str, Any]]) -> dict[tuple[str, str], NeuronSettings]:
    """Settings by the name of a node of the Transformer and of its neuron."""
    sites = recognise(ir.from_proto(networks.transformer())).sites
    settings = resolve(sites, ConvertConfig.from_json({"nodes": entries}))
    return {(site.name, role.value): settings.of(site, role) for site in sites for role in OPERANDS}


def test_later_entries_override_earlier_ones_option_by_option() -> None:
    found = settings_of(
        [
            {"name": "query|key", "timesteps": 3, "bases": 5},
            {"name": "key", "timesteps": 4},
            {"name": "scores", "neuron": "operand 1", "gate": False, "headroom": 2.0},
        ]
    )
    default = ConvertConfig().neuron
    assert found["query", "operand 0"] == NeuronSettings(3, gate=True, headroom=4.0, shape=FittedBases(5))
    assert found["key", "operand 0"] == NeuronSettings(4, gate=True, headroom=4.0, shape=FittedBases(5))
    assert found["value", "operand 0"] == default
    assert found["scores", "operand 0"] == default
    assert found["scores", "operand 1"] == NeuronSettings(8, gate=False, headroom=2.0)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"name": "quary", "bases": 1}, r"nodes: 'quary' matches no node.*'query'"),
        ({"name": "query", "neuron": "exp2", "bases": 1}, "no node that 'query' matches has a neuron 'exp2'"),
        (
            {"name": "gelu", "octaves": [0, 1]},
            "no node that 'gelu' matches has an identity code that could take octaves",
        ),
        ({"name": "gelu", "decay": 0.7}, "no node that 'gelu' matches has an identity code that could take decay"),
    ],
)
def test_a_name_that_is_not_there_is_an_error(entry: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        settings_of([entry])


@pytest.mark.slow
def test_a_conversion_builds_each_neuron_as_asked(tmp_path: Path) -> None:
    entries = [
        {"name": "query", "timesteps": 3, "bases": 2},
        {"name": "context", "neuron": "operand 1", "timesteps": 5, "bases": 3, "gate": False},
        {"name": "softmax", "neuron": "exp2", "timesteps": 4, "bases": 6},
        {"name": "norm_1", "neuron": "deviation", "timesteps": 6, "bases": 7},
        {"name": "gelu", "timesteps": 2, "bases": 9},
    ]
    path = tmp_path / "spiking.onnx"
    onnx_snn.convert(networks.transformer(), path, tokens(), nodes=entries, body="closed", fast=True)
    weights = {tensor.name: tuple(tensor.dims) for tensor in onnx.load(path).graph.initializer}
    nodes = {node.name: node for node in onnx.load(path).graph.node}
    producers = {node.output[0]: node for node in nodes.values()}
    threshold = PARAMETERS.index("threshold")
    assert weights[producers[nodes["query"].input[0]].input[1 + threshold]] == (3 + 1, 2)
    assert weights[producers[nodes["context"].input[1]].input[1 + threshold]] == (5, 3)
    assert weights[nodes["softmax"].input[1 + threshold]] == (4 + 1, 6)
    assert weights[nodes["softmax"].input[1 + len(PARAMETERS) + threshold]][0] == 8 + 1
    assert weights[nodes["norm_1"].input[4 + threshold]] == (6 + 1, 7)
    assert weights[nodes["gelu"].input[1 + threshold]] == (2 + 1, 9)


@pytest.mark.slow
def test_octaves_make_the_segments_of_a_code(tmp_path: Path) -> None:
    entries = [
        {"name": "scores", "octaves": [0, 1, 3], "timesteps": 5},
        {"name": "context", "bases": 7, "octaves": None},
        {"name": "context", "neuron": "operand 0", "octaves": [0, 2]},
    ]
    path = tmp_path / "spiking.onnx"
    onnx_snn.convert(networks.transformer(), path, tokens(), nodes=entries, body="closed", fast=True)
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    nodes = {node.name: node for node in onnx.load(path).graph.node}
    producers = {node.output[0]: node for node in nodes.values()}
    gain = 1 + PARAMETERS.index("gain")
    found = weights[producers[nodes["scores"].input[1]].input[gain]]
    np.testing.assert_array_equal(found[0] / found, [1, 2, 8])
    assert len(weights[producers[nodes["context"].input[0]].input[gain]]) == 2
    assert len(weights[producers[nodes["context"].input[1]].input[gain]]) == 7


@pytest.mark.slow
def test_a_decay_makes_a_beta_code(tmp_path: Path) -> None:
    entries = [
        {"name": "scores", "decay": 0.75, "increment": 0.5, "timesteps": 12},
        {"name": "context", "neuron": "operand 0", "octaves": [0, 2]},
        {"name": "context", "decay": 0.8},
        {"name": "context", "neuron": "operand 1", "bases": 3},
        {"name": "query", "decay": 0.8, "octaves": [0, 4]},
    ]
    path = tmp_path / "spiking.onnx"
    onnx_snn.convert(networks.transformer(), path, tokens(), nodes=entries, fast=True)
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    nodes = {node.name: node for node in onnx.load(path).graph.node}
    producers = {node.output[0]: node for node in nodes.values()}
    threshold = 1 + PARAMETERS.index("threshold")

    def sizes(product: str, operand: int) -> Any:
        return weights[producers[nodes[product].input[operand]].input[threshold]]

    expected = [1.0]
    for _ in range(11):
        expected.append(expected[-1] / 0.75 + 0.5)
    expected = np.array(expected[::-1]) / expected[-1]
    assert sizes("scores", 0)[:, 0] == pytest.approx(expected, abs=2.0**-20)
    assert sizes("context", 0)[:, 0] == pytest.approx(0.8 ** np.arange(8), abs=2.0**-20)
    assert sizes("context", 1).shape == (8 + 1, 3)
    assert sizes("query", 0).shape == (8 + 1, 2)
    assert (sizes("query", 0)[1:] == sizes("context", 0)).all()
    gain = weights[producers[nodes["query"].input[0]].input[1 + PARAMETERS.index("gain")]]
    assert gain[0] == 16 * gain[1]


@pytest.mark.slow
def test_a_closed_body_has_beta_codes_of_one_segment(tmp_path: Path) -> None:
    """The same bits as those of the time loop, where no library is loaded."""
    outputs = []
    for body in Body:
        path = tmp_path / f"{body.value}.onnx"
        entries = [{"name": "scores|query|key", "decay": 0.75}]
        onnx_snn.convert(networks.transformer(), path, tokens(), nodes=entries, body=body, fast=True)
        session = onnx_snn.session(path, kernels=False)
        outputs.append(session.run(None, tokens(seed=3))[0])
    assert_same_bits(outputs[0], outputs[1], "logits")


@pytest.mark.slow
def test_a_closed_body_has_no_beta_codes_of_two_segments(tmp_path: Path) -> None:
    entries = [{"name": "scores", "decay": 0.75, "octaves": [0, 2]}]
    with pytest.raises(
        ConfigError,
        match="body 'closed' needs one basis, or thresholds that halve at every step; use body 'loop'",
    ):
        onnx_snn.convert(
            networks.transformer(), tmp_path / "snn.onnx", tokens(), nodes=entries, body="closed", fast=True
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_readers_of_one_tensor_may_ask_for_different_codes(tmp_path: Path) -> None:
    path = tmp_path / "spiking.onnx"
    entries = [NodeSettings("query|key", timesteps=3)]
    onnx_snn.convert(networks.transformer(), path, tokens(), nodes=entries, body="closed", fast=True)
    nodes = onnx.load(path).graph.node
    codes = [node for node in spiking_nodes(path) if node.input[0] == "normed"]
    readers = [[node.name for node in nodes if code.output[0] in node.input] for code in codes]
    assert sorted(readers) == [["query", "key"], ["value"]]


@pytest.mark.slow
def test_a_file_of_settings_repeats_a_conversion_to_the_byte(tmp_path: Path) -> None:
    config = ConvertConfig(timesteps=6, nodes=(NodeSettings("scores|context", timesteps=3, bases=4, headroom=1.5),))
    (tmp_path / "config.json").write_text(json.dumps(config.to_json()))
    once, again = tmp_path / "once.onnx", tmp_path / "again.onnx"
    onnx_snn.convert(networks.transformer(), once, tokens(), config=config)
    onnx_snn.convert(networks.transformer(), again, tokens(), config=ConvertConfig.from_json(tmp_path / "config.json"))
    assert once.read_bytes() == again.read_bytes()


@pytest.mark.parametrize(
    "shape", [FittedBases(7), BinaryCode((0, 2, 5)), BetaCode(0.75, 0.5), BetaCode(0.6, 0.0, (0, 3))]
)
def test_settings_survive_the_way_through_a_configuration(shape: Shape) -> None:
    settings = NeuronSettings(6, gate=False, headroom=2.0, shape=shape)
    (entry,) = node_settings(json.loads(json.dumps([{"name": "a", **settings.options()}])))
    assert entry.applied_to(ConvertConfig().neuron) == settings


def test_an_entry_without_a_shape_keeps_the_one_before() -> None:
    beta = NeuronSettings(8, gate=True, headroom=4.0, shape=BetaCode(0.7))
    assert NodeSettings("a", timesteps=5).applied_to(beta) == NeuronSettings(5, True, 4.0, BetaCode(0.7))
    assert NodeSettings("a", bases=3).applied_to(beta) == NeuronSettings(8, True, 4.0, FittedBases(3))
