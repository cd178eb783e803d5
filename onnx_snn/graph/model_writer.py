# SPDX-License-Identifier: Apache-2.0
"""Atomic writing of models, without a second copy of their weights in memory."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import onnx
import onnx_ir as ir

from onnx_snn.errors import OutputError
from onnx_snn.graph.external_weights import external_tensors, large_weights, with_mapped_weights
from onnx_snn.graph.file_digest import sha256
from onnx_snn.graph.map_types import restore_map_types, to_proto
from onnx_snn.graph.protobuf_weights import write_model
from onnx_snn.graph.tensor_messages import tensors_of
from onnx_snn.output_files import PathLike, sole_committer, staged

MAX_INLINE_BYTES = 2**31 - 2**27
"""Largest size of all weights, in bytes, that are written into the .onnx file: a protobuf message is limited to 2 GiB,
and 128 MiB are left for the graph."""

DIGEST_DIGITS = 16
"""Hexadecimal digits of the digest in the name of a file of weights."""


def save_model(model: ir.Model, path: PathLike, *, external_data: bool | None = None) -> None:
    """Write `model` to `path`, and its weights to a file beside it where asked or needed.

    The file of the weights is named by their digest, `<path>.<digest>.data`, and is in place before the graph: until
    the graph is renamed, in one step, the former graph and its weights stay as they were. Files of weights that
    belonged to a former graph of this name are removed at the end.

    Args:
        model: The model, its metadata included; it is left as it is.
        path: Name of the file; an existing one is replaced.
        external_data: Keep weights in a file of their own; None decides by size.

    Raises:
        OutputError: the files cannot be written, or weights are too large for one file.
    """
    path = Path(path)
    size = sum(tensor.nbytes for tensor in _weights(model))
    if external_data is None:
        external_data = size > MAX_INLINE_BYTES
    elif not external_data and size > MAX_INLINE_BYTES:
        raise OutputError(f"{size} bytes of weights do not fit into '{path}'; use external data")
    kept = {Path(tensor.path).resolve() for tensor in external_tensors(model)}
    with ExitStack() as commit:
        with staged(path) as temporary:
            if external_data:
                weights, data = _write_with_external_data(model, temporary, path.parent)
                kept.add(data.resolve())
            else:
                _write_one_file(model, temporary)
            # Another writer would take the weights, while no graph reads them yet, for those of a former graph.
            commit.enter_context(sole_committer(path.parent))
            if external_data and weights.stat().st_size:
                weights.replace(data)
        for file in weight_files(path):
            if file.resolve() not in kept:
                with suppress(OSError):  # the network is written, and what cannot be removed harms nobody
                    file.unlink()


def weight_files(path: Path) -> list[Path]:
    """The files that hold weights of a present or former graph in `path`, by their names."""
    return list(path.parent.glob(f"{glob.escape(path.name)}.{'[0-9a-f]' * DIGEST_DIGITS}.data"))


def _write_with_external_data(model: ir.Model, path: Path, folder: Path) -> tuple[Path, Path]:
    """Write the graph of `model` to `path`, which reads a file in `folder`, and its weights beside it.

    Returns:
        The file of the weights, and the path in `folder` where it belongs.
    """
    weights = path.with_name(f"{path.name}.weights")
    ir.save(model, path, external_data=weights.name)
    data = folder / f"{path.name}.{sha256(weights)[:DIGEST_DIGITS]}.data"
    written = onnx.load(path, load_external_data=False)
    restore_map_types(model, written)
    for tensor in tensors_of(written.graph):
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = data.name
    path.write_bytes(written.SerializeToString())
    return weights, data


def _write_one_file(model: ir.Model, path: Path) -> None:
    """Write `model` to one file, its large weights one by one from where they lie."""
    hollow = with_mapped_weights(model)
    arrays = {}
    for name, value in large_weights(hollow).items():
        tensor = value.const_value
        assert tensor is not None, "a weight has a value"
        arrays[name] = tensor.numpy()
        value.const_value = ir.ExternalTensor(
            "",
            offset=None,
            length=None,
            dtype=tensor.dtype,
            shape=ir.Shape(tensor.shape.numpy()),
            name=name,
            doc_string=tensor.doc_string,
            metadata_props=dict(tensor.metadata_props),
        )
    write_model(to_proto(hollow), arrays, path)


def _weights(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value.const_value
