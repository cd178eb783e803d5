# SPDX-License-Identifier: Apache-2.0
"""Classification of the values of a model: activations, constants, and values that are neither.

    activation   a float computed from a float input of the model (pixel_values, past_key_values.*, ...)
                 or from an embedding: a Gather from a float initializer of rank >= 2 by token ids, also a
                 quantized one, or an operator of another domain
    constant     computed from initializers and Constant nodes alone: a weight, whatever expression
    neither      shapes, masks and positions: sqrt(head size) read from a Shape, the causal mask,
                 cos and sin of rotary embeddings

The third class decides what counts as a product of two activations: q * cos is a fixed rotation and
scores * mask a fixed selection; conversions keep both. Inputs belong to it by their names: an input called
`*mask*`, `*position*` or after a length of sequences is neither an activation nor a token, whatever its type.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

import onnx_ir as ir

_SIDE_INPUTS = ("mask", "position", "seqlen", "sequence_length")
"""Substrings of the names of inputs that are neither activations nor tokens."""


def operators(names: str) -> frozenset[str]:
    """The operators in a list of names separated by blanks."""
    return frozenset(names.split())


_VALUE_BLIND = operators(
    "Shape Size EyeLike RandomNormalLike RandomUniformLike Bernoulli Multinomial "
    "ArgMax ArgMin NonZero OneHot IsNaN IsInf Equal Less LessOrEqual Greater GreaterOrEqual "
    "And Or Xor Not BitwiseAnd BitwiseOr BitwiseXor BitwiseNot StringNormalizer"
)
"""Operators whose outputs are shapes, indices, truth values or noise, and so no activations."""

_RANDOM = operators("RandomNormal RandomUniform RandomNormalLike RandomUniformLike Bernoulli Multinomial")
_GATHERS = operators("Gather GatherElements GatherND")
_ONLY_FIRST_OUTPUT = operators("TopK MaxPool Dropout DynamicQuantizeLinear")
"""Operators whose first output alone can be an activation: others are indices, masks or quantization parameters."""


class _Origin(enum.Flag):
    """What a value was computed from."""

    NOTHING = 0
    INPUT = enum.auto()
    TOKEN = enum.auto()
    ACTIVATION = enum.auto()


class ActivationFlow:
    """Classification of every value in a model, subgraphs included, computed once in graph order.

    Args:
        model: The model; later changes to it are not seen.
    """

    def __init__(self, model: ir.Model) -> None:
        self._origins: dict[ir.Value, _Origin] = {}
        self._functions = model.functions
        for value in model.graph.inputs:
            if not value.is_initializer():
                self._origins[value] = _input_origin(value)
        self._visit(model.graph)

    def is_activation(self, value: ir.Value | None) -> bool:
        """Whether `value` is a float that depends on a float input of the model or on an embedding."""
        return _Origin.ACTIVATION in self._origin(value) and value is not None and _may_be_float(value)

    def is_constant(self, value: ir.Value | None) -> bool:
        """Whether `value` is the same in every run of the model."""
        return value is not None and self._origin(value) is _Origin.NOTHING

    def _origin(self, value: ir.Value | None) -> _Origin:
        return _Origin.NOTHING if value is None else self._origins.get(value, _Origin.NOTHING)

    def _origin_of_any(self, values: Iterable[ir.Value | None]) -> _Origin:
        origin = _Origin.NOTHING
        for value in values:
            origin |= self._origin(value)
        return origin

    def _add(self, values: Sequence[ir.Value], origins: Iterable[_Origin]) -> bool:
        """Add `origins` to those of `values`; whether anything changed."""
        before = [self._origin(value) for value in values]
        for value, origin in zip(values, origins, strict=False):
            self._origins[value] = self._origin(value) | origin
        return before != [self._origin(value) for value in values]

    def _visit(self, graph: ir.Graph | ir.Function) -> None:
        for node in graph:
            if node.op_identifier() in self._functions:
                self._visit_function(node)
            elif node.domain != "":
                self._add(node.outputs, [self._passed_on_by_unknown(node)] * len(node.outputs))
            elif node.op_type == "If":
                self._visit_branches(node)
            elif node.op_type in ("Loop", "Scan"):
                self._visit_body(node)
            else:
                self._add(node.outputs, [self._passed_on(node, output) for output in node.outputs])

    def _visit_function(self, node: ir.Node) -> None:
        """Follow one call; another one may give the same function values of other origins."""
        function = self._functions[node.op_identifier()]
        outside = self._origins
        self._origins = {
            inner: outside.get(given, _Origin.NOTHING)
            for inner, given in zip(function.inputs, node.inputs, strict=False)
            if given is not None
        }
        self._visit(function)
        returned = [self._origin(value) for value in function.outputs]
        self._origins = outside
        self._add(node.outputs, returned)

    def _visit_branches(self, node: ir.Node) -> None:
        chosen_by = self._origin_of_any(node.inputs) & _Origin.INPUT
        for branch in ("then_branch", "else_branch"):
            body = node.attributes[branch].as_graph()
            self._visit(body)
            self._add(node.outputs, [chosen_by | self._origin(value) for value in body.outputs])

    def _visit_body(self, node: ir.Node) -> None:
        """Visit the body of a Loop or Scan until the origins of its loop-carried values no longer change."""
        body = node.attributes["body"].as_graph()
        self._add(body.inputs, [_Origin.INPUT] * len(body.inputs))
        given, inputs, outputs = node.inputs, body.inputs, body.outputs
        if node.op_type == "Loop":
            # Its body also takes the iteration and the condition, and gives the condition back.
            given, inputs, outputs = given[2:], inputs[2:], outputs[1:]
        states = len(inputs) - node.attributes.get_int("num_scan_inputs", 0)
        self._add(inputs, [self._origin(value) for value in given])
        self._visit(body)
        while self._add(inputs[:states], [self._origin(value) for value in outputs[:states]]):
            self._visit(body)
        self._add(node.outputs, [_Origin.INPUT | self._origin(value) for value in outputs])

    def _passed_on_by_unknown(self, node: ir.Node) -> _Origin:
        """The origin of what an operator of another domain computes: of tokens, it may be an embedding."""
        origin = self._origin_of_any(node.inputs)
        return origin | _Origin.ACTIVATION if _Origin.TOKEN in origin else origin

    def _passed_on(self, node: ir.Node, output: ir.Value) -> _Origin:
        origin = self._origin_of_any(node.inputs)
        if node.op_type in _RANDOM:
            origin |= _Origin.INPUT
        if node.op_type in ("Shape", "Size"):
            origin &= ~_Origin.TOKEN
        if self._carries_activation(node, output):
            return origin | _Origin.ACTIVATION
        return origin & ~_Origin.ACTIVATION

    def _carries_activation(self, node: ir.Node, output: ir.Value) -> bool:
        if node.op_type in _VALUE_BLIND:
            return False
        if node.op_type in _ONLY_FIRST_OUTPUT and output.index() != 0:
            return False
        if node.op_type == "Cast" and not ir.DataType(node.attributes["to"].as_int()).is_floating_point():
            return False
        if node.op_type == "DequantizeLinear":  # of tokens: rows of a quantized embedding
            return bool(self._origin(node.inputs[0]) & (_Origin.ACTIVATION | _Origin.TOKEN))
        if node.op_type in _GATHERS:
            return _Origin.ACTIVATION in self._origin(node.inputs[0]) or self._is_embedding(node)
        operands = node.inputs[1:] if node.op_type == "Where" else node.inputs
        return _Origin.ACTIVATION in self._origin_of_any(operands)

    def _is_embedding(self, node: ir.Node) -> bool:
        table, ids = node.inputs[:2]
        if table is None or not self.is_constant(table) or not _may_be_float(table):
            return False
        rank = 2 if table.shape is None else len(table.shape)
        return rank >= 2 and _Origin.TOKEN in self._origin(ids)


def _input_origin(value: ir.Value) -> _Origin:
    """The origin that an input of the model starts."""
    name = (value.name or "").lower()
    if any(part in name for part in _SIDE_INPUTS) or value.dtype is ir.DataType.BOOL:
        return _Origin.INPUT
    return _Origin.INPUT | (_Origin.ACTIVATION if _may_be_float(value) else _Origin.TOKEN)


def _may_be_float(value: ir.Value) -> bool:
    return value.dtype is None or value.dtype.is_floating_point()
