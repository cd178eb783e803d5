# SPDX-License-Identifier: Apache-2.0
"""Weights in external data files: listing, checks and memory mapping, without copies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir

from onnx_snn.errors import ModelError
from onnx_snn.graph.protobuf_weights import INLINE_BYTES


def external_tensors(model: ir.Model) -> Iterator[ir.ExternalTensor]:
    """Every tensor of the model, subgraphs and constants included, whose values lie in another file."""
    for graph in model.graphs():
        attributes = (attr for node in graph for attr in node.attributes.values())
        tensors = [value.const_value for value in graph.initializers.values()]
        tensors += [attr.value for attr in attributes if attr.type == ir.AttributeType.TENSOR]
        yield from (tensor for tensor in tensors if isinstance(tensor, ir.ExternalTensor))


def with_mapped_weights(model: ir.Model) -> ir.Model:
    """A copy of `model` whose external tensors are arrays mapped from their files, independent of `base_dir`."""
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
    """Initializers of the main graph larger than `INLINE_BYTES` whose NumPy layout is that of ONNX files, by name."""
    return {
        name: value
        for name, value in model.graph.initializers.items()
        if (tensor := value.const_value) is not None
        # Strings, and types under a byte, have another layout in NumPy than in files.
        and tensor.dtype != ir.DataType.STRING
        and tensor.dtype.bitwidth >= 8
        and tensor.nbytes > INLINE_BYTES
    }


def detach_weights(model: ir.Model) -> dict[str, ir.TensorProtocol]:
    """Turn the large initializers of the main graph into inputs, in place, and return their tensors by name."""
    graph = model.graph
    weights: dict[str, ir.TensorProtocol] = {}
    for name, value in large_weights(model).items():
        tensor = value.const_value
        assert tensor is not None, "a weight has a value"
        weights[name] = tensor
        del graph.initializers[name]
        value.const_value, value.dtype, value.shape = None, tensor.dtype, ir.Shape(tensor.shape.numpy())
        if value not in graph.inputs:
            graph.inputs.append(value)
    return weights


def check_external_data(model: ir.Model, where: str) -> None:
    """Refuse a model with external data that is missing or incomplete.

    Args:
        model: The model.
        where: Name of the model in error messages.

    Raises:
        ModelError: a file is missing, too short, or cannot be mapped into memory.
    """
    for tensor in external_tensors(model):
        path = Path(tensor.path)
        what = f"{where} keeps tensor '{tensor.name}' in '{path}'"
        if not path.is_file():
            raise ModelError(f"{what}, which does not exist; put that file beside the model, or load by path")
        if tensor.length is not None and tensor.length < tensor.nbytes:
            raise ModelError(
                f"{what}, of which it has {tensor.length} bytes and needs {tensor.nbytes}: export it again"
            )
        end = (tensor.offset or 0) + max(tensor.length or 0, tensor.nbytes)
        if path.stat().st_size < end:
            size = path.stat().st_size
            raise ModelError(f"{what}{lfs_hint(path)}, which has {size} bytes of at least {end}: fetch it again")
        try:
            tensor.numpy()
        except (OSError, ValueError) as error:
            raise ModelError(f"{what}, which cannot be mapped: {error}") from error
        tensor.release()


def lfs_hint(path: Path) -> str:
    """A hint for error messages if `path` is a Git LFS pointer instead of the file itself; else an empty string."""
    with path.open("rb") as file:
        pointer = file.read(64).startswith(b"version https://git-lfs")
    return " (it is a Git LFS pointer: run `git lfs pull`)" if pointer else ""


def _mapped(tensor: ir.ExternalTensor) -> ir.TensorProtocol:
    return ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)
