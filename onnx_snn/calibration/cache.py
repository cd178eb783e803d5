# SPDX-License-Identifier: Apache-2.0
"""Calibration caches: statistics in an .npz file, for one model, its observations and its data.

A cache is not trusted. It holds a checksum of its contents, and what is read is checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.calibration.channel_histogram import ChannelHistogram
from onnx_snn.calibration.signed_histogram import SignedHistogram
from onnx_snn.calibration.statistics import Calibration, Observation
from onnx_snn.data.feeds import Feeds
from onnx_snn.data.npz import read_npz
from onnx_snn.errors import CalibrationError
from onnx_snn.graph.external_weights import detach_weights, with_mapped_weights
from onnx_snn.graph.map_types import to_proto
from onnx_snn.json_files import parse_object
from onnx_snn.output_files import PathLike, staged
from onnx_snn.runtime.execution import contiguous

METHOD_VERSION = 2
"""Version of the method of calibration and of the format; increase it when histograms of the same data change."""

INDEX, CHECKSUM = "index", "checksum"
"""Names of the arrays of a cache that are no statistics."""


class CacheKey(NamedTuple):
    """What the statistics of a cache belong to: SHA-256 digests in hexadecimal.

    Attributes:
        model: graph, weights, observations and method.
        data: the inputs, in order.
    """

    model: str
    data: str


def cache_key(model: ir.Model, observations: Iterable[Observation], feeds: Feeds) -> CacheKey:
    """The key of the statistics of `model` on `feeds`, which are read once."""
    return CacheKey(_model_digest(model, observations), feeds.digest())


def save_cache(calibration: Calibration, path: PathLike, key: CacheKey) -> None:
    """Write everything to one .npz file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    index = {
        "key": key._asdict(),
        "samples": calibration.samples,
        "signed": list(calibration.signed),
        "channels": list(calibration.channels),
        "shapes": {value: sorted(shapes) for value, shapes in calibration.shapes.items()},
    }
    arrays: dict[str, NDArray[Any]] = {INDEX: np.array(json.dumps(index))}
    contents = {f"signed.{n}": histogram.to_arrays() for n, histogram in enumerate(calibration.signed.values())}
    contents |= {f"channels.{n}": histogram.to_arrays() for n, histogram in enumerate(calibration.channels.values())}
    for place, fields in contents.items():
        arrays |= {f"{place}.{name}": array for name, array in fields.items()}
    arrays[CHECKSUM] = np.array(_checksum(arrays))
    with staged(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its other parameter is a flag


def load_cache(path: PathLike, key: CacheKey) -> Calibration:
    """Read what `save_cache` wrote.

    Raises:
        CalibrationError: the file cannot be read or was changed, or belongs to another model, to other observations or
            to other data.
    """
    try:
        arrays = read_npz(Path(path))
        checksum = str(arrays.pop(CHECKSUM))
        if checksum != _checksum(arrays):
            raise ValueError("its contents are not those that were written")
        index = parse_object(str(arrays.pop(INDEX)))
        stored = CacheKey(**index["key"])
        calibration = _from_arrays(index, arrays)
    except Exception as error:  # what else a file may hold has no end
        raise CalibrationError(
            f"cannot read calibration cache '{path}': {error or type(error).__name__}; delete it to calibrate"
        ) from error
    for what, had, wanted in zip(("model or other settings", "data"), stored, key, strict=True):
        if had != wanted:
            raise CalibrationError(
                f"calibration cache '{path}' was made for another {what}: it has digest {had}, this conversion "
                f"{wanted}; delete it, or name another file"
            )
    return calibration


def _checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of all arrays with their names, types and shapes, in hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _from_arrays(index: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Calibration:
    def fields_of(kind: str, number: int) -> dict[str, NDArray[Any]]:
        prefix = f"{kind}.{number}."
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    calibration = Calibration(samples=_count(index["samples"]))
    for number, value in enumerate(index["signed"]):
        calibration.signed[str(value)] = SignedHistogram.from_arrays(fields_of("signed", number))
    for number, (value, axes) in enumerate(index["channels"]):
        histogram = ChannelHistogram.from_arrays(fields_of("channels", number))
        calibration.channels[str(value), tuple(map(int, axes))] = histogram
    calibration.shapes = {
        str(value): {tuple(map(_count, shape)) for shape in shapes} for value, shapes in index["shapes"].items()
    }
    return calibration


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _model_digest(model: ir.Model, observations: Iterable[Observation]) -> str:
    copy = with_mapped_weights(model)
    weights = detach_weights(copy)
    digest = hashlib.sha256(to_proto(copy).SerializeToString(deterministic=True))
    for tensor in weights.values():
        digest.update(contiguous(tensor.numpy()).reshape(-1).view(np.uint8).data)
    asked = sorted({(seen.value, seen.channel_axes or ()) for seen in observations})
    digest.update(json.dumps([METHOD_VERSION, asked]).encode())
    return digest.hexdigest()
