# SPDX-License-Identifier: Apache-2.0
"""Reading and checking of models, with at most one copy of the weights in memory.

Weights in external data are mapped into memory; those inside the file are left out of the protobuf message that is
parsed and checked, and then read from the file one by one.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from onnx_snn.errors import ModelError, OnnxSnnError
from onnx_snn.graph.custom_libraries import set_libraries
from onnx_snn.graph.declared_shapes import drop_contradicted_shapes, free_negative_sizes
from onnx_snn.graph.domains import LONG_STANDARD
from onnx_snn.graph.external_weights import check_external_data, external_tensors, lfs_hint
from onnx_snn.graph.map_types import from_proto
from onnx_snn.graph.model_checks import MIN_OPSET, check_functions, check_graph, check_opset, check_size, checkable
from onnx_snn.graph.model_folder import only_model
from onnx_snn.graph.node_order import in_order, sort
from onnx_snn.graph.opset_upgrade import upgraded
from onnx_snn.graph.protobuf_weights import Span, read_model
from onnx_snn.graph.tensor_messages import check_tensors
from onnx_snn.output_files import PathLike

ModelSource: TypeAlias = "PathLike | onnx.ModelProto | ir.Model"

MAX_MESSAGE_BYTES = 2**31 - 1
"""Largest size of a serialised protobuf message, in bytes; the checker takes no larger model from memory."""


def load_model(source: ModelSource, custom_ops: Sequence[PathLike] = (), *, upgrade: bool = True) -> ir.Model:
    """Load and check a model; a model in memory is copied, not changed.

    Nodes are sorted topologically, which onnxruntime does not require of a file. The domain of the standard operators
    is imported under its empty name. Declared shapes that are wrong are mended. A model of an opset older than
    `MIN_OPSET` is upgraded in memory.

    Args:
        source: Path of an .onnx file or of a folder that holds a `model.onnx`, or a model in memory.
        custom_ops: Libraries of custom operators that it needs; they are registered with all of its sessions.
        upgrade: leave an old opset as it is if False.

    Raises:
        LibraryError: a library does not exist.
        ModelError: the file is missing or no ONNX model, external data is missing or too short, the graph is
            invalid, its opset is old and cannot be upgraded, its functions call themselves, or it has more nodes
            than `onnx_snn.limits.NODES` allows.
    """
    where = _name_of(source)
    try:
        return _load(source, where, custom_ops, upgrade=upgrade)
    except OnnxSnnError:
        raise
    except Exception as error:  # onnx, onnx_ir and NumPy raise whatever their parts raise on what is no model
        raise ModelError(f"{where} is not valid ONNX: {type(error).__name__}: {error}") from error


def _name_of(source: ModelSource) -> str:
    """What messages call `source`."""
    if isinstance(source, (ir.Model, onnx.ModelProto)):
        return f"the given {'ir.Model' if isinstance(source, ir.Model) else 'ModelProto'}"
    return f"'{only_model(Path(source))}'"


def _load(source: ModelSource, where: str, custom_ops: Sequence[PathLike], *, upgrade: bool) -> ir.Model:
    if isinstance(source, ir.Model):
        model = _from_ir(source, where)
    elif isinstance(source, onnx.ModelProto):
        model = _from_message(source, where)
    else:
        model = _from_file(only_model(Path(source)), where)
    if LONG_STANDARD in model.opset_imports:
        model.opset_imports.setdefault("", model.opset_imports.pop(LONG_STANDARD))
    if "" not in model.opset_imports and all(node.domain for node in model.graph.all_nodes()):
        model.opset_imports[""] = MIN_OPSET  # it has no standard operators, but what is added to it may be one
    check_opset(model, where)
    check_functions(model, where)
    check_size(model, where)
    set_libraries(model, custom_ops)
    free_negative_sizes(model)
    drop_contradicted_shapes(model, where)
    return upgraded(model, where) if upgrade and model.opset_imports[""] < MIN_OPSET else model


def _from_ir(source: ir.Model, where: str) -> ir.Model:
    """A copy of `source`, which is no message that onnx's checker could be given."""
    model = source.clone()
    check_external_data(model, where)
    return model


def _from_message(source: onnx.ModelProto, where: str) -> ir.Model:
    model = _deserialized(source, where, base_dir="")
    moved = sort(model.graph)
    if source.ByteSize() <= MAX_MESSAGE_BYTES:
        check_graph(in_order(source, model.graph) if moved else source, where)
    return model


def _from_file(path: Path, where: str) -> ir.Model:
    proto, spans = _read_without_weights(path)
    model = _deserialized(proto, where, base_dir=path.absolute().parent)
    moved = sort(model.graph)
    if not moved and any(external_tensors(model)) and checkable(proto) is proto:
        # The checker looks for external data from where the file lies.
        check_graph(os.fspath(path), where)
    else:
        hollow = _without_values(proto, spans)
        check_graph(in_order(hollow, model.graph) if moved else hollow, where)
    _read_weights(model, path, spans)
    return model


def _read_without_weights(path: Path) -> tuple[onnx.ModelProto, dict[str, Span]]:
    """The model in `path` without its large weights, and where in the file they lie, by name."""
    try:
        proto, spans = read_model(path)
    except OSError as error:
        raise ModelError(f"'{path}' cannot be read: {error}") from error
    except (DecodeError, ValueError) as error:
        raise ModelError(f"'{path}' is not an ONNX model, or is truncated{lfs_hint(path)}: {error}") from error
    if not proto.HasField("graph") or not proto.ir_version:
        raise ModelError(f"'{path}' is not an ONNX model{lfs_hint(path)}: it holds no graph")
    return proto, spans


def _deserialized(proto: onnx.ModelProto, where: str, base_dir: PathLike) -> ir.Model:
    """`proto` as a graph, its external data found from `base_dir` and checked."""
    check_tensors(proto, where)
    try:
        model = from_proto(proto)
    except ir.serde.SerdeError as error:
        raise ModelError(f"{where} is not valid ONNX: {error.__cause__ or error}") from error
    for tensor in external_tensors(model):
        tensor.base_dir = base_dir
    check_external_data(model, where)
    return model


def _without_values(proto: onnx.ModelProto, spans: Collection[str]) -> onnx.ModelProto:
    """A copy of `proto` with empty tensors for those whose values are still in this or another file."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for tensor in copy.graph.initializer:
        if tensor.name in spans or tensor.data_location == onnx.TensorProto.EXTERNAL:
            tensor.dims[:] = [0]
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
    return copy


def _read_weights(model: ir.Model, path: Path, spans: Mapping[str, Span]) -> None:
    """Give the initializers of `model` the values that lie at `spans`, in memory that is theirs alone."""
    with path.open("rb") as file:
        for name, span in spans.items():
            value = model.graph.initializers[name]
            tensor = value.const_value
            assert tensor is not None, "an initializer has a value"
            file.seek(span.offset)
            array = np.fromfile(file, np.uint8, span.length).view(tensor.dtype.numpy()).reshape(tensor.shape.numpy())
            value.const_value = ir.Tensor(
                array,
                dtype=tensor.dtype,
                name=name,
                doc_string=tensor.doc_string,
                metadata_props=dict(tensor.metadata_props),
            )
