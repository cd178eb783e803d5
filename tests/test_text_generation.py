# SPDX-License-Identifier: Apache-2.0
"""Text generation: the same tokens from a decoder in every form of file, in batches and alone, and as by others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from decoders import POSITIONS, VOCABULARY, write_decoder, write_folder, write_genai_folder
from networks import run

import onnx_snn
from onnx_snn import ConfigError, GenerationOptions, ModelError, TextGenerator
from onnx_snn.cli.main import main
from onnx_snn.generation.decoder import Decoder
from onnx_snn.generation.decoder_files import decoder_files
from onnx_snn.generation.prompt import Side

ROOT = Path(__file__).parents[1]
GPT2 = ROOT / "models" / "gpt2-war-and-peace" / "with-past"

FOLDERS = {
    "with a cache": {"model.onnx": "cached"},
    "without a cache": {"model.onnx": "uncached"},
    "two files": {"decoder_model.onnx": "first", "decoder_with_past_model.onnx": "cached"},
    "two in one": {"decoder_model_merged.onnx": "merged"},
}
PROMPTS = [[1, 2, 3], [4, 5], [6, 7, 8, 9], [10]]


def expected(folder: Path, prompt: Sequence[int], count: int) -> list[int]:
    """The likeliest tokens, each by a run over the whole text before it."""
    text = list(prompt)
    for _ in range(count):
        feed = {
            "input_ids": np.array([text]),
            "attention_mask": np.ones((1, len(text)), np.int64),
            "position_ids": np.arange(len(text))[None],
        }
        text.append(int(run(folder / "model.onnx", feed)["logits"][0, -1].argmax()))
    return text[len(prompt) :]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("decoders")
    found = {name: write_folder(root / name, files) for name, files in FOLDERS.items()}
    return {**found, "genai": write_genai_folder(root / "genai")}


# --- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FOLDERS)
def test_every_form_generates_what_runs_over_the_whole_text_do(form: str, folders: dict[str, Path]) -> None:
    result = onnx_snn.generate(folders[form], PROMPTS, max_new_tokens=8, stop_tokens=())
    wanted = [expected(folders["without a cache"], prompt, 8) for prompt in PROMPTS]
    assert [list(tokens) for tokens in result.tokens] == wanted
    assert len({tuple(tokens) for tokens in wanted}) == len(PROMPTS)
    assert result.endings == ("length",) * len(PROMPTS)
    assert result.prompts == tuple(map(tuple, PROMPTS))


def test_a_decoder_for_genai_is_padded_on_the_right(folders: dict[str, Path]) -> None:
    generator = TextGenerator(folders["genai"])
    options = GenerationOptions(max_new_tokens=8, stop_tokens=())
    together = generator.generate(PROMPTS, options).tokens
    assert together == tuple(generator.generate(prompt, options).tokens[0] for prompt in PROMPTS)
    assert len(set(together)) == len(PROMPTS)


@pytest.mark.parametrize(
    ("form", "side"), [("with a cache", Side.LEFT), ("two in one", Side.LEFT), ("genai", Side.RIGHT)]
)
def test_the_side_of_padding_is_measured(form: str, side: Side, folders: dict[str, Path]) -> None:
    assert Decoder(decoder_files(folders[form]), onnx_snn.session).padding is side


def test_texts_of_a_network_without_a_mask_are_read_by_their_lengths(tmp_path: Path) -> None:
    generator = TextGenerator(write_folder(tmp_path, {"model.onnx": "unmasked"}))
    prompts = [[1, 2, 3], [4, 5], [6, 7, 8], [9, 10]]
    options = GenerationOptions(4, stop_tokens=())
    together = generator.generate(prompts, options)
    assert together.tokens == tuple(generator.generate(prompt, options).tokens[0] for prompt in prompts)
    assert together.prompts == tuple(map(tuple, prompts))


def test_a_text_that_has_ended_leaves_the_others_as_they_are(folders: dict[str, Path]) -> None:
    """Its positions stop, which would leave the table of positions otherwise."""
    generator = TextGenerator(folders["with a cache"])
    long = list(np.arange(POSITIONS - 2) % VOCABULARY)
    options = GenerationOptions(stop_tokens=())
    together = generator.generate([long, [4, 5]], options)
    assert together.endings == ("context", "context")
    assert list(map(len, together.tokens)) == [2, POSITIONS - 2]
    assert together.tokens[1] == generator.generate([4, 5], options).tokens[0]


def test_a_single_file_takes_names_and_tokens_from_its_folder(folders: dict[str, Path]) -> None:
    for form, file in (("with a cache", "model.onnx"), ("genai", "decoder.onnx")):
        alone = onnx_snn.generate(folders[form] / file, [1, 2], max_new_tokens=4)
        assert alone.tokens == onnx_snn.generate(folders[form], [1, 2], max_new_tokens=4).tokens


# --- the end of a text -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_a_text_ends_at_the_token_of_its_configuration(name: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, FOLDERS["with a cache"])
    free = onnx_snn.generate(folder, [1, 2, 3], max_new_tokens=8, stop_tokens=()).tokens[0]
    end = free[2]
    (folder / name).write_text(json.dumps({"eos_token_id": [end, 10**6], "n_positions": POSITIONS}))
    result = onnx_snn.generate(folder, [1, 2, 3], max_new_tokens=8)
    assert result.tokens[0] == free[: free.index(end) + 1]
    assert result.endings == ("stop",)
    assert onnx_snn.generate(folder, [1, 2, 3], max_new_tokens=8, stop_tokens=[free[1]]).tokens[0] == free[:2]


def test_a_prompt_without_room_for_a_token_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=f"prompt 1 has {POSITIONS} tokens, which leaves none .*shorten it"):
        onnx_snn.generate(folders["with a cache"], [[1], [1] * POSITIONS])


@pytest.mark.parametrize("prompt", [[], [[]], [[1], []], [-1]])
def test_a_prompt_without_tokens_is_refused(prompt: Any, folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"expected text, or tokens|there is no prompt"):
        onnx_snn.generate(folders["with a cache"], prompt)


# --- what is no decoder ----------------------------------------------------------------------------


def test_what_cannot_generate_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        TextGenerator(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"holds no \.onnx file"):
        TextGenerator(tmp_path)
    write_decoder(tmp_path / "a.onnx", ("float[n] x", "float[n] logits", "logits = Tanh (x)"))
    with pytest.raises(ModelError, match=r"no input 'input_ids', only \['x'\]"):
        TextGenerator(tmp_path / "a.onnx")
    for name in ("encoder_model.onnx", "decoder_model.onnx"):
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match="an encoder and its decoder"):
        TextGenerator(tmp_path)


def test_an_input_that_generation_does_not_know_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, FOLDERS["with a cache"])
    model = ir.load(folder / "model.onnx")
    model.graph.inputs.append(ir.val("speaker", ir.DataType.INT64, ir.Shape(["batch"])))
    ir.save(model, folder / "model.onnx")
    with pytest.raises(ModelError, match=r"reads \['speaker'\], which generation does not provide"):
        onnx_snn.generate(folder, [1, 2])


def test_a_cache_without_an_output_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, FOLDERS["with a cache"])
    model = ir.load(folder / "model.onnx")
    model.graph.outputs.pop()
    ir.save(model, folder / "model.onnx")
    with pytest.raises(ModelError, match=r"lacks output 'present\.0\.value', which belongs to input 'past_key"):
        TextGenerator(folder)


@pytest.mark.parametrize("text", ["[1]", "{", '{"model": {}}'])
def test_a_damaged_configuration_of_genai_is_named(text: str, tmp_path: Path) -> None:
    folder = write_genai_folder(tmp_path)
    (folder / "genai_config.json").write_text(text)
    with pytest.raises(ModelError, match=r"genai_config\.json"):
        TextGenerator(folder)


def test_the_size_of_a_head_comes_from_a_configuration(tmp_path: Path) -> None:
    folder = write_genai_folder(tmp_path)
    config = json.loads((folder / "genai_config.json").read_text())
    wanted = onnx_snn.generate(folder, [1, 2], max_new_tokens=3).tokens
    del config["model"]["decoder"]["head_size"]
    (folder / "genai_config.json").write_text(json.dumps(config))
    assert onnx_snn.generate(folder, [1, 2], max_new_tokens=3).tokens == wanted
    del config["model"]["decoder"]["hidden_size"]
    (folder / "genai_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"last size of input 'key\.0\.old', that of an attention head"):
        onnx_snn.generate(folder, [1, 2])


# --- text ------------------------------------------------------------------------------------------


def test_a_stream_tells_the_text_piece_by_piece() -> None:
    generator = TextGenerator(GPT2)
    options = GenerationOptions(max_new_tokens=24)
    stream = generator.stream("Prince Andrew", options)
    pieces = list(stream)
    assert len(pieces) > 8
    assert stream.generation.texts == ("".join(pieces),)
    assert stream.generation.tokens == generator.generate("Prince Andrew", options).tokens
    assert stream.generation.rate > 0


def test_a_text_ends_before_a_stop_text() -> None:
    generator = TextGenerator(GPT2)
    free = generator.generate("Prince Andrew", GenerationOptions(24)).texts[0]
    for stop in (free[7:9], free[4:12], free[20:21]):
        stream = generator.stream("Prince Andrew", GenerationOptions(24, stop=("\0never", stop)))
        text = "".join(stream)
        assert text == free[: free.index(stop)]
        assert stream.generation.endings == ("stop",)


def test_the_command_writes_texts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ["generate", "-m", str(GPT2), "-n", "6"]
    assert main([*command, "-p", "Prince Andrew"]) == 0
    shown = capsys.readouterr()
    result = onnx_snn.generate(GPT2, ["Prince Andrew", "The war"], max_new_tokens=6)
    assert shown.out == f"Prince Andrew{result.texts[0]}\n"
    assert "tokens/s; generation: 6 tokens" in shown.err
    (tmp_path / "prompts.txt").write_text("Prince Andrew\n\nThe war\n")
    assert main([*command, "--prompts", str(tmp_path / "prompts.txt"), "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["texts"] == list(result.texts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is no text to continue"),
        (["--prompts", "nowhere.txt"], "cannot read prompts from 'nowhere.txt'"),
        (["-p", "x", "--top-p", "0"], "top_p is 0.0; expected above 0"),
        (["-p", "x", "--stop", ""], "a stop text is empty"),
        (["-p", "x", "-n", "0"], "max_new_tokens is 0"),
        (["-p", "x", "--tokenizer", "."], "holds no tokenizer.json"),
    ],
)
def test_the_command_names_what_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "-m", str(GPT2), *arguments]) == 1
    assert message in capsys.readouterr().err
