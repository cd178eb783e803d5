# SPDX-License-Identifier: Apache-2.0
"""Reading and writing of weights inside an .onnx file without a protobuf message that holds them.

Protobuf parsers keep a message in memory twice, as bytes and as an object, and most of a network's message are weights.
Here the weights are skipped: only the graph is parsed and serialised, and the byte ranges of weights in the file are
found or filled in separately.

In protobuf's wire format (https://protobuf.dev/programming-guides/encoding) a field is a tag, which holds field number
and wire type, followed by the content. A message within a message is a field with its length before the content.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray

Buffer: TypeAlias = "bytes | memoryview | mmap.mmap"

GRAPH = onnx.ModelProto.GRAPH_FIELD_NUMBER
OPSET_IMPORT = onnx.ModelProto.OPSET_IMPORT_FIELD_NUMBER
INITIALIZER = onnx.GraphProto.INITIALIZER_FIELD_NUMBER
RAW_DATA = onnx.TensorProto.RAW_DATA_FIELD_NUMBER

VARINT, LENGTH_DELIMITED = 0, 2
"""Protobuf wire types: an integer of variable length, and a content preceded by its length."""

FIXED_SIZES = {1: 8, 5: 4}
"""Content size in bytes of each protobuf wire type with a fixed size."""

INLINE_BYTES = 1 << 10
"""Largest size in bytes of a weight that stays in the message, because shape inference may read its values."""


class Span(NamedTuple):
    """Byte range of a tensor's values in a file: offset and length in bytes."""

    offset: int
    length: int


def read_model(path: Path) -> tuple[onnx.ModelProto, dict[str, Span]]:
    """The model in `path` without the data of its large initializers, and where that lies, by their names.

    Raises:
        DecodeError: it is no protobuf message, or a truncated one.
        OSError: it cannot be read.
        ValueError: it is empty.
    """
    spans: dict[str, Span] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:

        def hollow(start: int, end: int) -> list[Buffer]:
            fields = list(_fields(buffer, start, end))
            raw = [Span(field.content, field.end - field.content) for field in fields if field.number == RAW_DATA]
            rest = b"".join(buffer[field.start : field.end] for field in fields if field.number != RAW_DATA)
            tensor = onnx.TensorProto.FromString(rest)
            if len(raw) != 1 or raw[0].length <= INLINE_BYTES or raw[0].length != _size(tensor):
                return [buffer[start:end]]
            spans[tensor.name] = raw[0]
            return [rest]

        message = b"".join(_with_initializers(buffer, hollow))
    return onnx.ModelProto.FromString(message), spans


def write_model(proto: onnx.ModelProto, weights: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write `proto` to `path`, the initializers that `weights` names with these values in place of external data.

    Raises:
        OSError: it cannot be written.
    """
    buffer = proto.SerializeToString()

    def filled(start: int, end: int) -> list[Buffer]:
        tensor = onnx.TensorProto.FromString(buffer[start:end])
        if tensor.name not in weights:
            return [buffer[start:end]]
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        record = tensor.SerializeToString()
        place = next((field.start for field in _fields(record, 0, len(record)) if field.number > RAW_DATA), len(record))
        return [record[:place], *_message(RAW_DATA, [_bytes_of(weights[tensor.name])]), record[place:]]

    with path.open("wb") as file:
        file.writelines(_with_initializers(buffer, filled))


def imported_domains(path: Path) -> set[str]:
    """Domains of the operator sets that the model in `path` imports, without reading its graph; none if it is no model.

    Raises:
        OSError: it cannot be read.
    """
    if not path.stat().st_size:
        return set()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
        try:
            fields = [field for field in _fields(buffer, 0, len(buffer)) if field.number == OPSET_IMPORT]
            sets = [onnx.OperatorSetIdProto.FromString(buffer[field.content : field.end]) for field in fields]
        except DecodeError:
            return set()
    return {entry.domain for entry in sets}


class _Field(NamedTuple):
    """A field and where it starts, its content starts, and both end."""

    number: int
    start: int
    content: int
    end: int


def _fields(buffer: Buffer, start: int, end: int) -> Iterator[_Field]:
    """The fields of the message between `start` and `end`."""
    while start < end:
        tag, content = _varint(buffer, start)
        number, stored = tag >> 3, tag & 7
        if stored == LENGTH_DELIMITED:
            length, content = _varint(buffer, content)
            stop = content + length
        elif stored == VARINT:
            stop = _varint(buffer, content)[1]
        elif stored in FIXED_SIZES:
            stop = content + FIXED_SIZES[stored]
        else:
            raise DecodeError(f"no protobuf message: byte {start} is no tag of a field")
        if stop > end:
            raise DecodeError(f"truncated protobuf message: field at byte {start} ends at {stop}, beyond {end}")
        yield _Field(number, start, content, stop)
        start = stop


def _varint(buffer: Buffer, start: int) -> tuple[int, int]:
    """The integer at `start`, seven bits a byte from the lowest on, and where it ends."""
    value = 0
    for place, byte in enumerate(buffer[start : start + 10]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, start + place + 1
    raise DecodeError(f"truncated protobuf message: no whole integer at byte {start}")


def encoded(value: int) -> bytes:
    """`value` as a protobuf integer, seven bits a byte from the lowest on; a negative number as 64 bits."""
    value &= (1 << 64) - 1
    content = bytearray()
    while value >= 0x80:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)


def _message(number: int, parts: list[Buffer]) -> list[Buffer]:
    """A field with `parts` as its content."""
    return [encoded(number << 3 | LENGTH_DELIMITED), encoded(sum(map(len, parts))), *parts]


def _with_initializers(buffer: Buffer, replace: Callable[[int, int], list[Buffer]]) -> list[Buffer]:
    """The model in `buffer` as parts, with the content of each initializer replaced by `replace(start, end)`."""

    def graph(start: int, end: int) -> list[Buffer]:
        return _replaced(buffer, start, end, INITIALIZER, replace)

    return _replaced(buffer, 0, len(buffer), GRAPH, graph)


def _replaced(
    buffer: Buffer, start: int, end: int, number: int, replace: Callable[[int, int], list[Buffer]]
) -> list[Buffer]:
    """The message between `start` and `end` in parts, the content of its fields `number` replaced."""
    parts: list[Buffer] = []
    for field in _fields(buffer, start, end):
        if field.number == number:
            parts += _message(number, replace(field.content, field.end))
        else:
            parts.append(buffer[field.start : field.end])
    return parts


def _size(tensor: onnx.TensorProto) -> int | None:
    """Bytes that the values of `tensor` take; None for types that are not stored byte by byte."""
    dtype = ir.DataType(tensor.data_type)
    if dtype in (ir.DataType.UNDEFINED, ir.DataType.STRING) or dtype.bitwidth < 8:
        return None
    size: int = math.prod(tensor.dims) * dtype.bitwidth // 8
    return size


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
