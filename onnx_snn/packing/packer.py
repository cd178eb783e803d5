# SPDX-License-Identifier: Apache-2.0
"""One file from text or image to an answer: what a network needs around it becomes part of its graph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from onnx_snn.data.processors import PREPROCESSOR
from onnx_snn.data.tokenizer_library import TOKENIZER
from onnx_snn.errors import PackError
from onnx_snn.graph.external_weights import external_tensors
from onnx_snn.graph.model_folder import only_model
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model
from onnx_snn.graph.source_files import source_files
from onnx_snn.output_files import PathLike
from onnx_snn.output_paths import check_outputs
from onnx_snn.packing.answers import write_answer
from onnx_snn.packing.image_pack import pack_image
from onnx_snn.packing.labels import read_config
from onnx_snn.packing.text_pack import pack_text
from onnx_snn.runtime.extensions import extensions_library

CONFIG = "config.json"


@dataclass(frozen=True)
class PackReport:
    """What was packed.

    Attributes:
        output: The file.
        reads: What the network reads: "text" or "image".
        compared: Number of texts or images on which the graph gave what the tokenizer or the image processor gives.
        difference: Largest difference from the image processor, in levels of an 8-bit pixel; 0 for texts.
        outputs: Names of the outputs.
    """

    output: str
    reads: str
    compared: int
    difference: float
    outputs: tuple[str, ...]

    def text(self) -> str:
        """For the terminal."""
        if self.reads == "text":
            checked = f"ids equal those of the tokenizers library on {self.compared} texts"
        else:
            checked = (
                f"pixels differ from the image processor's by at most {self.difference:.2g} of 255 levels on "
                f"{self.compared} images"
            )
        return f"{checked}\nwritten: {self.output}: {self.reads} to {', '.join(self.outputs)}"


def pack(
    model: PathLike,
    output: PathLike,
    *,
    tokenizer: PathLike | None = None,
    processor: PathLike | None = None,
    labels: PathLike | None = None,
    top_k: int = 1,
    max_length: int | None = None,
    texts: Iterable[str] | None = None,
) -> PackReport:
    """Write a network with its tokenizer or image processor before it, and its labels behind it, as one file.

    The input of the file is `text`, string [batch], or `image`, the bytes of one JPEG or PNG file, uint8 [bytes]. Its
    first outputs are `label`, string [batch, top_k], and `score`, float32 [batch, top_k]: classes by descending
    probability where the network is a classifier, tokens that may come next where it is a decoder, whose
    `next_id` and `prompt_ids` follow. Outputs of the network stay behind them, as do its functions and metadata.

    Before anything is written the ids are compared with those of the `tokenizers` library, or the pixels with those of
    the image processor of Transformers.

    Args:
        model: An .onnx file, converted or not, or a folder with a model.onnx.
        output: The .onnx file to write.
        tokenizer: Folder with a tokenizer.json.
        processor: A preprocessor_config.json, or a folder with one. Without it and `tokenizer`, the folder of the model
            has one or the other.
        labels: A config.json with `id2label`; by default that of the model, else of the tokenizer or processor.
        top_k: Number of classes or tokens in the answer.
        max_length: Tokens after which a text is cut off; by default what the tokenizer says.
        texts: Texts to compare ids on, in place of a list of hard ones.

    Returns:
        What was compared and written.

    Raises:
        PackError: the tokenizer or processor cannot be expressed, or gives something else; a package is missing.
        ModelError: the model cannot be read.
        OutputError: the output cannot be written.
        LibraryError: onnxruntime-extensions is not installed.
    """
    extensions_library()
    read = {"model": source_files(model), "tokenizer": tokenizer, "processor": processor, "labels": labels}
    check_outputs({"output": output}, read)
    folder = only_model(Path(model)).parent
    tokenizer, processor = _sources(folder, tokenizer, processor)
    network = load_model(model)
    beside = Path(tokenizer or processor or "")
    config = _config(labels, (folder, beside if beside.is_dir() else beside.parent))
    if tokenizer is not None:
        text = pack_text(network, Path(tokenizer), config, max_length, None if texts is None else list(texts))
        write_answer(network, config, top_k, text)
        return _saved(network, output, "text", text.compared, 0.0)
    assert processor is not None, "there is a tokenizer or a processor"
    if texts is not None:
        raise PackError("texts are given, but the network reads images")
    image = pack_image(network, Path(processor))
    write_answer(network, config, top_k, None)
    return _saved(network, output, "image", image.compared, image.difference)


def _saved(network: ir.Model, output: PathLike, reads: str, compared: int, difference: float) -> PackReport:
    """Write the network, with its weights in a file of their own if they were; the report."""
    save_model(network, output, external_data=True if any(external_tensors(network)) else None)
    names = tuple(str(value.name) for value in network.graph.outputs)
    return PackReport(str(output), reads, compared, difference, names)


def _sources(
    folder: Path, tokenizer: PathLike | None, processor: PathLike | None
) -> tuple[PathLike | None, PathLike | None]:
    """Tokenizer and processor, of which one is None.

    Raises:
        PackError: both are given, or neither and the folder of the model does not have exactly one.
    """
    if tokenizer is None and processor is None:
        tokenizer = folder if (folder / TOKENIZER).is_file() else None
        processor = folder if (folder / PREPROCESSOR).is_file() else None
        if tokenizer is None and processor is None:
            raise PackError(
                f"'{folder}' has neither a {TOKENIZER} nor a {PREPROCESSOR}; name a folder with --tokenizer or "
                "--processor"
            )
    if tokenizer is not None and processor is not None:
        raise PackError(
            "there are a tokenizer and an image processor; give one of them, since a network reads one kind"
        )
    return tokenizer, processor


def _config(labels: PathLike | None, folders: Iterable[Path]) -> dict[str, Any]:
    """The config.json that was named, or the first one in `folders`; empty where there is none."""
    if labels is not None:
        return read_config(Path(labels))
    return next((read_config(folder / CONFIG) for folder in folders if (folder / CONFIG).is_file()), {})
