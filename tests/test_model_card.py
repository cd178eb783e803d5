# SPDX-License-Identifier: Apache-2.0
"""Model cards of converted folders; their figures are checked where folders are converted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.folder_layout import Layout
from onnx_snn.conversion.model_card import model_card
from onnx_snn.conversion.model_card_usage import optimum_class
from onnx_snn.conversion.report import ConversionReport, NodeReport, OutputReport
from onnx_snn.profiling.gain import Gain


def card_of(folder: Path, report: ConversionReport) -> str:
    (folder / "model.onnx").write_bytes(b"")
    return model_card(folder, {"model.onnx": report}, Layout.OPTIMUM)


def report(*outputs: OutputReport, nodes: tuple[NodeReport, ...] = (), **fields: object) -> ConversionReport:
    return ConversionReport("source", "output", ConvertConfig(), nodes, outputs, **fields)  # type: ignore[arg-type]


def test_names_in_a_file_do_not_break_the_page(tmp_path: Path) -> None:
    odd = OutputReport("a|b`c\nd", 0.5, 1.0, None)
    card = card_of(tmp_path, report(odd, nodes=(NodeReport("n", "Odd|\n## Kind"),), warnings=("two\nlines",)))
    assert r"| `a\|b'c\nd` | 5.00e-01 | 1.00e+00 |  |" in card
    assert r"| Odd\|\n## Kind | 1 | 0 | 0 | 0 |" in card
    assert r"- two\nlines" in card
    assert "Not counted at the conversion" in card


def test_energies_stand_beside_their_rules(tmp_path: Path) -> None:
    card = card_of(tmp_path, report(gain=Gain(3.0, 2.0, (4.0, 1.0), (4.0, 3.0))))
    assert "1.50 spikes per element" in card
    rows = [line.split(" | ") for line in card.splitlines() if line.endswith("% |")]
    assert [(row[0], row[-1]) for row in rows] == [("| accumulate-only", "25% |"), ("| with memory", "75% |")]


@pytest.mark.parametrize(
    ("path", "name"),
    [("owner/network-1.5", "owner/network-1.5"), ("/home/me/network", "made"), ("network", "made"), (None, "made")],
)
def test_the_original_is_called_as_on_its_hub(path: str | None, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"_name_or_path": path} if path else {}))
    assert card_of(folder, report()).startswith(f'---\nbase_model: "{name}"\nlibrary_name: onnx\ntags:\n')


@pytest.mark.parametrize(
    ("original", "inherited"),
    [
        ("---\nlicense: apache-2.0\nlanguage: [en, de]\n---\n", ["license: apache-2.0", "language: [en, de]"]),
        ("---\nlicense:\n- mit\nlicense_name: x: y\n---\n", ["license_name: x: y"]),
        ("---\ntags: [a]\nlicense: mit\n", []),
        ("license: mit\n", []),
        ("---\nlicense: >\n  mit\n---\n", []),
    ],
)
def test_terms_are_inherited(original: str, inherited: list[str], tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(original)
    lines = card_of(tmp_path, report()).splitlines()
    assert lines[3 : lines.index("tags:")] == inherited


@pytest.mark.parametrize(
    ("architecture", "processor", "name"),
    [
        ("BertForSequenceClassification", "", "ORTModelForSequenceClassification"),
        ("GPT2LMHeadModel", "", "ORTModelForCausalLM"),
        ("T5ForConditionalGeneration", "", "ORTModelForSeq2SeqLM"),
        ("WhisperForConditionalGeneration", "feature_extractor_type", "ORTModelForSpeechSeq2Seq"),
        ("BlipForConditionalGeneration", "image_processor_type", "ORTModelForVision2Seq"),
        ("BertModel", "", "ORTModelForFeatureExtraction"),
        ("BertForPreTraining", "", ""),
    ],
)
def test_classes_of_optimum_by_architecture(architecture: str, processor: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({processor: "x"}))
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    assert optimum_class(tmp_path) == name
