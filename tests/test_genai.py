# SPDX-License-Identifier: Apache-2.0
"""Decoders of onnxruntime-genai, converted, and the page of the benchmark that compares programs."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from decoders import GENAI_CONFIG, POSITIONS, VOCABULARY, WIDTH, write_genai_folder

import onnx_snn
from onnx_snn import DataFiles, SaturationWarning
from onnx_snn.data.kinds.texts import TextReader
from onnx_snn.data.specs import InputSpec

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

import generate as benchmark  # noqa: E402 - it lies beside the other benchmarks

PAGE = ROOT / "docs" / "measurements" / "generate.md"
PROMPTS = [[1, 2, 3], [4, 5], [6, 7, 8, 9], [10]]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_genai_folder(tmp_path_factory.mktemp("genai"))


def converted_for_genai(folder: Path, output: Path, **options: Any) -> None:
    random = np.random.default_rng(0)
    feeds = [
        {
            "tokens": random.integers(VOCABULARY, size=(1, 8)),
            "mask": np.ones((1, 8), np.int64),
            **dict.fromkeys(("key.0.old", "value.0.old"), np.zeros((1, 1, 0, WIDTH), np.float32)),
        }
        for _ in range(4)
    ]
    onnx_snn.convert(folder, output, feeds, fast=True, body="closed", progress=False, **options)


def test_genai_generates_the_same_tokens(decoder: Path, tmp_path: Path) -> None:
    genai = pytest.importorskip("onnxruntime_genai", reason="onnxruntime-genai is not installed")
    converted_for_genai(decoder, tmp_path / "spiking")
    model = genai.Model(str(tmp_path / "spiking"))
    for prompt in PROMPTS:
        parameters = genai.GeneratorParams(model)
        parameters.set_search_options(max_length=len(prompt) + 8, do_sample=False)
        generator = genai.Generator(model, parameters)
        generator.append_tokens(np.array(prompt, np.int32))
        while not generator.is_done():
            generator.generate_next_token()
        result = onnx_snn.generate(tmp_path / "spiking", prompt, max_new_tokens=8)
        kept = result.tokens[0][: -1 if result.endings == ("stop",) else None]  # it leaves out what ends a text
        assert np.array(generator.get_sequence(0)).tolist()[len(prompt) :] == list(kept)


def test_a_folder_is_converted_with_its_configuration_and_its_cache(decoder: Path, tmp_path: Path) -> None:
    converted_for_genai(decoder, tmp_path / "spiking", include=["active"])
    original, spiking = (
        onnx_snn.generate(folder, PROMPTS, max_new_tokens=6) for folder in (decoder, tmp_path / "spiking")
    )
    assert spiking.tokens == original.tokens
    config = json.loads((tmp_path / "spiking" / "genai_config.json").read_text())
    assert config["model"]["decoder"]["inputs"] == GENAI_CONFIG["model"]["decoder"]["inputs"]


def test_values_beyond_the_range_of_a_guarded_decoder_are_warned_of_once(decoder: Path, tmp_path: Path) -> None:
    converted_for_genai(decoder, tmp_path / "spiking", include=["q"], guard=True)
    model = ir.load(tmp_path / "spiking" / "decoder.onnx")
    table = model.graph.initializers["table"]
    assert table.const_value is not None
    table.const_value = ir.tensor(100 * table.const_value.numpy(), name="table")
    ir.save(model, tmp_path / "spiking" / "decoder.onnx")
    generator = onnx_snn.TextGenerator(tmp_path / "spiking")
    with pytest.warns(SaturationWarning, match="saturate"):
        guarded = generator.generate([5, 6, 7])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert generator.generate([5, 6, 7]).tokens == guarded.tokens


class Letters:
    """A tokenizer of Transformers, as far as it is asked: a token for each letter."""

    model_max_length, pad_token = 10**30, "0"

    def __call__(self, texts: list[str], *, max_length: int, **_: Any) -> dict[str, np.ndarray]:
        ids = np.array([[ord(letter) for letter in text[:max_length]] for text in texts])
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def test_calibration_texts_are_cut_to_the_context(decoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_snn.data.kinds.texts.load_tokenizer", lambda _: Letters())
    specs = [InputSpec(name, np.dtype(np.int64), ("batch", "length")) for name in ("input_ids", "attention_mask")]
    (feed,) = TextReader(DataFiles("texts.txt", model_folder=decoder), specs).feeds(["war and peace" * 9], ["it"])
    assert feed["input_ids"].shape == (1, POSITIONS)


# --- the page --------------------------------------------------------------------------------------


def test_the_page_is_that_of_the_figures_beside_it() -> None:
    results = json.loads(PAGE.with_suffix(".json").read_text())
    assert PAGE.read_text() == benchmark.page(results)


def test_all_programs_generate_the_same_tokens() -> None:
    results = json.loads(PAGE.with_suffix(".json").read_text())
    assert {program for network in results["networks"] for program in network["equal"]} >= {
        "ORTModelForCausalLM",
        "onnxruntime-genai",
    }
    for network in results["networks"]:
        assert (network["prompts"], network["tokens"]) >= (50, 64)
        assert network["distinct"] > network["prompts"] / 2
        for counts in network["equal"].values():
            assert counts == dict.fromkeys(("original", "spiking"), network["prompts"])
    assert results["networks"][0]["rates"]["one prompt"]["ratio"] >= benchmark.BAR
