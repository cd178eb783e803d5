# SPDX-License-Identifier: Apache-2.0
"""The corpus of exported networks in tests/families: compact files without their random weights.

A weight is only remembered by its shape, mean and deviation, and drawn again, from a seed of its name, when the
network is read: which random numbers a configuration starts from is of no matter, their distribution is. What is
no weight (a constant, a table of angles or positions, a mask, an index) is kept to the bit.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

FOLDER = Path(__file__).with_name("families")
VOCABULARY = 96
BATCH, LENGTH = 2, 12
IMAGE, FRAMES, MELS = 32, 32, 16

SHAPES = {"pixel_values": (BATCH, 3, IMAGE, IMAGE), "input_features": (BATCH, MELS, FRAMES)}
"""Inputs of which only the first axis varies, whatever the exporter declares."""

CHOICE = "use_cache_branch"
"""Input of one element that chooses a branch."""

SMALLEST_WEIGHT = 64
"""Elements from which on a tensor is drawn again instead of kept."""

LARGEST_CORRELATION = 0.5
"""Between neighbours along any axis; a table of angles or positions has more, random weights have less."""

_WEIGHTS = "corpus.weights"

Feeds = dict[str, NDArray[Any]]
Array = NDArray[Any]


@dataclass(frozen=True)
class Entry:
    """One file of the corpus."""

    path: Path

    @property
    def family(self) -> str:
        """Such as "bert"."""
        return self.path.name.split(".")[0]

    @property
    def dialect(self) -> str:
        """The exporter: "optimum", "dynamo" or "transformers5"."""
        return self.path.name.split(".")[1]

    @property
    def name(self) -> str:
        """Family, dialect and, where a network is exported in several, the part, such as "t5.optimum.decoder"."""
        return self.path.name.removesuffix(".onnx.gz")

    def load(self) -> onnx.ModelProto:
        """The network, with weights drawn again."""
        return expanded(onnx.load_from_string(gzip.decompress(self.path.read_bytes())))


def entries() -> list[Entry]:
    """The corpus, in alphabetical order."""
    return [Entry(path) for path in sorted(FOLDER.glob("*.onnx.gz"))]


def write(model: onnx.ModelProto, path: Path) -> int:
    """Write `model` as a file of the corpus; the number of its bytes."""
    data = gzip.compress(compacted(model).SerializeToString(deterministic=True), compresslevel=9, mtime=0)
    path.write_bytes(data)
    return len(data)


def compacted(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` whose weights are only described."""
    compact = onnx.ModelProto()
    compact.CopyFrom(model)
    weights: dict[str, tuple[float, float]] = {}
    for holder, tensor in _tensors(compact):
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST_WEIGHT:
            continue
        array = numpy_helper.to_array(tensor)
        if not _is_weight(array):
            continue
        weights[holder] = (float(f"{array.mean(dtype=np.float64):.4g}"), float(f"{array.std(dtype=np.float64):.4g}"))
        for field in ("raw_data", "float_data"):
            tensor.ClearField(field)
    onnx.helper.set_model_props(compact, {_WEIGHTS: json.dumps(weights)})
    _drop_traces(compact)
    return compact


def expanded(compact: onnx.ModelProto) -> onnx.ModelProto:
    """The network of a `compacted` one."""
    model = onnx.ModelProto()
    model.CopyFrom(compact)
    weights = json.loads(next(prop.value for prop in model.metadata_props if prop.key == _WEIGHTS))
    for holder, tensor in _tensors(model):
        if holder in weights:
            mean, deviation = weights[holder]
            random = np.random.default_rng(zlib.crc32(holder.encode()))
            array = random.normal(mean, deviation, size=tuple(tensor.dims)).astype(np.float32)
            tensor.raw_data = array.tobytes()
    del model.metadata_props[:]
    return model


def _tensors(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """The initializers and constants of the main graph, each with the name of its value."""
    for tensor in model.graph.initializer:
        yield tensor.name, tensor
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            yield node.output[0], node.attribute[0].t


def _is_weight(array: Array) -> bool:
    """Whether the elements of `array` may be drawn again: all equal, or finite and without order."""
    if not np.isfinite(array).all():
        return False
    centred = array - array.mean(dtype=np.float64)
    variance = np.square(centred).mean()
    if variance <= 1e-12 * np.square(array, dtype=np.float64).mean():
        return True
    if array.min() >= 0.0:
        return False
    for axis in range(array.ndim):
        size = array.shape[axis]
        if size > 2:
            ahead, behind = (np.take(centred, range(*ends), axis) for ends in ((1, size), (0, size - 1)))
            if abs((ahead * behind).mean()) > LARGEST_CORRELATION * variance:
                return False
    return True


def _drop_traces(model: onnx.ModelProto) -> None:
    """Remove what exporters note for debugging, which is larger than the graph."""
    nodes = [*_nodes(model.graph.node), *(node for function in model.functions for node in function.node)]
    for holder in (*nodes, *model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        holder.doc_string = ""
        if "metadata_props" in holder.DESCRIPTOR.fields_by_name:
            del holder.metadata_props[:]
    for function in model.functions:
        function.doc_string = ""


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """`nodes` and those of the branches in them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g.node)


def feeds(model: onnx.ModelProto, *, seed: int, batch: int = BATCH, length: int = LENGTH) -> Feeds:
    """Random inputs of a network: tokens, pixels or features; the last token of every other row is masked.

    `batch` and `length` stand for the axes that are not fixed. Of a network with a branch for a cache, even seeds take
    the one without and odd seeds the one with a cache.
    """
    random = np.random.default_rng(seed)
    made: Feeds = {}
    for value in model.graph.input:
        axes = enumerate(value.type.tensor_type.shape.dim)
        sizes = [dim.dim_value or (length if axis else batch) for axis, dim in axes]
        if value.name in SHAPES:
            sizes = [batch, *SHAPES[value.name][1:]]
        made[value.name] = _input(value, sizes, random) if value.name != CHOICE else np.array([seed % 2 == 1])
    return made


def _input(value: onnx.ValueInfoProto, sizes: list[int], random: np.random.Generator) -> Array:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    if "mask" in value.name:
        mask = np.ones(sizes, dtype)
        mask[1::2, -1] = 0
        return mask
    if "token_type" in value.name:
        return np.zeros(sizes, dtype)
    if "position" in value.name:
        return np.broadcast_to(np.arange(sizes[-1], dtype=dtype), sizes)
    if np.issubdtype(dtype, np.integer):
        return random.integers(4, VOCABULARY, size=sizes).astype(dtype)
    return random.normal(size=sizes).astype(dtype)
