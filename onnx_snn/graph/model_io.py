# SPDX-License-Identifier: Apache-2.0
"""Models in and out: what comes in is checked, what goes out is written whole or not at all.

There is one copy of the weights at most, whatever reads them: those in external data are mapped into memory, and
those inside the file are read from it once and written one by one.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from onnx_snn.errors import ModelError, OutputError
from onnx_snn.graph.protobuf_weights import INLINE_BYTES, Span, read_model, write_model

PathLike: TypeAlias = "str | os.PathLike[str]"
ModelSource: TypeAlias = "PathLike | onnx.ModelProto | ir.Model"

MIN_OPSET = 13
"""First opset whose Softmax, ReduceSum, Squeeze and Unsqueeze mean what they mean today."""

MICROSOFT = "com.microsoft"
"""Domain of onnxruntime's own operators."""

_STANDARD_SINCE = {"LayerNormalization": 17, "SimplifiedLayerNormalization": sys.maxsize}
"""Operators that onnxruntime knows in the standard domain earlier than onnx, and since when onnx does."""

MAX_INLINE_BYTES = 2**31 - 2**27
"""More weights go to a file of their own: a protobuf message ends at 2 GiB, and the graph needs room."""

MAX_MESSAGE_BYTES = 2**31 - 1
"""What protobuf can serialise, and so what the checker can be given in memory."""


def load_model(source: ModelSource) -> ir.Model:
    """Load and check a model; what the caller gave is left as it is.

    Nodes that stand before those that they read, which onnxruntime accepts, are put in order.

    Args:
        source: Path of an .onnx file or of a folder that holds a `model.onnx`, or a model in memory.

    Raises:
        ModelError: the file is missing or no ONNX model, external data is missing or too short, the graph is
            invalid, or its opset is too old.
    """
    if isinstance(source, ir.Model):
        where, model = "the given ir.Model", source.clone()
        _check_external_data(model, where)
    elif isinstance(source, onnx.ModelProto):
        where = "the given ModelProto"
        model = _deserialize(source, where, base_dir="")
        moved = _sort(model.graph)
        if source.ByteSize() <= MAX_MESSAGE_BYTES:
            _check_graph(_in_order(source, model.graph) if moved else source, where)
    else:
        path = _model_path(Path(source))
        where = f"'{path}'"
        proto, spans = _read_proto(path)
        model = _deserialize(proto, where, base_dir=path.absolute().parent)
        # The checker looks for external data from where the file lies; else it need not read the weights again.
        moved = _sort(model.graph)
        if not moved and any(external_tensors(model)) and checkable(proto) is proto:
            _check_graph(os.fspath(path), where)
        else:
            hollow = _without_values(proto, spans)
            _check_graph(_in_order(hollow, model.graph) if moved else hollow, where)
        _read_weights(model, path, spans)
    _check_opset(model, where)
    return model


def model_files(folder: PathLike) -> list[Path]:
    """The models of an Optimum folder by name, `model.onnx`, `encoder_model.onnx`, ...; not its subfolders'.

    Raises:
        ModelError: it is no folder, or holds no .onnx file.
    """
    files = sorted(Path(folder).glob("*.onnx"))
    if not files:
        raise ModelError(f"folder '{folder}' holds no .onnx file")
    return files


def copy_sidecars(source: PathLike, destination: PathLike) -> list[Path]:
    """Copy what an Optimum folder keeps beside its models: configuration, tokenizer, preprocessor.

    Models and their external data (names with `.onnx`, and `.data` files) stay behind, subfolders too.

    Returns:
        The files written.

    Raises:
        OutputError: a file cannot be written.
    """
    copied = []
    for file in sorted(Path(source).iterdir()):
        if not file.is_file() or ".onnx" in file.name or file.suffix == ".data":
            continue
        try:
            with staged(Path(destination) / file.name) as temporary:
                shutil.copy2(file, temporary)
        except OSError as error:
            raise OutputError(f"cannot copy '{file}' to '{destination}': {error}") from error
        copied.append(Path(destination) / file.name)
    return copied


def check_output(path: PathLike, source: ModelSource) -> None:
    """Refuse an output path that cannot be written or would overwrite the model that is read.

    Raises:
        OutputError: it is the source itself (links followed), a folder or a read-only file, or its folder is
            missing or read-only.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"output '{path}' is a folder; give the name of an .onnx file in it")
    if not path.parent.is_dir():
        raise OutputError(f"output folder '{path.parent}' does not exist; create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"output folder '{path.parent}' is not writable")
    if not path.exists():
        return
    if not isinstance(source, (ir.Model, onnx.ModelProto)):
        original = Path(source) / "model.onnx" if Path(source).is_dir() else Path(source)
        if original.exists() and path.samefile(original):
            raise OutputError(f"output '{path}' is the input '{source}'; choose another name")
    if not os.access(path, os.W_OK):
        raise OutputError(f"output '{path}' exists and is read-only; choose another name")


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
    try:
        with staged(path) as temporary:
            if external_data:
                ir.save(model, temporary, external_data=data.name)
                if (staged_data := temporary.with_name(data.name)).stat().st_size:
                    staged_data.replace(data)
            else:
                _write(model, temporary)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error}") from error


def write_json(path: PathLike, value: Any) -> None:
    """Write `value` to a JSON file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with staged(Path(path)) as temporary:
            temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error}") from error


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends, and vanishes when it fails.

    It lies in a folder of its own beside `path`, so that the last step is a rename and helper files vanish.
    """
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield folder / path.name
        (folder / path.name).replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def external_tensors(model: ir.Model) -> Iterator[ir.ExternalTensor]:
    """Every tensor of the model, subgraphs and constants included, whose values lie in another file."""
    for graph in model.graphs():
        attributes = (attr for node in graph for attr in node.attributes.values())
        tensors = [value.const_value for value in graph.initializers.values()]
        tensors += [attr.value for attr in attributes if attr.type == ir.AttributeType.TENSOR]
        yield from (tensor for tensor in tensors if isinstance(tensor, ir.ExternalTensor))


def with_mapped_weights(model: ir.Model) -> ir.Model:
    """A copy of `model` with its external tensors as arrays mapped from their files: no path ties it down."""
    copy = model.clone()
    for graph in copy.graphs():
        for value in graph.initializers.values():
            if isinstance(value.const_value, ir.ExternalTensor):
                value.const_value = _mapped(value.const_value)
        for node in graph:
            for name, attr in node.attributes.items():
                if attr.type == ir.AttributeType.TENSOR and isinstance(attr.value, ir.ExternalTensor):
                    node.attributes[name] = ir.AttrTensor(name, _mapped(attr.value))
    return copy


def large_weights(model: ir.Model) -> dict[str, ir.Value]:
    """Initializers of the main graph that are worth keeping out of a message, and that NumPy stores as ONNX does."""
    return {
        name: value
        for name, value in model.graph.initializers.items()
        if (tensor := value.const_value) is not None
        # Strings, and types under a byte, have another layout in NumPy than in files.
        and tensor.dtype != ir.DataType.STRING
        and tensor.dtype.bitwidth >= 8
        and tensor.nbytes > INLINE_BYTES
    }


def _mapped(tensor: ir.ExternalTensor) -> ir.TensorProtocol:
    return ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)


def _model_path(path: Path) -> Path:
    if not path.exists():
        raise ModelError(f"model '{path}' does not exist")
    if not path.is_dir():
        return path
    if (path / "model.onnx").exists():
        return path / "model.onnx"
    found = [file.name for file in model_files(path)]
    raise ModelError(f"folder '{path}' has no model.onnx; choose one of {found}")


def _read_proto(path: Path) -> tuple[onnx.ModelProto, dict[str, Span]]:
    """The model without its large weights, and where in the file they lie."""
    try:
        proto, spans = read_model(path)
    except (DecodeError, OSError, ValueError) as error:
        raise ModelError(f"'{path}' is not an ONNX model, or is truncated{_lfs_hint(path)}: {error}") from error
    if not proto.HasField("graph") or not proto.ir_version:
        raise ModelError(f"'{path}' is not an ONNX model{_lfs_hint(path)}: it holds no graph")
    return proto, spans


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


def _write(model: ir.Model, path: Path) -> None:
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
    write_model(ir.to_proto(hollow), arrays, path)


def _lfs_hint(path: Path) -> str:
    """Why a file may not be what its name says: git leaves pointers where large files were not fetched."""
    with path.open("rb") as file:
        pointer = file.read(64).startswith(b"version https://git-lfs")
    return " (it is a Git LFS pointer: run `git lfs pull`)" if pointer else ""


def _deserialize(proto: onnx.ModelProto, where: str, base_dir: PathLike) -> ir.Model:
    try:
        model = ir.from_proto(proto)
    except ir.serde.SerdeError as error:
        raise ModelError(f"{where} is not valid ONNX: {error.__cause__ or error}") from error
    for tensor in external_tensors(model):
        tensor.base_dir = base_dir
    _check_external_data(model, where)
    return model


def _check_external_data(model: ir.Model, where: str) -> None:
    """Every tensor must lie wholly in its file, before hours of work end in a crash."""
    for tensor in external_tensors(model):
        path = Path(tensor.path)
        what = f"{where} keeps tensor '{tensor.name}' in '{path}'"
        if not path.is_file():
            raise ModelError(f"{what}, which does not exist; put that file beside the model, or load by path")
        end = (tensor.offset or 0) + max(tensor.length or 0, tensor.nbytes)
        if path.stat().st_size < end:
            size = path.stat().st_size
            raise ModelError(f"{what}{_lfs_hint(path)}, which has {size} bytes of at least {end}: fetch it again")
        try:
            tensor.numpy()
        except (OSError, ValueError) as error:
            raise ModelError(f"{what}, which cannot be mapped: {error}") from error
        tensor.release()


def _sort(graph: ir.Graph) -> bool:
    """Put the nodes of `graph` behind those that they read; whether any had to move."""
    place = {node: index for index, node in enumerate(graph)}
    if all(place.get(before, -1) < index for node, index in place.items() for before in node.predecessors()):
        return False
    try:
        graph.sort()
    except ValueError:  # it has a cycle, which the checker names
        return False
    return True


def _in_order(proto: onnx.ModelProto, graph: ir.Graph) -> onnx.ModelProto:
    """A copy of `proto` with its nodes in the order of `graph`."""
    place = {output.name: index for index, node in enumerate(graph) for output in node.outputs}
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    nodes = sorted(proto.graph.node, key=lambda node: min((place[name] for name in node.output if name), default=0))
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def checkable(model: onnx.ModelProto) -> onnx.ModelProto:
    """What onnx's checker is to see of `model`.

    onnxruntime's optimizer writes operators of its own into the standard domain, which onnx does not know there: in
    the copy that is returned they stand in onnxruntime's domain.
    """
    version = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    private = [node for node in model.graph.node if not node.domain and version < _STANDARD_SINCE.get(node.op_type, 0)]
    if not private:
        return model
    names = {node.output[0] for node in private}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.output and node.output[0] in names:
            node.domain = MICROSOFT
    if all(entry.domain != MICROSOFT for entry in copy.opset_import):
        copy.opset_import.add(domain=MICROSOFT, version=1)
    return copy


def _check_graph(model: onnx.ModelProto | str, where: str) -> None:
    try:
        onnx.checker.check_model(model if isinstance(model, str) else checkable(model))
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{where} is not valid ONNX: {error}") from error


def _check_opset(model: ir.Model, where: str) -> None:
    version = model.opset_imports.get("", model.opset_imports.get("ai.onnx"))
    if version is None:
        raise ModelError(f"{where} imports no version of the ONNX operators")
    if version < MIN_OPSET:
        raise ModelError(
            f"{where} has opset {version}; {MIN_OPSET} or later is needed: export it again with a later one "
            "or convert it with onnx.version_converter"
        )


def _weights(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value.const_value


def _check_data_file(model: ir.Model, data: Path) -> None:
    """Overwriting the file that the model's weights are mapped from would destroy the original."""
    if data.exists():
        for tensor in external_tensors(model):
            if data.samefile(tensor.path):
                raise OutputError(f"'{data}' holds weights of the model that is being read; choose another name")
