# SPDX-License-Identifier: Apache-2.0
"""Texts, one a line, turned into the inputs of a model by its tokenizer.

Texts of a feed are padded to the longest of them, or to the length that the model fixes; longer texts than the model
has positions for are cut. Without an attention mask padding would be read as text, so that there texts are not padded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnx_snn.data.caches import empty_cache
from onnx_snn.data.data_files import DataFiles, Request, files_in
from onnx_snn.data.labels import folder_labels
from onnx_snn.data.processors import as_inputs, load_tokenizer, model_config, processed, read_json
from onnx_snn.data.sample_sets import SampleSet, stacked
from onnx_snn.data.specs import Feed, InputSpec
from onnx_snn.errors import CalibrationError

SUFFIXES = frozenset((".txt",))
"""Ends of the names of text files."""

PAST = "past_key_values"
"""Start of the names of inputs that hold a key/value cache, as Optimum calls them."""

GENAI = "genai_config.json"
"""Configuration of onnxruntime-genai, which tells the length of texts as `model.context_length`."""

RESERVED = 2
"""Positions that no token gets in a RoBERTa, whose positions count from its padding index + 1."""

UNBOUNDED = 1 << 20
"""A maximum length from which it is a tokenizer's way to say that it has none."""

Text: TypeAlias = "str | tuple[str, str]"
"""A text, or a pair of texts."""


class Texts(SampleSet):
    """The lines of a text file that are not empty; in folders every file is a text, and their names are the labels."""

    def __init__(self, request: Request) -> None:
        paths = files_in(request.path, SUFFIXES)
        self._paths, self._files = ([] if request.path.is_file() else paths), request.files
        if request.path.is_file():
            self._texts = [line.strip() for line in _read(request.path).splitlines() if line.strip()]
        else:
            self._texts = [_read(path).strip() for path in paths]
        if not self._texts:
            raise CalibrationError(f"'{request.path}' holds no text; write one text a line")
        self._reader = TextReader(request.files, request.specs)

    @cached_property
    def labels(self) -> NDArray[Any] | None:
        """The label of each text in a file of its own, by the name of its folder; None for lines."""
        return folder_labels(self._paths, self._files)

    def __len__(self) -> int:
        return len(self._texts)

    def feeds(self, indices: Sequence[int]) -> Iterator[Feed]:
        """The texts `indices`."""
        return self._reader.feeds([self._texts[i] for i in indices], [f"text {self._texts[i]!r:.60}" for i in indices])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(f"cannot read '{path}' as text in UTF-8: {error}") from error


class TextReader:
    """Turns texts into the inputs of a model.

    Raises:
        CalibrationError: there is no tokenizer, or a package is missing.
    """

    def __init__(self, files: DataFiles, specs: Sequence[InputSpec]) -> None:
        self._specs, self._folders = specs, files.folders()
        self._raw = len(specs) == 1 and specs[0].dtype == object
        if self._raw:
            return
        self._tokenizer = load_tokenizer(files)
        names, tokens = {spec.name for spec in specs}, next((spec for spec in specs if len(spec.shape) == 2), None)
        self._masked = any(name.startswith("attention_mask") for name in names)
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token or self._tokenizer.unk_token
        fixed = None if tokens is None else tokens.shape[1]
        self._fixed = fixed if isinstance(fixed, int) else None
        self._limit = self._fixed or _positions(self._tokenizer.model_max_length, files)

    def feeds(self, texts: Sequence[Text], where: Sequence[str]) -> Iterator[Feed]:
        """Feeds of `texts`: one, or several of texts of equal length where these cannot be padded.

        Args:
            texts: the texts.
            where: what messages call each of them.

        Raises:
            CalibrationError: the tokens do not fit the model.
        """
        if self._raw:
            shape = (len(texts), *(1 for _ in self._specs[0].shape[1:]))
            yield {self._specs[0].name: np.array(texts, object).reshape(shape)}
        elif self._fixed is not None or (self._masked and self._tokenizer.pad_token is not None):
            yield self._tokenized(list(texts), f"{where[0]} and {len(texts) - 1} more")
        else:
            yield from stacked(self._tokenized([text], place) for text, place in zip(texts, where, strict=True))

    def _tokenized(self, texts: list[Text], where: str) -> Feed:
        padding = "max_length" if self._fixed is not None else len(texts) > 1
        names = [spec.name for spec in self._specs]
        made = processed(
            self._tokenizer,
            texts,
            where,
            padding=padding,
            truncation=self._limit is not None,
            max_length=self._limit,
            return_attention_mask=True,
            return_token_type_ids="token_type_ids" in names,
        )
        arrays: dict[str, NDArray[Any]] = {}
        for spec in self._specs:
            found = made.get(spec.name)
            arrays |= {spec.name: found} if found is not None else _implied(spec, made, self._folders)
        if len(names) == 1 and not arrays:
            arrays = {names[0]: made["input_ids"]}
        return as_inputs(arrays, self._specs, where)


def _implied(spec: InputSpec, tokens: dict[str, NDArray[Any]], folders: Sequence[Path]) -> dict[str, NDArray[Any]]:
    """An input that tokenizers do not make, where the tokens imply it: positions, and a cache that is still empty."""
    if spec.name == "position_ids":
        return {spec.name: np.maximum(np.cumsum(tokens["attention_mask"], axis=1) - 1, 0)}
    if spec.name.startswith(PAST):
        return {spec.name: empty_cache(spec, len(tokens["input_ids"]), folders)}
    return {}


def _positions(longest: float, files: DataFiles) -> int | None:
    """The largest number of tokens: that of the tokenizer, else of the model; None where neither tells."""
    if longest < UNBOUNDED:
        return int(longest)
    config = model_config(files)
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    if isinstance(positions, int) and positions > RESERVED:
        return positions - RESERVED
    described = (read_json(folder, GENAI).get("model") for folder in files.folders()[1:])
    lengths = (model.get("context_length") for model in described if isinstance(model, dict))
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)
