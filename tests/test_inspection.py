# SPDX-License-Identifier: Apache-2.0
"""What a file says of its conversion."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import networks
import onnx
import pytest
from networks import normal

import onnx_snn
from onnx_snn import ModelError, inspect

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def conversion(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, onnx_snn.ConversionReport]:
    path = tmp_path_factory.mktemp("inspection") / "spiking.onnx"
    data = {"x": normal(8, 8)}
    return path, onnx_snn.convert(networks.classifier(), path, data, timesteps=5, body="closed")


def test_it_agrees_with_the_report(conversion: tuple[Path, onnx_snn.ConversionReport]) -> None:
    path, report = conversion
    inspection = inspect(path)
    assert inspection.version == onnx_snn.__version__
    assert onnx_snn.ConvertConfig.from_json(inspection.config) == report.config
    assert inspection.operators == {"MbeNeuron (gelu)": 1, "MbeNeuron (identity)": 2}
    assert inspection.slots == report.slots
    assert inspection.nodes == 3 + 2  # the GELU is replaced
    assert inspection.functions == ("MbeNeuron",)


def test_text_and_json_hold_it(conversion: tuple[Path, onnx_snn.ConversionReport]) -> None:
    inspection = inspect(conversion[0])
    assert json.loads(json.dumps(inspection.to_json()))["operators"] == inspection.operators
    text = inspection.text()
    assert f"converted by onnx-snn {onnx_snn.__version__}" in text
    assert "made with: T=5, scope full, preset default" in text
    assert "options other than the defaults: body closed" in text
    assert inspection.changed == {"timesteps": 5, "body": "closed"}
    assert inspection.to_json()["mode"] == "preset default"
    assert "3 of 5 nodes are spiking" in text


def test_it_says_what_made_the_file(conversion: tuple[Path, onnx_snn.ConversionReport], tmp_path: Path) -> None:
    """Options of other versions too: a record may hold options that this version does not know."""
    model = onnx.load(conversion[0])
    (entry,) = (entry for entry in model.metadata_props if entry.key == "onnx_snn.config")
    options = json.loads(entry.value) | {"nodes": [{"name": "gelu"}], "include": ["a", "b"], "later_option": 0.5}
    entry.value = json.dumps(options)
    onnx.save(model, tmp_path / "tuned.onnx")
    inspection = inspect(tmp_path / "tuned.onnx")
    assert inspection.mode == "tuned"
    assert "neurons: tuned, 1 with settings of their own" in inspection.text()
    assert "options other than the defaults: body closed, include a b, later_option 0.5" in inspection.text()


def test_a_file_without_functions_needs_the_kernels(
    conversion: tuple[Path, onnx_snn.ConversionReport], tmp_path: Path
) -> None:
    model = onnx.load(conversion[0])
    del model.functions[:]
    onnx.save(model, tmp_path / "bare.onnx")
    assert "none; it needs the kernels" in inspect(tmp_path / "bare.onnx").text()


def test_an_original_has_nothing_that_spikes(tmp_path: Path) -> None:
    onnx.save(networks.classifier(), tmp_path / "model.onnx")
    inspection = inspect(tmp_path / "model.onnx")
    assert (inspection.version, inspection.operators, inspection.slots) == ("", {}, 0)
    assert inspection.text().endswith("3 nodes, none of them spiking; convert it with: onnx-snn convert")


def test_damaged_metadata_is_an_error(conversion: tuple[Path, onnx_snn.ConversionReport], tmp_path: Path) -> None:
    model = onnx.load(conversion[0])
    for entry in model.metadata_props:
        entry.value = "{"
    onnx.save(model, tmp_path / "damaged.onnx")
    with pytest.raises(ModelError, match=r"metadata 'onnx_snn.config' is not a JSON object"):
        inspect(tmp_path / "damaged.onnx")


def test_a_code_that_several_nodes_read_counts_once(tmp_path: Path) -> None:
    """Query, key and value of the Transformer read one coded tensor."""
    path = tmp_path / "spiking.onnx"
    report = onnx_snn.convert(networks.transformer(), path, networks.tokens(), timesteps=7, progress=False, fast=True)
    assert [node.slots for node in report.nodes if node.kind == "synapse"].count(0) >= 2
    assert inspect(path).slots == report.slots


def unknown_operator(model: onnx.ModelProto) -> None:
    model.functions[0].name = "Newer"
    for node in model.graph.node:
        node.op_type = node.op_type.replace("MbeNeuron", "Newer")


def missing_input(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "MbeNeuron":
            del node.input[-1]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(unknown_operator, "is of operator 'Newer'"), (missing_input, "has 8 inputs; MbeNeuron takes 9")],
)
def test_a_node_that_is_none_is_named(
    spoil: Callable[[onnx.ModelProto], None],
    says: str,
    conversion: tuple[Path, onnx_snn.ConversionReport],
    tmp_path: Path,
) -> None:
    model = onnx.load(conversion[0])
    spoil(model)
    onnx.save(model, tmp_path / "model.onnx")
    for read in (inspect, lambda path: onnx_snn.profile(path, {"x": normal(8, 8)}, progress=False)):
        with pytest.raises(ModelError, match=says):
            read(tmp_path / "model.onnx")
