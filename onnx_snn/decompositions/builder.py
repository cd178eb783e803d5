# SPDX-License-Identifier: Apache-2.0
"""The notation of decompositions: formulas whose operators become nodes.

    op.Mul(x, op.Sigmoid(op.Mul(x, 1.702)))

A float becomes a constant of the type of the first operand, an integer or a list of integers a constant of int64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import onnx_ir as ir

from onnx_snn.decompositions.type_inference import has_cast_types
from onnx_snn.graph.node_builder import NodeBuilder, SharedInitializers
from onnx_snn.graph.operator_lists import operators
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.rules.rule import name_of

Operand: TypeAlias = "ir.Value | float | int | Sequence[int] | None"
Outputs: TypeAlias = "Sequence[ir.Value | None]"
Values: TypeAlias = "Sequence[ir.Value]"
Step: TypeAlias = "Callable[[FormulaBuilder, Values, ir.Value], tuple[Values, ir.Value]]"
"""One iteration of a loop: from the states and the number of the iteration, int64, to new states and one element."""

_BOOL_OUTPUT = operators("Equal Less LessOrEqual Greater GreaterOrEqual And Or Not IsNaN")
"""Operators whose output is of bool."""

_INT64_OUTPUT = operators("Shape Size")
"""Operators whose output is of int64."""

_TYPE_OF_SECOND = operators("Where CastLike DequantizeLinear")
"""Operators whose output has the type of their second input."""

_TYPE_OF_THIRD = operators("QuantizeLinear")
"""Operators whose output has the type of their third input."""

_CONSTANT = "onnx_snn.constant"
"""Prefix of the names of the initializers that formulas add; a number follows."""


class Unsupported(Exception):  # noqa: N818 - not an error: it becomes a line of the report
    """A node cannot be decomposed exactly; the message is the reason."""


class Target:
    """The model that decompositions add nodes to.

    Attributes:
        opset: version of the standard operators that it imports.
        names: allocator of unique names.
        constants: initializers that formulas add.
        all_float32: whether no tensor is declared as one of another floating-point type.
    """

    def __init__(self, model: ir.Model) -> None:
        self.opset = model.opset_imports.get("", 1)
        self.names = UniqueNames.of(model)
        self.constants = SharedInitializers(model, self.names)
        self.all_float32 = not has_cast_types(model)


class FormulaBuilder:
    """Adds the nodes that replace one node, and gives access to the inputs and outputs of that node.

    Attributes:
        node: the node to decompose.
        nodes: the new nodes so far, in graph order; named after `node` and their operator.
        opset: version of the standard operators that the model imports.
    """

    def __init__(self, node: ir.Node, target: Target) -> None:
        self.node, self.opset = node, target.opset
        self.nodes: list[ir.Node] = []
        self._target, self._builder = target, NodeBuilder(target.names)

    def __getattr__(self, op_type: str) -> Callable[..., ir.Value]:
        """The standard operator `op_type`, to be called with operands and attributes."""
        if op_type.startswith("_"):
            raise AttributeError(op_type)
        return partial(self._write_one, op_type)

    def split(self, x: ir.Value, sizes: Sequence[int], axis: int) -> Sequence[ir.Value]:
        """The parts of `x` with `sizes` along `axis`."""
        return self._write("Split", [x, list(sizes)], {"axis": axis}, len(sizes))

    def several(
        self,
        op_type: str,
        operands: Sequence[Operand],
        dtypes: Sequence[ir.DataType],
        attributes: Mapping[str, Any] | None = None,
        domain: str = "",
    ) -> Sequence[ir.Value]:
        """The outputs, of types `dtypes`, of an operator with several ones."""
        written = self._write(op_type, operands, dict(attributes or {}), len(dtypes), domain)
        for value, dtype in zip(written, dtypes, strict=True):
            value.type = ir.TensorType(dtype)
        return written

    def loop(self, step: Step, states: Sequence[ir.Value], iterations: ir.Value) -> Sequence[ir.Value]:
        """The last states, and the elements of all iterations stacked along a new first axis.

        Args:
            step: writes the body of the loop with the builder that it is given.
            states: the first states.
            iterations: number of iterations, int64.
        """
        body = FormulaBuilder(self.node, self._target)
        index = self._inner("iteration", ir.DataType.INT64)
        goes_on = self._inner("condition", ir.DataType.BOOL)
        index.shape = goes_on.shape = ir.Shape([])
        inner = [self._inner("state", state.dtype) for state in states]
        new_states, element = step(body, inner, index)
        outputs = [body.Identity(goes_on), *new_states, element]
        name = self._target.names.take(f"{name_of(self.node)}/body")
        graph = ir.Graph([index, goes_on, *inner], outputs, nodes=body.nodes, name=name)
        return self.repeat(graph, states, iterations)

    def repeat(self, body: ir.Graph, states: Sequence[ir.Value], iterations: ir.Value) -> Sequence[ir.Value]:
        """The last states, and the stacked elements of further outputs of `body`, the body of a loop.

        Args:
            body: takes the number of the iteration, a condition and the states; returns the condition, the new states
                and elements.
            states: the first states.
            iterations: number of iterations, int64.
        """
        # A Loop has two inputs at least.
        condition = None if states else self.constant(True, ir.DataType.BOOL)
        written = self._write("Loop", [iterations, condition, *states], {"body": body}, len(body.outputs) - 1)
        for value, inside in zip(written, body.outputs[1:], strict=True):
            value.type = inside.type
        return written

    @property
    def names(self) -> UniqueNames:
        """Allocator of unique names of the model."""
        return self._target.names

    def _inner(self, name: str, dtype: ir.DataType | None) -> ir.Value:
        """A new input of a body."""
        return ir.val(self._target.names.take(f"{name_of(self.node)}/{name}"), dtype=dtype)

    def constant(self, number: Any, dtype: ir.DataType) -> ir.Value:
        """An initializer that holds `number`."""
        return self._target.constants.get(number, dtype, _CONSTANT)

    def input(self, index: int) -> ir.Value | None:
        """Input `index` of the node, None where it is absent."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def required(self, index: int) -> ir.Value:
        """Input `index` of the node.

        Raises:
            Unsupported: the input is absent.
        """
        value = self.input(index)
        if value is None:
            raise Unsupported(f"{self.node.op_type} without its input {index} is not supported")
        return value

    def wants(self, index: int) -> bool:
        """Whether output `index` of the node has readers or is an output of the graph."""
        if index >= len(self.node.outputs):
            return False
        value = self.node.outputs[index]
        return bool(value.uses()) or value.is_graph_output()

    def float_type(self, like: ir.Value | None) -> ir.DataType:
        """Element type of a floating-point constant that is combined with `like`.

        Raises:
            Unsupported: the type of `like` is unknown, in a model with tensors of float16 or bfloat16.
        """
        if like is not None and like.dtype is not None:
            return like.dtype
        if not self._target.all_float32:
            raise Unsupported(f"the type of {None if like is None else like.name!r} is unknown")
        return ir.DataType.FLOAT

    def rank(self, value: ir.Value) -> int:
        """Number of axes of `value`.

        Raises:
            Unsupported: the rank is unknown.
        """
        if value.shape is None:
            raise Unsupported(f"the rank of {value.name!r} is unknown")
        return len(value.shape)

    def size(self, value: ir.Value, axis: int) -> int:
        """The fixed size of `value` along `axis`.

        Raises:
            Unsupported: the size is unknown or varies.
        """
        size = None if value.shape is None else value.shape[axis]
        if not isinstance(size, int):
            raise Unsupported(f"the size of {value.name!r} along axis {axis} is unknown")
        return size

    def discard(self) -> None:
        """Disconnect and drop the new nodes, which would otherwise count as readers of their inputs."""
        for node in self.nodes:
            for index in range(len(node.inputs)):
                node.replace_input_with(index, None)
        self.nodes.clear()

    def adopt(self, nodes: Iterable[ir.Node]) -> None:
        """Add existing nodes, renamed after the node that they replace."""
        for node in nodes:
            self._record(node, node.name or node.op_type)

    def _write_one(self, op_type: str, *operands: Operand, domain: str = "", **attributes: Any) -> ir.Value:
        return self._write(op_type, operands, attributes, 1, domain)[0]

    def _write(
        self, op_type: str, operands: Sequence[Operand], attributes: dict[str, Any], outputs: int, domain: str = ""
    ) -> Sequence[ir.Value]:
        like = next((operand for operand in operands if isinstance(operand, ir.Value)), None)
        inputs = [self._value(operand, like) for operand in operands]
        while inputs and inputs[-1] is None:
            inputs.pop()
        written = self._builder.op_multi_out(op_type, inputs, attributes, domain=domain, num_outputs=outputs)
        node = self._builder.nodes[-1]
        for output in written:
            dtype = _type_of(node, None if like is None else like.dtype)
            output.type = None if dtype is None else ir.TensorType(dtype)
        self._record(node, op_type)
        return written

    def _value(self, operand: Operand, like: ir.Value | None) -> ir.Value | None:
        if operand is None or isinstance(operand, ir.Value):
            return operand
        if isinstance(operand, float):
            return self.constant(operand, self.float_type(like))
        return self.constant(operand, ir.DataType.INT64)

    def _record(self, node: ir.Node, name: str) -> None:
        """Append `node`, named "<decomposed node>/<name>", and name its outputs after it."""
        node.name = self._target.names.take(f"{name_of(self.node)}/{name}")
        for output in node.outputs:
            suffix = f"_{output.index()}" if len(node.outputs) > 1 else ""
            output.name = self._target.names.take(f"{node.name}_output{suffix}")
        self.nodes.append(node)


def _type_of(node: ir.Node, like: ir.DataType | None) -> ir.DataType | None:
    """Element type of the outputs of `node`, whose first operand has type `like`; None where unknown."""
    if node.op_type in _BOOL_OUTPUT:
        return ir.DataType.BOOL
    if node.op_type in _INT64_OUTPUT:
        return ir.DataType.INT64
    if node.op_type == "Cast":
        return ir.DataType(node.attributes.get_int("to", 0))
    if node.op_type in _TYPE_OF_SECOND:
        return node.inputs[1].dtype if node.inputs[1] is not None else None
    if node.op_type in _TYPE_OF_THIRD:
        return node.inputs[2].dtype if node.inputs[2] is not None else None
    return like
