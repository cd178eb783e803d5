# SPDX-License-Identifier: Apache-2.0
"""Reports: counts, text and JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from onnx_snn import ConversionReport, ConvertConfig, NodeReport, OutputError, OutputReport, Status
from onnx_snn.conversion.merged_report import merged
from onnx_snn.formatting import table

GELU = NodeReport("a", "function", "gelu", sqnr_db=50.0, spikes={"function": 5.0}, slots=144, parameters=481)
REPORT = ConversionReport(
    "model.onnx",
    "spiking.onnx",
    ConvertConfig(timesteps=4),
    (
        GELU,
        NodeReport("b", "function", "gelu", sqnr_db=math.inf, spikes={"function": 7.0}, slots=144),
        NodeReport("c", "softmax", status=Status.KEPT, reason="excluded by name"),
        NodeReport("d", "Log", status=Status.REFUSED, reason="no rule knows Log"),
    ),
    (OutputReport("y", 0.01, 0.5, 0.995), OutputReport("z", math.inf, 0.0, None)),
    32,
    {"load": 0.04, "fit": 1.26},
)


def test_counts_and_sums_are_over_all_nodes() -> None:
    assert [REPORT.count(status) for status in Status] == [2, 1, 0, 1]
    assert (REPORT.slots, REPORT.parameters) == (288, 481)


def test_text_has_coverage_outputs_and_refusals() -> None:
    lines = REPORT.text().splitlines()
    assert lines[0] == "model.onnx -> spiking.onnx"
    assert lines[1] == ("T=4, scope full, preset default; 32 calibration samples; load 0.0 s, fit 1.3 s")
    rows = [line.split() for line in lines]
    assert ["function", "gelu", "2", "2", "0", "0", "0", "50.0", "function", "6.0"] in rows
    assert ["softmax", "1", "0", "1", "0", "0"] in rows
    assert ["Log", "1", "0", "0", "0", "1"] in rows
    assert ["y", "1.00e-02", "5.00e-01", "99.50%"] in rows
    assert ["z", "inf", "0.00e+00"] in rows
    assert ["d", "Log", "no", "rule", "knows", "Log"] in rows
    assert not any(row[:1] == ["a"] for row in rows)


def test_outputs_without_classes_have_no_column_of_agreement() -> None:
    assert "argmax agreement" in REPORT.text()
    hidden = tuple(dataclasses.replace(output, agreement=None) for output in REPORT.outputs)
    assert "agreement" not in dataclasses.replace(REPORT, outputs=hidden).text()


def test_every_node_is_counted_in_one_line() -> None:
    report = dataclasses.replace(REPORT, classes={"converted": 3, "kept": 0, "linear": 12, "refused": 1})
    assert "all 16 nodes: 3 converted, 12 linear or movement, 1 refused" in report.text()
    assert "linear or movement" not in REPORT.text()
    assert merged("folder", "out", [report, report]).classes == {"converted": 6, "kept": 0, "linear": 24, "refused": 2}


def test_text_with_nodes_has_a_line_for_each() -> None:
    rows = [line.split() for line in REPORT.text(nodes=True).splitlines()]
    assert ["a", "function", "gelu", "converted", "50.0", "function", "5.0"] in rows
    assert ["c", "softmax", "kept", "excluded", "by", "name"] in rows


def test_a_dry_run_says_that_nothing_was_written() -> None:
    dry = dataclasses.replace(REPORT, output=None, outputs=())
    assert dry.text().startswith("model.onnx (dry run, nothing written)")
    assert "relative error" not in dry.text()


def test_json_is_standard_and_keeps_everything(tmp_path: Path) -> None:
    REPORT.save(tmp_path / "report.json")

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    values = json.loads((tmp_path / "report.json").read_text(), parse_constant=refuse)
    assert values == REPORT.to_json()
    assert ConvertConfig.from_json(values["config"]) == REPORT.config
    nodes = [NodeReport(**{**node, "status": Status(node["status"])}) for node in values["nodes"]]
    assert nodes == [dataclasses.replace(node, sqnr_db=50.0 if node is GELU else None) for node in REPORT.nodes]
    assert OutputReport(**values["outputs"][0]) == REPORT.outputs[0]
    assert values["outputs"][1]["relative_error"] is None
    assert values["seconds"] == REPORT.seconds


def test_a_report_that_cannot_be_saved_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        REPORT.save(tmp_path / "missing" / "report.json")


def test_several_reports_become_one_with_prefixed_names() -> None:
    other = dataclasses.replace(REPORT, source="folder/encoder_model.onnx", nodes=(GELU,), outputs=())
    both = merged("folder", "out", [REPORT, other])
    assert (both.source, both.output) == ("folder", "out")
    assert [node.name for node in both.nodes] == [*(f"model:{n}" for n in "abcd"), "encoder_model:a"]
    assert [output.name for output in both.outputs] == ["model:y", "model:z"]
    assert both.seconds == {"load": 0.08, "fit": 2.52}
    assert both.calibration_samples == 64


def test_the_report_of_one_model_keeps_its_names() -> None:
    assert merged("folder", "out", [REPORT]) == dataclasses.replace(REPORT, source="folder", output="out")


def test_a_table_is_as_wide_as_its_cells() -> None:
    assert table(("n", "name"), [("10", "a"), ("2", "")]) == "n   name\n--------\n10  a\n2"


def test_bounds_are_means_over_the_codes_of_a_kind() -> None:
    norm = NodeReport("n", "layer_norm", spikes={"deviation": 3.0, "rsqrt": 9.0}, least_spikes={"deviation": 1.0})
    other = NodeReport("o", "layer_norm", spikes={"deviation": 5.0, "rsqrt": 9.0}, least_spikes={"deviation": 1.5})
    rows = [line.split() for line in dataclasses.replace(REPORT, nodes=(norm, other, GELU)).text().splitlines()]
    assert ["layer_norm", "4.00", "1.25", "3.2"] in rows
    assert "Shannon" not in REPORT.text()
