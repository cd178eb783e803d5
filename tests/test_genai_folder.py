# SPDX-License-Identifier: Apache-2.0
"""Folders for onnxruntime-genai, made of decoders as Optimum exports them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import onnx_snn
from onnx_snn import DeployError, OutputError

INPUTS = {
    "input_ids": (TensorProto.INT64, ["batch", "length"]),
    "attention_mask": (TensorProto.INT64, ["batch", "total"]),
    "past_key_values.0.key": (TensorProto.FLOAT, ["batch", 2, "past", 4]),
    "past_key_values.0.value": (TensorProto.FLOAT, ["batch", 2, "past", 4]),
}
OUTPUTS = {
    "logits": (TensorProto.FLOAT, ["batch", "length", 6]),
    "present.0.key": (TensorProto.FLOAT, ["batch", 2, "past", 4]),
    "present.0.value": (TensorProto.FLOAT, ["batch", 2, "past", 4]),
}
"""Of a decoder of one layer, two heads of size 4 and six tokens, of which nothing but this is read."""


def network(inputs: dict[str, Any], outputs: dict[str, Any]) -> onnx.ModelProto:
    """A network whose outputs are copies of inputs, and logits a code of the first one."""
    given, made = (
        [helper.make_tensor_value_info(name, *value) for name, value in values.items()] for values in (inputs, outputs)
    )
    first = next(iter(inputs))  # logits have one axis more
    nodes = [
        helper.make_node("OneHot", [first, "depth", "values"], [name])
        if name == "logits"
        else helper.make_node("Identity", [name.replace("present", "past_key_values")], [name])
        for name in outputs
    ]
    constants = [helper.make_tensor("depth", TensorProto.INT64, [], [6])]
    constants.append(helper.make_tensor("values", TensorProto.FLOAT, [2], [0, 1]))
    graph = helper.make_graph(nodes, "decoder", given, made, constants)
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


CONFIG = {"n_positions": 16, "n_head": 4, "eos_token_id": 3, "bos_token_id": None, "model_type": "mine"}


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "exported"
    folder.mkdir()
    onnx.save(network(INPUTS, OUTPUTS), folder / "model.onnx")
    write(folder / "config.json", CONFIG)
    write(folder / "generation_config.json", {"eos_token_id": [5, 3], "do_sample": True})
    (folder / "tokenizer.json").write_text("{}")
    (folder / "calibration.npz").touch()
    return folder


def write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values))


def test_a_decoder_of_optimum_gets_a_configuration(exported: Path, tmp_path: Path) -> None:
    folder = onnx_snn.deploy_genai(exported, tmp_path / "genai")
    library = onnx_snn.get_library_path().name
    expected = {"model.onnx", "config.json", "generation_config.json", "tokenizer.json", "genai_config.json", library}
    assert {path.name for path in folder.iterdir()} == expected
    config = json.loads((folder / "genai_config.json").read_text())
    decoder = config["model"].pop("decoder")
    assert config["model"] == {
        "type": "decoder",
        "context_length": 16,
        "vocab_size": 6,
        "bos_token_id": 5,
        "eos_token_id": [5, 3],
        "pad_token_id": 5,
    }
    assert config["search"] == {"max_length": 16, "do_sample": True, "past_present_share_buffer": False}
    assert decoder.pop("session_options") == {"provider_options": [], "custom_ops_library": library}
    names = {"past_key_names": "past_key_values.%d.key", "past_value_names": "past_key_values.%d.value"}
    assert decoder.pop("inputs") == {"input_ids": "input_ids", "attention_mask": "attention_mask", **names}
    assert decoder == {
        "filename": "model.onnx",
        "head_size": 4,
        "hidden_size": 16,
        "num_attention_heads": 4,
        "num_hidden_layers": 1,
        "num_key_value_heads": 2,
        "outputs": {
            "logits": "logits",
            "present_key_names": "present.%d.key",
            "present_value_names": "present.%d.value",
        },
    }


def test_a_configuration_that_is_there_is_kept(exported: Path, tmp_path: Path) -> None:
    write(exported / "genai_config.json", {"model": {"type": "llama", "decoder": {"filename": "model.onnx"}}})
    config = json.loads((onnx_snn.deploy_genai(exported, tmp_path / "genai") / "genai_config.json").read_text())
    assert (config["model"]["type"], config["model"]["decoder"]["filename"]) == ("llama", "model.onnx")


@pytest.mark.parametrize("removed", ["n_positions", "eos_token_id"])
def test_what_no_configuration_says_is_named(removed: str, exported: Path, tmp_path: Path) -> None:
    (exported / "generation_config.json").unlink()
    write(exported / "config.json", {name: value for name, value in CONFIG.items() if name != removed})
    lacking = {"n_positions": "max_position_embeddings"}.get(removed, removed)
    with pytest.raises(DeployError, match=f"has no '{lacking}'; add it to config.json"):
        onnx_snn.deploy_genai(exported, tmp_path / "genai")
    assert not (tmp_path / "genai").exists()


def test_what_is_no_decoder_with_a_cache_is_refused(exported: Path, tmp_path: Path) -> None:
    pixels = {"pixels": (TensorProto.FLOAT, ["batch", "length"])}
    onnx.save(network(pixels, {"logits": OUTPUTS["logits"]}), exported / "model.onnx")
    reason = r"lacks \['input_ids', 'past_key_values.0.key', .*\], and takes \['pixels'\] besides; export it with"
    with pytest.raises(DeployError, match=reason):
        onnx_snn.deploy_genai(exported, tmp_path / "genai")
    with pytest.raises(DeployError, match=r"model.onnx' is no folder"):
        onnx_snn.deploy_genai(exported / "model.onnx", tmp_path / "genai")
    write(exported / "genai_config.json", {"model": {"decoder": {}}})
    with pytest.raises(OutputError, match="is the source folder"):
        onnx_snn.deploy_genai(exported, exported)
    assert not (tmp_path / "genai").exists()


WITH_PAST = Path(__file__).parents[1] / "models" / "gpt2-war-and-peace" / "with-past"


@pytest.mark.slow
def test_onnxruntime_genai_continues_a_text_by_it(tmp_path: Path) -> None:
    """Tokens are those of the likeliest logits, by the library in a folder that has been moved."""
    genai = pytest.importorskip("onnxruntime_genai", reason="onnxruntime-genai is not installed")
    source, prompt = tmp_path / "spiking", [5, 9, 20, 33]
    data = WITH_PAST / "calibration.npz"
    onnx_snn.convert(WITH_PAST, source, data, fast=True, calibration_samples=4, progress=False)
    folder = onnx_snn.deploy_genai(source, tmp_path / "genai").rename(tmp_path / "moved")
    parameters = genai.GeneratorParams(model := genai.Model(str(folder)))
    parameters.set_search_options(max_length=12, do_sample=False)
    generator = genai.Generator(model, parameters)
    generator.append_tokens([prompt])
    while not generator.is_done():
        generator.generate_next_token()
    session = onnx_snn.session(source / "model.onnx")
    tokens = list(prompt)
    while len(tokens) < 12:
        [[logits], *_] = session.run(["logits"], feeds_of(session, tokens))
        tokens.append(int(logits[-1].argmax()))
    assert generator.get_sequence(0).tolist() == tokens


def feeds_of(session: Any, tokens: list[int]) -> dict[str, Any]:
    """All `tokens` at once, with an empty cache."""
    length = len(tokens)
    known = {
        "input_ids": np.array([tokens]),
        "attention_mask": np.ones((1, length), np.int64),
        "position_ids": np.arange(length)[None],
    }
    return {value.name: known.get(value.name, np.zeros((1, 3, 0, 64), np.float32)) for value in session.get_inputs()}
