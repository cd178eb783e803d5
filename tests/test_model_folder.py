# SPDX-License-Identifier: Apache-2.0
"""Models and what lies beside them in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_snn.errors import OutputError
from onnx_snn.graph.model_folder import copy_sidecars, model_files

SIDECARS = {
    *("config.json", "generation_config.json", "genai_config.json", "LICENSE", "NOTICE.txt"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
    *("vocab.txt", "vocab.json", "vocab-src.json", "entity_vocab.json", "merges.txt", "bpe.codes", "normalizer.json"),
    *("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "source.spm"),
    *("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "audio_processor.json"),
    *("additional_chat_templates/tools.jinja", "1_Pooling/config.json", "modules.json", "modeling_mine.py"),
}
STRANGERS = {
    *("calibration.npz", "test.npz", "train.py", "README.md", "texts.txt", "labels.json", "data.csv", ".gitattributes"),
    *("model.safetensors", "pytorch_model.bin", "model.onnx_data", "model.onnx.data", "weights.data", "notes.jinja"),
    *("onnx/model.onnx", "configuration_other.py", "training_args.bin", "all_results.json", "libmine.so"),
}
"""Files that only lie in the folder of a model."""


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def write(folder: Path, names: set[str]) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"auto_map": {"AutoModel": "modeling_mine.Mine"}}' if name == "config.json" else name)


def test_what_belongs_to_the_model_of_a_folder_goes_with_it(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    write(source, SIDECARS | STRANGERS | {"model.onnx", "decoder_model.onnx"})
    destination.mkdir()
    assert [path.name for path in model_files(source)] == ["decoder_model.onnx", "model.onnx"]
    copied = copy_sidecars(source, destination)
    assert files(destination) == {path.relative_to(destination).as_posix() for path in copied} == SIDECARS
    assert (destination / "vocab.txt").read_text() == "vocab.txt"
    with pytest.raises(OutputError, match="nowhere"):
        copy_sidecars(source, tmp_path / "nowhere")


@pytest.mark.parametrize(
    "config", ["{", "[]", '{"auto_map": ["mine.Mine"]}', '{"auto_map": {"AutoModel": "../mine.Mine", "AutoConfig": 3}}']
)
def test_code_outside_of_the_folder_is_not_copied(config: str, tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    write(tmp_path, {"mine.py", "source/other.py"})
    (source / "config.json").write_text(config)
    destination.mkdir()
    copy_sidecars(source, destination)
    assert files(destination) == {"config.json"}


def test_code_of_another_repository_is_found_by_its_module(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    write(source, {"mine.py"})
    (source / "config.json").write_text('{"auto_map": {"AutoTokenizer": ["mine.Slow", null], "A": "x/y--mine.Mine"}}')
    destination.mkdir()
    copy_sidecars(source, destination)
    assert files(destination) == {"config.json", "mine.py"}
