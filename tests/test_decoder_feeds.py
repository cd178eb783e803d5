# SPDX-License-Identifier: Apache-2.0
"""Calibration data of decoders: what the original network reads while it decodes, whatever files it lies in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from networks import normal, run

import onnx_snn
from onnx_snn import CalibrationError, ModelError, Status
from onnx_snn.cli.main import main
from onnx_snn.conversion.decoder_feeds import DECODER, ENCODER, MERGED, TOKENS, WITH_PAST, DecoderFeeds
from onnx_snn.conversion.folder_data import data_by_file
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import Feed, input_specs
from onnx_snn.graph.model_reader import load_model

START, END, PAD, VOCABULARY, WIDTH = 1, 15, 0, 16, 8

SOURCE = "int64[batch, source] attention_mask"
GIVEN = "float[batch, source, 8] encoder_hidden_states, int64[batch, source] encoder_attention_mask"
TEXT = "int64[batch, length] input_ids"
PAST = "float[batch, 1, past, 8] past_key_values__0__decoder__key"
PAST_CROSS = "float[batch, 1, source, 8] past_key_values__0__encoder__key"
LOGITS = "float[batch, length, 16] logits"
PRESENT = "float[batch, 1, total, 8] present__0__decoder__key"
PRESENT_CROSS = "float[batch, 1, source, 8] present__0__encoder__key"

READ = """
    logits = Gather (successor, input_ids)
    embedded = Gather (table, input_ids)
    gated = Gelu (embedded)
"""
FIRST = f"""{READ}
    present__0__decoder__key = Unsqueeze (gated, heads)
    present__0__encoder__key = Unsqueeze (encoder_hidden_states, heads)
"""
NEXT = f"""{READ}
    new = Unsqueeze (gated, heads)
    present__0__decoder__key = Concat <axis = 2> (past_key_values__0__decoder__key, new)
"""
FILES = {
    ENCODER: (
        f"int64[batch, source] input_ids, {SOURCE}",
        "float[batch, source, 8] last_hidden_state",
        "e = Gather (table, input_ids) last_hidden_state = Tanh (e)",
    ),
    DECODER: (f"{TEXT}, {GIVEN}", f"{LOGITS}, {PRESENT}, {PRESENT_CROSS}", FIRST),
    WITH_PAST: (f"{TEXT}, {PAST}, {PAST_CROSS}", f"{LOGITS}, {PRESENT}", NEXT),
    MERGED: (
        f"{TEXT}, {GIVEN}, {PAST}, {PAST_CROSS}, bool[1] use_cache_branch",
        f"{LOGITS}, {PRESENT}, {PRESENT_CROSS}",
        f"""logits, present__0__decoder__key, present__0__encoder__key = If (use_cache_branch) <
            then_branch = with_past () => ({LOGITS}, {PRESENT}, {PRESENT_CROSS}) {{
                {NEXT} present__0__encoder__key = Identity (past_key_values__0__encoder__key)
            }},
            else_branch = no_past () => ({LOGITS}, {PRESENT}, {PRESENT_CROSS}) {{ {FIRST} }}
        >""",
    ),
}
"""Inputs, outputs and nodes of each file; names get dots, which ONNX text does not know."""

SPLIT = (ENCODER, DECODER, WITH_PAST)
FORMS = {"split": SPLIT, "merged": (ENCODER, MERGED), "both": tuple(FILES), "without a cache": (ENCODER, DECODER)}


SPECIAL = {"decoder_start_token_id": START, "eos_token_id": END, "pad_token_id": PAD}


def write(
    folder: Path,
    names: Sequence[str],
    config: Mapping[str, Any] = SPECIAL,
    files: Mapping[str, tuple[str, str, str]] = FILES,
) -> Path:
    """A network that counts up from the start token to the end token, whatever its encoder reads."""
    folder.mkdir()
    weights = {
        "table": normal(VOCABULARY, WIDTH),
        "successor": np.roll(np.eye(VOCABULARY, dtype=np.float32), 1, axis=1),
        "heads": np.array([1], np.int64),
    }
    for name in names:
        inputs, outputs, body = files[name]
        text = f'<ir_version: 10, opset_import: ["": 20]> network ({inputs}) => ({outputs}) {{ {body} }}'
        proto = onnx.parser.parse_model(text)
        proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, key) for key, array in weights.items())
        model = ir.from_proto(proto)
        values = [value for node in model.graph.all_nodes() for value in node.outputs]
        for value in (*model.graph.inputs, *values):
            value.name = str(value.name).replace("__", ".")
        ir.save(model, folder / name)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def source(samples: int = 5) -> Feed:
    """Inputs of the encoder."""
    ids = np.random.default_rng(1).integers(2, VOCABULARY, size=(samples, 7))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def decoded(folder: Path, name: str, *, batch_size: int = 8) -> list[Feed]:
    """What decoder `name` reads."""
    encoder = open_feeds(source(), input_specs(load_model(folder / ENCODER)), batch_size=batch_size)
    return list(open_feeds(DecoderFeeds(folder, encoder, name), input_specs(load_model(folder / name))))


def texts(feeds: Sequence[Feed]) -> list[list[int]]:
    """The tokens of the first row of each feed."""
    return [feed["input_ids"][0].tolist() for feed in feeds]


COUNTED = list(range(START, END + 1))
CACHE, CROSS = "past_key_values.0.decoder.key", "past_key_values.0.encoder.key"


@pytest.mark.parametrize("form", ["split", "both", "without a cache"])
def test_a_decoder_without_a_cache_reads_the_start_and_the_whole_text(form: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "network", FORMS[form])
    feeds = decoded(folder, DECODER)
    assert texts(feeds) == [[START], COUNTED]
    hidden = run(folder / ENCODER, source())["last_hidden_state"]
    for feed in feeds:
        np.testing.assert_array_equal(feed["encoder_hidden_states"], hidden)
        np.testing.assert_array_equal(feed["encoder_attention_mask"], source()["attention_mask"])


def test_a_decoder_with_a_cache_reads_each_further_token_and_what_came_before(tmp_path: Path) -> None:
    folder = write(tmp_path / "network", FORMS["split"])
    feeds = decoded(folder, WITH_PAST)
    assert texts(feeds) == [[token] for token in COUNTED[1:-1]]
    first = run(folder / DECODER, decoded(folder, DECODER)[1])
    for length, feed in enumerate(feeds, 1):
        np.testing.assert_array_equal(feed[CACHE], first["present.0.decoder.key"][:, :, :length])
        np.testing.assert_array_equal(feed[CROSS], first["present.0.encoder.key"])


@pytest.mark.parametrize("form", ["merged", "both"])
def test_a_merged_decoder_reads_both(form: str, tmp_path: Path) -> None:
    feeds = decoded(write(tmp_path / "network", FORMS[form]), MERGED)
    assert texts(feeds) == [[START], *([token] for token in COUNTED[1:-1]), COUNTED]
    cached = [feed["use_cache_branch"].tolist() for feed in feeds]
    assert cached == [[False], *([[True]] * (len(COUNTED) - 2)), [False]]
    assert [feed[CACHE].shape[2] for feed in feeds] == [*range(len(COUNTED) - 1), 0]
    assert {feed[CROSS].shape[2] for feed in feeds if feed["use_cache_branch"]} == {7}


def test_batches_are_decoded_one_after_the_other_and_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "network", FORMS["split"])
    assert [len(feed["input_ids"]) for feed in decoded(folder, DECODER, batch_size=2)] == [2, 2, 2, 2, 1, 1]
    encoder = open_feeds(source(), input_specs(load_model(folder / ENCODER)))
    feeds = DecoderFeeds(folder, encoder, WITH_PAST)
    assert texts(list(feeds)) == texts(list(feeds)) != []


@pytest.mark.parametrize("end", [None, []])
def test_a_text_without_an_end_token_is_cut(end: Any, tmp_path: Path) -> None:
    folder = write(tmp_path / "network", FORMS["split"], SPECIAL | {"eos_token_id": end})
    assert texts(decoded(folder, DECODER))[1] == [token % VOCABULARY for token in range(START, START + TOKENS)]


def test_any_of_several_tokens_ends_a_text_and_a_later_configuration_wins(tmp_path: Path) -> None:
    folder = write(tmp_path / "network", FORMS["split"], SPECIAL | {"eos_token_id": [5, 9]})
    (folder / "generation_config.json").write_text(json.dumps({"decoder_start_token_id": 7}))
    assert texts(decoded(folder, DECODER)) == [[7], [7, 8, 9]]


def test_what_follows_an_end_is_padding(tmp_path: Path) -> None:
    inputs, outputs, body = FILES[DECODER]
    by_length = """
        next = Gather (successor, input_ids)
        length = ReduceSum (encoder_attention_mask, heads)
        one = Gather (successor, length)
        two = Add (one, one)
        logits = Add (next, two)
    """
    body = body.replace("logits = Gather (successor, input_ids)", by_length)
    files = FILES | {DECODER: (inputs, outputs, body)}
    folder = write(tmp_path / "network", FORMS["split"], SPECIAL | {"eos_token_id": 10}, files)
    mask = np.array([[1] * 7, [1] * 5 + [0] * 2])
    encoder = open_feeds(source(2) | {"attention_mask": mask}, input_specs(load_model(folder / ENCODER)))
    *_, whole = DecoderFeeds(folder, encoder, DECODER)
    assert whole["input_ids"].tolist() == [[START, 8, 9, 10, PAD, PAD], [START, 6, 7, 8, 9, 10]]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_folder_is_converted_with_data_of_its_encoder(form: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "network", FORMS[form])
    np.savez(tmp_path / "data.npz", **source(), labels=np.arange(5))
    report = onnx_snn.convert(
        folder, tmp_path / "spiking", tmp_path / "data.npz", calibration_samples=4, body="closed", fast=True
    )
    functions = {ENCODER: 1, DECODER: 1, WITH_PAST: 1, MERGED: 2}
    assert report.count(Status.CONVERTED) == len(report.nodes) == sum(functions[name] for name in FORMS[form])
    assert {path.name for path in (tmp_path / "spiking").iterdir()} >= {*FORMS[form], "config.json"}


@pytest.mark.slow
def test_the_command_line_takes_data_of_the_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "network", FORMS["merged"])
    np.savez(tmp_path / "data.npz", **source())
    files = ["-m", str(folder), "-o", str(tmp_path / "spiking"), "-c", str(tmp_path / "data.npz")]
    assert main(["convert", *files, "--body", "closed", "--strict"]) == 0
    assert "decoder_model_merged:logits" in capsys.readouterr().out


def test_data_that_is_given_is_not_decoded(tmp_path: Path) -> None:
    folder = write(tmp_path / "network", FORMS["split"])
    given = {ENCODER: source(), WITH_PAST: decoded(folder, WITH_PAST)[:1]}
    found = data_by_file(folder, FORMS["split"], given, batch_size=8, max_samples=None)
    assert found[WITH_PAST] is given[WITH_PAST]
    assert isinstance(found[DECODER], DecoderFeeds)


@pytest.mark.parametrize(
    ("names", "config", "error", "message"),
    [
        (SPLIT, {}, ModelError, "names a decoder_start_token_id"),
        (SPLIT, {"decoder_start_token_id": None}, ModelError, "names a decoder_start_token_id"),
        (SPLIT, [1], ModelError, r"cannot read '.*config.json' as a JSON object"),
        ((ENCODER, WITH_PAST), SPECIAL, ModelError, "neither decoder_model.onnx nor decoder_model_merged.onnx"),
        ((DECODER, WITH_PAST), SPECIAL, CalibrationError, "missing for .*decoder_model.onnx"),
    ],
)
def test_what_decoding_needs_is_named(
    names: Sequence[str], config: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "network", names, config)
    with pytest.raises(error, match=message):
        onnx_snn.convert(folder, tmp_path / "spiking", source(), body="closed", fast=True)
    assert not (tmp_path / "spiking").exists()


@pytest.mark.parametrize(("name", "output"), [(ENCODER, "last_hidden_state"), (DECODER, "logits")])
def test_an_output_that_decoding_needs_is_named(name: str, output: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "network", FORMS["split"])
    model = ir.load(folder / name)
    next(value for value in model.graph.outputs if value.name == output).name = "scores"
    ir.save(model, folder / name)
    with pytest.raises(ModelError, match=f"{name}' has no output '{output}', only .*'scores'"):
        onnx_snn.convert(folder, tmp_path / "spiking", source(), body="closed", fast=True)


def test_an_input_that_decoding_does_not_know_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "network", FORMS["split"])
    model = ir.load(folder / DECODER)
    model.graph.inputs.append(ir.val("speaker", ir.DataType.INT64, ir.Shape(["batch"])))
    ir.save(model, folder / DECODER)
    with pytest.raises(
        CalibrationError, match=r"decoder_model.onnx' reads \['speaker'\].*give calibration data for it"
    ):
        onnx_snn.convert(folder, tmp_path / "spiking", source(), body="closed", fast=True)
