# SPDX-License-Identifier: Apache-2.0
"""How an expansion is written: as a formula, whose operators become nodes.

    op.Mul(x, op.Sigmoid(op.Mul(x, 1.702)))

A float stands for a constant of the type of the first operand, an integer or a list of integers for int64.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from onnx_snn.graph.activation_flow import operators
from onnx_snn.graph.domains import MICROSOFT
from onnx_snn.rules.rule import name_of

__all__ = ["MICROSOFT", "Constants", "Names", "Operand", "Outputs", "Unsupported", "Writer"]

Operand: TypeAlias = "ir.Value | float | int | Sequence[int] | None"
Outputs: TypeAlias = "Sequence[ir.Value | None]"

_TRUTH = operators("Equal Less LessOrEqual Greater GreaterOrEqual And Or Not IsNaN")
_COUNT = operators("Shape Size")
_TYPE_OF_SECOND = operators("Where CastLike")


class Unsupported(Exception):  # noqa: N818 - not an error: it becomes a line of the report
    """Why a node cannot be taken apart exactly."""


class Names:
    """The names that a model uses, and new ones."""

    def __init__(self, model: ir.Model) -> None:
        self._taken: set[str | None] = set()
        for graph in model.graphs():
            self._taken |= {*graph.initializers, *(value.name for value in graph.inputs)}
            for node in graph:
                self._taken |= {node.name, *(value.name for value in node.outputs)}

    def free(self, name: str) -> str:
        """`name`, numbered when it is taken; it is taken then."""
        candidates = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(1)))
        found = next(candidate for candidate in candidates if candidate not in self._taken)
        self._taken.add(found)
        return found


class Constants:
    """Initializers of the main graph that expansions add; equal ones are shared."""

    def __init__(self, model: ir.Model, names: Names) -> None:
        self._model, self._names = model, names
        self._known: dict[tuple[ir.DataType, tuple[int, ...], bytes], ir.Value] = {}

    def get(self, number: Any, dtype: ir.DataType) -> ir.Value:
        """The initializer that holds `number`, a number or a list of numbers."""
        array = np.asarray(number).astype(dtype.numpy())
        key = (dtype, array.shape, array.tobytes())
        if key not in self._known:
            name = self._names.free("onnx_snn.constant")
            tensor = ir.Tensor(array, dtype=dtype, name=name)
            value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(dtype), const_value=tensor)
            self._model.graph.register_initializer(value)
            self._known[key] = value
        return self._known[key]

    def sweep(self) -> None:
        """Remove those that nothing reads."""
        for value in self._known.values():
            if not value.uses():
                self._model.graph.initializers.pop(value.name or "")


class Writer:
    """Writes the nodes that stand for one node.

    Attributes:
        node: What is taken apart.
        nodes: What was written so far, in graph order; named after `node` and their operator.
        opset: Version of the standard operators that the model imports.
    """

    def __init__(self, node: ir.Node, opset: int, names: Names, constants: Constants, *, all_float32: bool) -> None:
        self.node, self.opset = node, opset
        self._all_float32 = all_float32
        self.nodes: list[ir.Node] = []
        self._names, self._constants = names, constants

    def __getattr__(self, op_type: str) -> Callable[..., ir.Value]:
        """The standard operator `op_type`, to be called with operands and attributes."""
        if op_type.startswith("_"):
            raise AttributeError(op_type)
        return partial(self._write_one, op_type)

    def split(self, x: ir.Value, sizes: Sequence[int], axis: int) -> Sequence[ir.Value]:
        """The parts of `x` with `sizes` along `axis`."""
        return self._write("Split", [x, list(sizes)], {"axis": axis}, len(sizes))

    def constant(self, number: Any, dtype: ir.DataType) -> ir.Value:
        """An initializer that holds `number`."""
        return self._constants.get(number, dtype)

    def input(self, index: int) -> ir.Value | None:
        """Input `index` of the node, None where it is absent."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def required(self, index: int) -> ir.Value:
        """Input `index` of the node.

        Raises:
            Unsupported: it is absent.
        """
        value = self.input(index)
        if value is None:
            raise Unsupported(f"{self.node.op_type} without its input {index}")
        return value

    def wants(self, index: int) -> bool:
        """Whether anything reads output `index` of the node."""
        if index >= len(self.node.outputs):
            return False
        value = self.node.outputs[index]
        return bool(value.uses()) or value.is_graph_output()

    def float_type(self, like: ir.Value | None) -> ir.DataType:
        """Element type of a constant that meets `like`.

        Raises:
            Unsupported: it is not known, in a model that does not compute in float32 throughout.
        """
        if like is not None and like.dtype is not None:
            return like.dtype
        if not self._all_float32:
            raise Unsupported(f"the type of {None if like is None else like.name!r} is not known")
        return ir.DataType.FLOAT

    def rank(self, value: ir.Value) -> int:
        """Number of axes of `value`.

        Raises:
            Unsupported: it is not known.
        """
        if value.shape is None:
            raise Unsupported(f"the rank of {value.name!r} is not known")
        return len(value.shape)

    def size(self, value: ir.Value, axis: int) -> int:
        """The fixed size of `value` along `axis`.

        Raises:
            Unsupported: it is not known, or varies.
        """
        size = None if value.shape is None else value.shape[axis]
        if not isinstance(size, int):
            raise Unsupported(f"the size of {value.name!r} along axis {axis} is not known")
        return size

    def discard(self) -> None:
        """Let go of what was written: its nodes would count as readers."""
        for node in self.nodes:
            for index in range(len(node.inputs)):
                node.replace_input_with(index, None)
        self.nodes.clear()

    def adopt(self, nodes: Iterable[ir.Node]) -> None:
        """Take nodes that were made elsewhere, under names of this expansion."""
        for node in nodes:
            self._christen(node, node.name or node.op_type)
            self.nodes.append(node)

    def _write_one(self, op_type: str, *operands: Operand, domain: str = "", **attributes: Any) -> ir.Value:
        return self._write(op_type, operands, attributes, 1, domain)[0]

    def _write(
        self, op_type: str, operands: Sequence[Operand], attributes: dict[str, Any], outputs: int, domain: str = ""
    ) -> Sequence[ir.Value]:
        like = next((operand for operand in operands if isinstance(operand, ir.Value)), None)
        inputs = [self._value(operand, like) for operand in operands]
        while inputs and inputs[-1] is None:
            inputs.pop()
        node = ir.node(op_type, inputs, attributes, domain=domain, num_outputs=outputs)
        for output in node.outputs:
            dtype = _type_of(node, None if like is None else like.dtype)
            output.type = None if dtype is None else ir.TensorType(dtype)
        self._christen(node, op_type)
        self.nodes.append(node)
        return node.outputs

    def _value(self, operand: Operand, like: ir.Value | None) -> ir.Value | None:
        if operand is None or isinstance(operand, ir.Value):
            return operand
        if isinstance(operand, float):
            return self._constants.get(operand, self.float_type(like))
        return self._constants.get(operand, ir.DataType.INT64)

    def _christen(self, node: ir.Node, name: str) -> None:
        """Name `node` and its outputs after the node that is taken apart."""
        node.name = self._names.free(f"{name_of(self.node)}/{name}")
        for output in node.outputs:
            suffix = f"_{output.index()}" if len(node.outputs) > 1 else ""
            output.name = self._names.free(f"{node.name}_output{suffix}")


def _type_of(node: ir.Node, like: ir.DataType | None) -> ir.DataType | None:
    """Element type of what `node` computes; `like` is that of its first operand."""
    if node.op_type in _TRUTH:
        return ir.DataType.BOOL
    if node.op_type in _COUNT:
        return ir.DataType.INT64
    if node.op_type == "Cast":
        return ir.DataType(node.attributes.get_int("to", 0))
    if node.op_type in _TYPE_OF_SECOND:
        return node.inputs[1].dtype if node.inputs[1] is not None else None
    return like
