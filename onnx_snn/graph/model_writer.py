# SPDX-License-Identifier: Apache-2.0
"""Atomic writing of models, without a second copy of their weights in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

from onnx_snn.errors import OutputError
from onnx_snn.graph.external_weights import external_tensors, large_weights, with_mapped_weights
from onnx_snn.graph.map_types import restore_map_types, to_proto
from onnx_snn.graph.protobuf_weights import write_model
from onnx_snn.output_files import PathLike, staged

MAX_INLINE_BYTES = 2**31 - 2**27
"""Largest size of all weights, in bytes, that are written into the .onnx file: a protobuf message is limited to 2 GiB,
and 128 MiB are left for the graph."""


def save_model(model: ir.Model, path: PathLike, *, external_data: bool | None = None) -> None:
    """Write `model` to `path`, and its weights to `<path>.data` where asked or needed.

    Both files are written under temporary names and renamed at the end.

    Args:
        model: The model, its metadata included; it is left as it is.
        path: Name of the file; an existing one is replaced.
        external_data: Keep weights in a file of their own; None decides by size.

    Raises:
        OutputError: the files cannot be written, weights are too large for one file, or the data file would
            replace one that holds the model's own weights.
    """
    path = Path(path)
    size = sum(tensor.nbytes for tensor in _weights(model))
    if external_data is None:
        external_data = size > MAX_INLINE_BYTES
    elif not external_data and size > MAX_INLINE_BYTES:
        raise OutputError(f"{size} bytes of weights do not fit into '{path}'; use external data")
    data = path.with_name(f"{path.name}.data")
    if external_data:
        _check_data_file(model, data)
    with staged(path) as temporary:
        if external_data:
            ir.save(model, temporary, external_data=data.name)
            written = onnx.load(temporary, load_external_data=False)
            if restore_map_types(model, written):
                temporary.write_bytes(written.SerializeToString())
            if (staged_data := temporary.with_name(data.name)).stat().st_size:
                staged_data.replace(data)
        else:
            _write_one_file(model, temporary)


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


def _check_data_file(model: ir.Model, data: Path) -> None:
    """Refuse to overwrite the file that the model's weights are mapped from: the original would be destroyed."""
    if data.exists():
        for tensor in external_tensors(model):
            if data.samefile(tensor.path):
                raise OutputError(f"'{data}' holds weights of the model that is being read; choose another name")
