# SPDX-License-Identifier: Apache-2.0
"""Processors that come with a model: what turns images, audio and texts into its inputs, by Transformers.

Everything is read from local files, and runs in NumPy: PyTorch is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.data.data_files import DataFiles, required
from onnx_snn.data.element_types import is_foreign
from onnx_snn.data.specs import Feed, InputSpec, check_feed
from onnx_snn.errors import CalibrationError
from onnx_snn.json_files import read_object

PREPROCESSOR = "preprocessor_config.json"
"""File that describes the processor of images or audio."""

TOKENIZERS = ("tokenizer.json", "tokenizer_config.json")
"""Files of a tokenizer; a folder with one of them has a tokenizer."""


def preprocessor_folder(files: DataFiles) -> Path | None:
    """The folder with the preprocessor_config.json of `files`; None where there is none and none was named.

    Raises:
        CalibrationError: one was named that does not exist or has another name.
    """
    if files.processor is None:
        return next((folder for folder in files.folders() if (folder / PREPROCESSOR).is_file()), None)
    named = Path(files.processor)
    folder = named if named.is_dir() else named.parent
    if (named.is_file() and named.name != PREPROCESSOR) or not (folder / PREPROCESSOR).is_file():
        raise CalibrationError(f"processor '{named}' is neither a {PREPROCESSOR} nor a folder with one")
    return folder


def load_image_processor(folder: Path) -> Any:
    """The image processor that `folder` describes, in its NumPy variant.

    Raises:
        CalibrationError: a package is missing, or the processor cannot be loaded.
    """
    transformers = required("transformers", "transformers", "an image processor")
    required("PIL", "pillow", "reading images")
    return _loaded(lambda: transformers.AutoImageProcessor.from_pretrained(folder, **_LOCAL, use_fast=False), folder)


def load_feature_extractor(folder: Path) -> Any:
    """The feature extractor of audio that `folder` describes.

    Raises:
        CalibrationError: a package is missing, or the extractor cannot be loaded.
    """
    transformers = required("transformers", "transformers", "a feature extractor")
    return _loaded(lambda: transformers.AutoFeatureExtractor.from_pretrained(folder, **_LOCAL), folder)


def load_tokenizer(files: DataFiles) -> Any:
    """The tokenizer that `files` names, or the one beside the model.

    Raises:
        CalibrationError: there is none, a package is missing, or it cannot be loaded.
    """
    folders = files.folders()[1:] if files.tokenizer is None else [Path(files.tokenizer)]
    found = next((folder for folder in folders if any((folder / name).is_file() for name in TOKENIZERS)), None)
    if found is None:
        places = " or ".join(f"'{folder}'" for folder in folders) or "no folder"
        raise CalibrationError(
            f"texts need a tokenizer, and {places} holds none ({' or '.join(TOKENIZERS)}); name its folder with "
            "--tokenizer"
        )
    transformers = required("transformers", "transformers", "a tokenizer")
    return _loaded(lambda: transformers.AutoTokenizer.from_pretrained(found, **_LOCAL), found)


_LOCAL = {"local_files_only": True, "trust_remote_code": False}
"""Options of Transformers for files that are on this machine, without code of their own."""


def _loaded(load: Callable[[], Any], folder: Path) -> Any:
    """What `load` returns; Transformers raises errors of many classes."""
    try:
        return load()
    except Exception as error:
        raise CalibrationError(f"Transformers cannot load what '{folder}' describes: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The first sentence of an error, with its class: those of Transformers go on with general advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def processed(processor: Callable[..., Mapping[str, Any]], what: Any, where: str, **options: Any) -> dict[str, Any]:
    """What `processor` makes of one sample, as arrays of NumPy.

    Raises:
        CalibrationError: it fails; some processors need PyTorch.
    """
    try:
        made = processor(what, return_tensors="np", **options)
        return {name: np.asarray(array) for name, array in made.items()}
    except Exception as error:
        name = type(processor).__name__
        raise CalibrationError(f"{name} fails on {where}: {_reason(error)}") from error


def as_inputs(arrays: Mapping[str, NDArray[Any]], specs: Sequence[InputSpec], where: str) -> Feed:
    """A feed of the arrays that a processor made, in the types of the model.

    Arrays belong to inputs by name. A model with a single input takes the first array whatever it is called.

    Raises:
        CalibrationError: an input is missing, or an array does not fit.
    """
    names = [spec.name for spec in specs]
    if len(specs) == 1 and names[0] not in arrays and arrays:
        arrays = {names[0]: next(iter(arrays.values()))}
    chosen = {spec.name: _cast(np.asarray(arrays[spec.name]), spec) for spec in specs if spec.name in arrays}
    return check_feed(chosen, specs, where=where)


def _cast(array: NDArray[Any], spec: InputSpec) -> NDArray[Any]:
    """`array` in the type of the input if that is of the same kind: a float of another width, an integer that fits."""
    if array.dtype.kind == "f":
        kind = np.float32 if is_foreign(spec.dtype) else spec.dtype
        return array.astype(kind) if np.dtype(kind).kind == "f" else array
    if array.dtype.kind in "biu" and spec.dtype.kind in "biu":
        cast = array.astype(spec.dtype)
        return cast if np.array_equal(cast, array) else array
    return array


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in file `name` of `folder`; empty where there is none.

    Raises:
        CalibrationError: the file cannot be read.
    """
    file = folder / name
    if not file.is_file():
        return {}
    try:
        return read_object(file)
    except (OSError, ValueError) as error:
        raise CalibrationError(f"cannot read '{file}' as a JSON object: {error}") from error


def model_config(files: DataFiles) -> dict[str, Any]:
    """The config.json of the model, or of the folder around its own; empty where there is none.

    Raises:
        CalibrationError: the file cannot be read.
    """
    return next((found for folder in files.folders()[1:] if (found := read_json(folder, "config.json"))), {})
