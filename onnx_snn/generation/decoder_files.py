# SPDX-License-Identifier: Apache-2.0
"""Which files a decoder consists of, and what they call their inputs and outputs.

A folder that Optimum exported holds one of

    model.onnx                                           with a cache or without one
    decoder_model_merged.onnx                            both in one, selected by the input `use_cache_branch`
    decoder_model.onnx, decoder_with_past_model.onnx     the first reads a text, the second goes on with the cache

and one for onnxruntime-genai a genai_config.json, which names the file, its inputs and its outputs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from onnx_snn.errors import ModelError
from onnx_snn.graph.model_folder import model_files
from onnx_snn.json_files import read_object

GENAI = "genai_config.json"
"""Configuration of onnxruntime-genai."""

MODEL, MERGED = "model.onnx", "decoder_model_merged.onnx"
FIRST, NEXT = "decoder_model.onnx", "decoder_with_past_model.onnx"
ENCODER = "encoder_model.onnx"

PAST, PRESENT = ("past_key_values", "past"), "present"
"""How names of inputs and outputs with the cache begin in files of Optimum and of older exporters."""


class Names(NamedTuple):
    """What a decoder calls its inputs and outputs.

    Attributes:
        ids: tokens, int [batch, new].
        mask: 1 for tokens and 0 for padding, int [batch, past + new].
        positions: position of each new token in its text, int [batch, new].
        logits: float [batch, new, vocabulary].
        caches: patterns of an input with keys or values and of its output, where `%d` is the number of a layer; empty
            for the names of Optimum.
    """

    ids: str = "input_ids"
    mask: str = "attention_mask"
    positions: str = "position_ids"
    logits: str = "logits"
    caches: tuple[tuple[str, str], ...] = ()

    def pasts(self, inputs: Iterable[str]) -> list[str]:
        """Those of the inputs that read keys or values."""
        if not self.caches:
            return [name for name in inputs if name.startswith(PAST)]
        return [name for name in inputs if any(_layer(name, past) is not None for past, _ in self.caches)]

    def pairs(self, pasts: Iterable[str], outputs: Iterable[str]) -> dict[str, str]:
        """The output with the keys or values that each of the inputs `pasts` reads next.

        Raises:
            ModelError: an input has none.
        """
        known = set(outputs)
        pairs = {name: self._present(name, known) for name in pasts}
        for name, present in pairs.items():
            if present not in known:
                raise ModelError(
                    f"the network lacks output {present!r}, which belongs to input {name!r}; export it with its cache "
                    "as outputs"
                )
        return pairs

    def _present(self, name: str, outputs: set[str]) -> str:
        for past, present in self.caches:
            layer = _layer(name, past)
            if layer is not None:
                return present.replace("%d", layer)
        candidates = [PRESENT + name.removeprefix(begin) for begin in PAST if name.startswith(begin)]
        return next((candidate for candidate in candidates if candidate in outputs), candidates[0])


def _layer(name: str, pattern: str) -> str | None:
    """What stands in `name` for the number of a layer in `pattern`; None where it is no such name."""
    begin, _, end = pattern.partition("%d")
    found = re.fullmatch(rf"{re.escape(begin)}(\d+){re.escape(end)}", name)
    return None if found is None else found[1]


class DecoderFiles(NamedTuple):
    """A decoder on the disk.

    Attributes:
        start: file that reads texts.
        resume: file that reads further tokens with the cache; the same where one file does both.
        names: what they call inputs and outputs.
        folders: folders where configuration and tokenizer may lie, the likeliest first.
    """

    start: Path
    resume: Path
    names: Names
    folders: tuple[Path, ...]


def decoder_files(model: str | Path) -> DecoderFiles:
    """The files of a decoder.

    Args:
        model: an .onnx file, or a folder in one of the forms above.

    Raises:
        ModelError: there is no such file, no decoder in the folder, or its configuration cannot be read.
    """
    path = Path(model)
    if not path.exists():
        raise ModelError(f"model '{path}' does not exist; give an .onnx file or a folder with one")
    folder = path if path.is_dir() else path.parent
    folders = (folder, folder.resolve().parent)
    described = genai_decoder(folder)
    start = resume = path
    if path.is_dir():
        start, resume = _in_folder(path, described)
    return DecoderFiles(start, resume, _names(described), folders)


def genai_decoder(folder: Path) -> dict[str, Any] | None:
    """The part `model.decoder` of the genai_config.json in `folder`; None where there is no such file.

    Raises:
        ModelError: the file cannot be read, or has no such part.
    """
    file = folder / GENAI
    if not file.is_file():
        return None
    try:
        model = read_object(file).get("model")
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read '{file}' as a JSON object: {error}") from error
    decoder = model.get("decoder") if isinstance(model, dict) else None
    if not isinstance(decoder, dict):
        raise ModelError(f"'{file}' describes no decoder: model.decoder is missing")
    return decoder


def _in_folder(folder: Path, described: Mapping[str, Any] | None) -> tuple[Path, Path]:
    """The files that read texts and further tokens.

    Raises:
        ModelError: there are none, or they belong to an encoder.
    """
    if described is not None:
        name = described.get("filename", MODEL)
        if not isinstance(name, str) or not (folder / name).is_file():
            raise ModelError(
                f"'{folder / GENAI}' names the file {name!r}, which is not there; a decoder in several "
                "files (a pipeline) is not supported"
            )
        return folder / name, folder / name
    names = [file.name for file in model_files(folder)]
    if ENCODER in names:
        raise ModelError(f"'{folder}' holds an encoder and its decoder; only decoders without one can generate here")
    for start, resume in ((MODEL, MODEL), (MERGED, MERGED), (FIRST, NEXT), (FIRST, FIRST)):
        if start in names and resume in names:
            return folder / start, folder / resume
    if len(names) == 1:
        return folder / names[0], folder / names[0]
    raise ModelError(f"folder '{folder}' has neither {MODEL} nor {FIRST}; choose one of {names}")


def _names(described: Mapping[str, Any] | None) -> Names:
    """The names in a genai_config.json, those of Optimum where it does not tell."""
    if described is None:
        return Names()
    parts = (described.get(part) for part in ("inputs", "outputs"))
    inputs, outputs = (
        {k: v for k, v in part.items() if isinstance(v, str)} if isinstance(part, dict) else {} for part in parts
    )
    usual = Names()
    caches = [
        (past, outputs.get(key.replace("past", "present", 1), past.replace("past_key_values", "present")))
        for key, past in inputs.items()
        if key.startswith("past_") and "%d" in past
    ]
    return Names(
        inputs.get("input_ids", usual.ids),
        inputs.get("attention_mask", usual.mask),
        inputs.get("position_ids", usual.positions),
        outputs.get("logits", usual.logits),
        tuple(caches),
    )


def _strings(part: object) -> dict[str, str]:
    """The entries of a JSON object that are strings."""
    return {key: value for key, value in part.items() if isinstance(value, str)} if isinstance(part, dict) else {}
