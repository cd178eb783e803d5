# SPDX-License-Identifier: Apache-2.0
"""The configuration of a network in a model repository of Triton, as the text of a protocol buffer.

The message is `ModelConfig` of Triton's model_config.proto. Where `max_batch_size` is not 0, Triton batches requests:
axis 0 of every input and output counts samples then, and is left out of `dims`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import onnx_ir as ir

from onnx_snn.errors import DeployError
from onnx_snn.json_files import parse_object
from onnx_snn.metadata import GUARD_KEY

DATA_TYPES = {
    ir.DataType.BOOL: "TYPE_BOOL",
    ir.DataType.UINT8: "TYPE_UINT8",
    ir.DataType.UINT16: "TYPE_UINT16",
    ir.DataType.UINT32: "TYPE_UINT32",
    ir.DataType.UINT64: "TYPE_UINT64",
    ir.DataType.INT8: "TYPE_INT8",
    ir.DataType.INT16: "TYPE_INT16",
    ir.DataType.INT32: "TYPE_INT32",
    ir.DataType.INT64: "TYPE_INT64",
    ir.DataType.FLOAT16: "TYPE_FP16",
    ir.DataType.FLOAT: "TYPE_FP32",
    ir.DataType.DOUBLE: "TYPE_FP64",
    ir.DataType.STRING: "TYPE_STRING",
    ir.DataType.BFLOAT16: "TYPE_BF16",
}
"""Types of elements in Triton by those of ONNX."""

ANY_SIZE = -1
"""Size of an axis that requests choose."""


def triton_config(model: ir.Model, name: str, libraries: Sequence[str], max_batch_size: int) -> str:
    """The configuration of `model`, the text of config.pbtxt.

    Args:
        model: the network.
        name: its name in the repository.
        libraries: paths of the libraries of operators, as the server sees them; they compute on the CPU.
        max_batch_size: most samples in one run, where requests can be batched; 0 for no batching.

    Raises:
        DeployError: an input or output is no tensor of a type that Triton has.
    """
    inputs = [value for value in model.graph.inputs if value.name not in model.graph.initializers]
    outputs = [value for value in model.graph.outputs if value.name != _guard(model)]
    batched = max_batch_size > 0 and _can_batch([*inputs, *outputs])
    lines = [
        f"name: {_quoted(name)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {max_batch_size if batched else 0}",
        *_tensors("input", inputs, batched=batched),
        *_tensors("output", outputs, batched=batched),
        *(["dynamic_batching { }"] if batched else []),
    ]
    if libraries:
        names = ", ".join(map(_quoted, libraries))
        lines += ["instance_group [ { kind: KIND_CPU } ]", f"model_operations {{ op_library_filename: [ {names} ] }}"]
    return "\n".join(lines) + "\n"


def _guard(model: ir.Model) -> str:
    """Name of the output of the range guard, which counts elements of all samples together; empty without one."""
    try:
        return str(parse_object(model.metadata_props.get(GUARD_KEY, "{}")).get("output", ""))
    except ValueError:
        return ""


def _can_batch(values: Sequence[ir.Value]) -> bool:
    """Whether axis 0 of all `values` is the same free axis, by its name."""
    axes = {_shape(value)[0] if _shape(value) else None for value in values}
    return len(axes) == 1 and isinstance(axes.pop(), str)


def _tensors(field: str, values: Sequence[ir.Value], *, batched: bool) -> Iterator[str]:
    """One message for each of `values`, in the field "input" or "output"."""
    for value in values:
        sizes = [size if isinstance(size, int) else ANY_SIZE for size in _shape(value)][batched:]
        # Triton has no tensors of rank 0: a scalar of each sample is reshaped, and one for all is of size 1.
        scalar = " reshape { shape: [ ] }" if batched and not sizes else ""
        dims = ", ".join(map(str, sizes or [1]))
        data_type = DATA_TYPES[_type(value)]
        yield f"{field} [ {{ name: {_quoted(str(value.name))} data_type: {data_type} dims: [ {dims} ]{scalar} }} ]"


def _type(value: ir.Value) -> ir.DataType:
    if not isinstance(value.type, ir.TensorType) or value.dtype not in DATA_TYPES:
        raise DeployError(f"'{value.name}' is {value.type}; Triton has tensors of {sorted(DATA_TYPES.values())} alone")
    return value.dtype


def _shape(value: ir.Value) -> tuple[int | str | None, ...]:
    """The size of each axis, or its name; None where neither is known.

    Raises:
        DeployError: the rank is not known.
    """
    _type(value)
    if value.shape is None:
        raise DeployError(
            f"the number of axes of '{value.name}' is not declared; declare a shape, with -1 for free sizes"
        )
    return tuple(size if isinstance(size, int) else size.value for size in value.shape)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # the escapes of JSON are among those of protocol buffers
