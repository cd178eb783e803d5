# SPDX-License-Identifier: Apache-2.0
"""Packed networks: texts in, labels out, and all that the network was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from c_program import classify, written
from packed_networks import byte_level, classifier, decoder, external, save

import onnx_snn
from onnx_snn.cli.main import main
from onnx_snn.errors import LibraryError, PackError
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.protobuf_weights import imported_domains
from onnx_snn.runtime import extensions

TEXTS = ["a gripping film", "too long, far too long", "", "Café <mask> 😀"]
LABELS = {"id2label": {"0": "negative", "1": "positive"}, "pad_token_id": 1}
FEW = ["the dog", "a  b"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Transformers and Optimum write it."""
    root = tmp_path_factory.mktemp("model")
    save(byte_level(), root)
    (root / "config.json").write_text(json.dumps(LABELS))
    classifier(root / "model.onnx")
    return root


def strings(texts: list[str]) -> dict[str, Any]:
    return {"text": np.array(texts, dtype=object)}


def outputs(session: ort.InferenceSession, feed: dict[str, Any]) -> dict[str, Any]:
    return dict(zip([value.name for value in session.get_outputs()], session.run(None, feed), strict=True))


def encoded(folder: Path, texts: list[str]) -> dict[str, Any]:
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(pad_id=1, pad_token="<pad>")
    tokenizer.enable_truncation(48)
    rows = tokenizer.encode_batch(texts)
    return {
        "input_ids": np.array([row.ids for row in rows]),
        "attention_mask": np.array([row.attention_mask for row in rows]),
    }


def test_label_score_and_logits_are_those_of_the_network(folder: Path, tmp_path: Path) -> None:
    report = onnx_snn.pack(folder, tmp_path / "packed.onnx", top_k=2)
    assert report.outputs == ("label", "score", "logits")
    assert "text to label, score, logits" in report.text()
    made = outputs(onnx_snn.session(tmp_path / "packed.onnx"), strings(TEXTS))
    wanted = ort.InferenceSession(folder / "model.onnx").run(None, encoded(folder, TEXTS))[0]
    assert np.array_equal(made["logits"], wanted)
    names = np.array(["negative", "positive"])
    assert (made["label"] == names[np.argsort(-wanted, axis=1)]).all()
    assert np.allclose(made["score"].sum(axis=1), 1)


def test_functions_and_metadata_stay_and_nothing_else_is_needed(folder: Path, tmp_path: Path) -> None:
    """onnxruntime-extensions alone runs the file."""
    onnx_snn.pack(folder, tmp_path / "packed.onnx", texts=FEW)
    packed = onnx.load(tmp_path / "packed.onnx")
    assert [function.name for function in packed.functions] == ["Scaled"]
    assert {entry.key: entry.value for entry in packed.metadata_props} == {"made": "here"}
    onnx.checker.check_model(packed, full_check=True)
    assert load_model(tmp_path / "packed.onnx").graph.inputs[0].name == "text"
    options = ort.SessionOptions()
    options.register_custom_ops_library(extensions.extensions_library())
    session = ort.InferenceSession(tmp_path / "packed.onnx", options)
    assert outputs(session, strings(["a"]))["label"].shape == (1, 1)


def test_external_data_stays_external(folder: Path, tmp_path: Path) -> None:
    source = external(tmp_path / "source.onnx", folder / "model.onnx")
    onnx_snn.pack(source, tmp_path / "packed.onnx", tokenizer=folder, labels=folder / "config.json", texts=FEW)
    assert (tmp_path / "packed.onnx").stat().st_size < 1 << 17
    made = outputs(onnx_snn.session(tmp_path / "packed.onnx"), strings(TEXTS))
    inside = tmp_path / "inside.onnx"
    onnx_snn.pack(folder, inside, texts=FEW)
    assert np.array_equal(made["logits"], outputs(onnx_snn.session(inside), strings(TEXTS))["logits"])


@pytest.fixture(scope="module")
def converted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spiking network, and the same packed."""
    root = tmp_path_factory.mktemp("converted")
    onnx_snn.convert(folder / "model.onnx", root / "snn.onnx", encoded(folder, TEXTS), timesteps=4, fast=True)
    labels = folder / "config.json"
    onnx_snn.pack(root / "snn.onnx", root / "packed.onnx", tokenizer=folder, labels=labels, top_k=2, texts=FEW)
    return root


def test_a_converted_network_is_packed(folder: Path, converted: Path) -> None:
    assert {"onnx_snn", "ai.onnx.contrib"} <= imported_domains(converted / "packed.onnx")
    made = outputs(onnx_snn.session(converted / "packed.onnx"), strings(TEXTS))
    wanted = onnx_snn.session(converted / "snn.onnx").run(None, encoded(folder, TEXTS))[0]
    assert np.array_equal(made["logits"], wanted)


@pytest.mark.parametrize("text", [TEXTS[0], TEXTS[3]])
def test_a_c_program_gives_the_same_answer(text: str, converted: Path, tmp_path: Path) -> None:
    answer = outputs(onnx_snn.session(converted / "packed.onnx"), strings([text]))
    made = classify(converted / "packed.onnx", text, tmp_path)
    assert made == written(answer["label"], answer["score"])


def test_a_decoder_answers_with_the_next_token(tmp_path: Path) -> None:
    """Inputs of another integer type, positions, and prompts of different lengths in one batch."""
    save(byte_level(prefix=False), tmp_path, padding_side="left")
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["GPT2LMHeadModel"]}))
    decoder(tmp_path / "model.onnx")
    onnx_snn.pack(tmp_path, tmp_path / "packed.onnx", top_k=3, texts=FEW)
    session = onnx_snn.session(tmp_path / "packed.onnx")
    together = outputs(session, strings(["the dog", "a film"]))
    for row, text in enumerate(["the dog", "a film"]):
        alone = outputs(session, strings([text]))
        best = np.argsort(-alone["logits"][0, -1])[:3]
        assert (alone["next_id"][0] == best).all()
        assert (together["next_id"][row] == best).all()
        assert together["label"][row].tolist() == alone["label"][0].tolist()


@pytest.mark.parametrize(
    ("config", "classes", "arguments", "reason"),
    [
        (LABELS, 3, {}, "has 3 classes, but there are 2 labels"),
        (LABELS, 2, {"top_k": 3}, "top_k is 3, but there are 2 classes"),
        ({"id2label": {"0": "a", "2": "b"}}, 2, {}, "not numbered from 0 on"),
        ({"id2label": {"x": "a", "y": "b"}}, 2, {}, "does not name classes by number"),
        ({"architectures": ["XForCausalLM"]}, 2, {}, r"chosen from an output \[batch, sequence, vocabulary\]"),
        (LABELS, 2, {"texts": []}, "no text to compare"),
        (LABELS, 2, {"texts": ["a\0b"]}, "other input_ids"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(
    config: dict[str, Any], classes: int, arguments: dict[str, Any], reason: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    network = classifier(tmp_path / "model.onnx", outputs=classes)
    with pytest.raises(PackError, match=reason):
        onnx_snn.pack(network, tmp_path / "packed.onnx", tokenizer=folder, **{"texts": FEW, **arguments})
    assert not list(tmp_path.glob("packed*"))


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (", float[batch] other", "a tokenizer does not make the network's input 'other'"),
        (", float[batch, 2, past, 4] past_key_values", "pack the file without a cache"),
    ],
)
def test_inputs_that_a_tokenizer_does_not_make_are_refused(
    inputs: str, reason: str, folder: Path, tmp_path: Path
) -> None:
    network = classifier(tmp_path / "model.onnx", inputs=inputs)
    with pytest.raises(PackError, match=reason):
        onnx_snn.pack(network, tmp_path / "packed.onnx", tokenizer=folder, texts=FEW)


def test_a_network_without_labels_keeps_its_outputs(tmp_path: Path) -> None:
    """The types of segments are an input that a tokenizer makes."""
    network = classifier(tmp_path / "model.onnx", inputs=", int64[batch, sequence] token_type_ids")
    save(byte_level(), tmp_path / "tokenizer")
    report = onnx_snn.pack(network, tmp_path / "packed.onnx", tokenizer=tmp_path / "tokenizer", texts=FEW)
    assert report.outputs == ("logits",)


def test_a_missing_library_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "packed.onnx"
    onnx_snn.pack(folder, packed, texts=FEW)
    monkeypatch.setattr(extensions, "LIBRARY", "no_such_library")
    with pytest.raises(LibraryError, match=r"pip install 'onnx-snn\[text\]'"):
        onnx_snn.session(packed)


def test_options_serve_several_sessions_of_packed_networks(folder: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.onnx"
    onnx_snn.pack(folder, packed, texts=FEW)
    options = onnx_snn.session_options()
    for _ in range(2):
        onnx_snn.session(packed, session_options=options)
    onnx_snn.session(packed, custom_ops=[extensions.extensions_library()])


def test_the_command_packs_and_refuses(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("one line\nanother ²\n", encoding="utf-8")
    command = ["pack", "-m", str(folder), "-o", str(tmp_path / "packed.onnx"), "--texts", str(texts)]
    assert main(command) == 0
    assert "on 3 texts" in capsys.readouterr().out
    for wrong, reason in (
        (["--processor", str(folder)], "a tokenizer and an image processor"),
        (["--texts", str(tmp_path / "none.txt")], "cannot read texts from"),
        (["--labels", str(texts)], "as a JSON object"),
        (["--tokenizer", str(tmp_path)], "has no tokenizer.json"),
        (["-o", str(folder / "model.onnx")], "is the input"),
    ):
        extra = ["--tokenizer", str(folder)] if "--processor" in wrong else []
        assert main([*command, *extra, *wrong]) == 1
        error = capsys.readouterr().err
        assert reason in error
        assert len(error.strip().splitlines()) == 1
