# SPDX-License-Identifier: Apache-2.0
"""Folders as Optimum exports them: models and sidecar files (configuration, tokenizer, preprocessor)."""

from __future__ import annotations

import shutil
from pathlib import Path

from onnx_snn.errors import ModelError, OutputError
from onnx_snn.json_files import read_object
from onnx_snn.output_files import PathLike, staged


def model_files(folder: PathLike) -> list[Path]:
    """The models of a folder by name, `model.onnx`, `encoder_model.onnx`, ...; not those of its subfolders.

    Raises:
        ModelError: it is no folder, or holds no .onnx file.
    """
    files = sorted(Path(folder).glob("*.onnx"))
    if not files:
        raise ModelError(f"folder '{folder}' holds no .onnx file")
    return files


def only_model(path: Path) -> Path:
    """The model that `path` names: a file itself, or the `model.onnx` of a folder.

    Raises:
        ModelError: there is none.
    """
    if not path.exists():
        raise ModelError(f"model '{path}' does not exist")
    if not path.is_dir():
        return path
    if (path / "model.onnx").exists():
        return path / "model.onnx"
    found = [file.name for file in model_files(path)]
    raise ModelError(f"folder '{path}' has no model.onnx; choose one of {found}")


SIDECARS = (
    "config.json",
    "generation_config.json",
    "genai_config.json",
    "ort_config.json",
    # Tokenizers: what every one has, and the vocabularies of the classes of Transformers.
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
    "*vocab.json",
    "vocab-*.json",
    "vocab.*",
    "merges.txt",
    "dict.txt",
    "bpe.codes",
    "byte_maps.json",
    "emoji.json",
    "normalizer.json",
    "word_*.json",
    "tekken.json",
    "spiece.model",
    "spm.model",
    "sentencepiece*.model",
    "tokenizer.model",
    "prophetnet.tokenizer",
    "*.spm",
    # Processors of images, videos and recordings, those of onnxruntime-genai among them.
    "*processor_config.json",
    "audio_tokenizer_config.json",
    "*_processor*.json",
    # Sentence Transformers.
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "[0-9]_*/config.json",
    # Terms, which go where the model goes.
    "LICENSE*",
    "NOTICE*",
)
"""Files that belong to a model, as Transformers, Optimum, transformers.js, onnxruntime-genai and Sentence Transformers
read them: patterns of paths in its folder."""


def copy_sidecars(source: PathLike, destination: PathLike) -> list[Path]:
    """Copy the files of a folder that belong to its model whatever runs it: `SIDECARS`, and code that it names.

    Code is what `auto_map` of config.json names. Models, the model card, and files that only lie in the folder, such as
    data and recipes, stay behind.

    Returns:
        The files written.

    Raises:
        OutputError: a file cannot be copied.
    """
    source, destination = Path(source), Path(destination)
    found = {file for pattern in (*SIDECARS, *_code(source)) for file in source.glob(pattern) if file.is_file()}
    copied = []
    for file in sorted(found):
        copied.append(destination / file.relative_to(source))
        try:
            if copied[-1].parent != destination:
                copied[-1].parent.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write '{copied[-1]}': {error}") from error
        with staged(copied[-1]) as temporary:
            shutil.copy2(file, temporary)
    return copied


def _code(folder: Path) -> list[str]:
    """Names of the Python files that the configuration of the model in `folder` names as its classes."""
    try:
        classes = read_object(folder / "config.json").get("auto_map")
    except (OSError, ValueError):
        return []  # whoever loads the model says what is wrong with its configuration
    values = list(classes.values()) if isinstance(classes, dict) else []
    names = [name for value in values for name in (value if isinstance(value, list) else [value])]
    modules = [str(name).rpartition("--")[2].split(".")[0] for name in names]  # "owner/repository--module.Class"
    return [f"{module}.py" for module in modules if module.isidentifier()]
