# SPDX-License-Identifier: Apache-2.0
"""Classification of the values of a model: activations, constants, and values that are neither.

    activation   a number computed from a source that is one: a float input, an embedding, an image of uint8 cast
                 to float, ... (`onnx_snn.graph.activation_sources` decides which sources are)
    constant     computed from initializers and Constant nodes alone: a weight, whatever expression
    neither      shapes, masks, positions and indices: sqrt(head size) read from a Shape, the causal mask,
                 cos and sin of rotary embeddings

The third class decides what counts as a product of two activations: q * cos is a fixed rotation and
scores * mask a fixed selection; conversions keep both. Neither names nor types of inputs matter: a float input that
is only added to scores is a mask, and an integer input that is multiplied with weights an activation.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import onnx_ir as ir

from onnx_snn.graph.activation_sources import Rank, Sources
from onnx_snn.graph.operator_lists import CONTRACTIONS, GATHERS, INDICES, INTEGER, RANDOM, SHAPES, TRUTH, operators

_ONLY_FIRST_OUTPUT = operators("TopK MaxPool Dropout DynamicQuantizeLinear Unique")
"""Operators whose first output alone can be an activation: others are indices, masks or quantization parameters."""

_MAKES_FLOATS = operators("Cast CastLike OneHot DequantizeLinear TfIdfVectorizer") | GATHERS
"""Operators that make numbers of integers, truth values or text."""


class _Origin(NamedTuple):
    """What a value was computed from. Sets of sources are bits of integers.

    Attributes:
        varies: whether it differs from run to run.
        is_data: whether it depends on values of inputs, not on shapes alone.
        sources: the sources whose numbers it holds.
        behind: for truth values and indices, the sources of the numbers that they were computed from.
    """

    varies: bool = False
    is_data: bool = False
    sources: int = 0
    behind: int = 0

    def joined(self, other: _Origin) -> _Origin:
        """The origin of a value that is computed from values of both origins."""
        if other is _CONSTANT or self == other:
            return self
        return _Origin(
            self.varies or other.varies,
            self.is_data or other.is_data,
            self.sources | other.sources,
            self.behind | other.behind,
        )

    def without_numbers(self) -> _Origin:
        """The origin of truth values or indices that are computed from values of this origin."""
        return self._replace(sources=0, behind=self.sources | self.behind)


_CONSTANT = _Origin()
_VARYING = _Origin(varies=True)


class ActivationFlow:
    """Classification of every value in a model, subgraphs included, computed once in graph order.

    Args:
        model: The model; later changes to it are not seen.
    """

    def __init__(self, model: ir.Model) -> None:
        self._origins: dict[ir.Value, _Origin] = {}
        self._functions = model.functions
        self._sources = Sources()
        self._calls: tuple[ir.Node, ...] = ()
        for value in model.graph.inputs:
            if not value.is_initializer():
                self._origins[value] = self._of_input(value)
        self._visit(model.graph)
        for value in model.graph.outputs:
            self._sources.leave(self._origin(value).sources)
        self._activations = self._sources.activations()

    def is_activation(self, value: ir.Value | None) -> bool:
        """Whether `value` is a float that is computed from an activation."""
        return self.holds_activation(value) and _is_float(value) is not False

    def holds_activation(self, value: ir.Value | None) -> bool:
        """Whether `value` is computed from an activation: a float, or the integers that stand for one."""
        return bool(self._origin(value).sources & self._activations)

    def is_constant(self, value: ir.Value | None) -> bool:
        """Whether `value` is the same in every run of the model."""
        return value is not None and self._origin(value) == _CONSTANT

    def _of_input(self, value: ir.Value) -> _Origin:
        """The origin that an input of the model starts."""
        if _is_float(value) is False:
            return _Origin(varies=True, is_data=True)
        return self._start(value, Rank.INPUT)

    def _start(self, where: ir.Value | ir.Node, rank: Rank, behind: int = 0) -> _Origin:
        """The origin of a source that starts at `where`, in a function for each of its calls."""
        return _Origin(varies=True, is_data=True, sources=self._sources.start((self._calls, where), rank, behind))

    def _origin(self, value: ir.Value | None) -> _Origin:
        return _CONSTANT if value is None else self._origins.get(value, _CONSTANT)

    def _origin_of_any(self, values: Iterable[ir.Value | None]) -> _Origin:
        return functools.reduce(_Origin.joined, map(self._origin, values), _CONSTANT)

    def _add(self, values: Sequence[ir.Value], origins: Iterable[_Origin]) -> bool:
        """Add `origins` to those of `values`; whether anything changed."""
        before = [self._origin(value) for value in values]
        for value, origin in zip(values, origins, strict=False):
            self._origins[value] = self._origin(value).joined(origin)
        return before != [self._origin(value) for value in values]

    def _visit(self, graph: ir.Graph | ir.Function) -> None:
        for node in graph:
            if node.op_identifier() in self._functions:
                self._visit_function(node)
            elif node.domain == "" and node.op_type == "If":
                self._visit_branches(node)
            elif node.domain == "" and node.op_type in ("Loop", "Scan"):
                self._visit_body(node)
            else:
                self._add(node.outputs, [self._passed_on(node, output) for output in node.outputs])
                self._sources.take(node, [self._origin(value).sources for value in node.inputs])

    def _visit_function(self, node: ir.Node) -> None:
        """Follow one call; another one may give the same function values of other origins."""
        function = self._functions[node.op_identifier()]
        outside, calls = self._origins, self._calls
        self._calls = (*calls, node)
        self._origins = {
            inner: outside.get(given, _CONSTANT)
            for inner, given in zip(function.inputs, node.inputs, strict=False)
            if given is not None
        }
        self._visit(function)
        returned = [self._origin(value) for value in function.outputs]
        self._origins, self._calls = outside, calls
        self._add(node.outputs, returned)

    def _visit_branches(self, node: ir.Node) -> None:
        chosen_by = self._origin_of_any(node.inputs)._replace(sources=0, behind=0)
        for branch in ("then_branch", "else_branch"):
            body = node.attributes[branch].as_graph()
            self._visit(body)
            self._add(node.outputs, [chosen_by.joined(self._origin(value)) for value in body.outputs])

    def _visit_body(self, node: ir.Node) -> None:
        """Visit the body of a Loop or Scan until the origins of its loop-carried values no longer change."""
        body = node.attributes["body"].as_graph()
        self._add(body.inputs, [_VARYING] * len(body.inputs))
        given, inputs, outputs = node.inputs, body.inputs, body.outputs
        if node.op_type == "Loop":
            # Its body also takes the iteration and the condition, and gives the condition back.
            given, inputs, outputs = given[2:], inputs[2:], outputs[1:]
        states = len(inputs) - node.attributes.get_int("num_scan_inputs", 0)
        self._add(inputs, [self._origin(value) for value in given])
        self._visit(body)
        while self._add(inputs[:states], [self._origin(value) for value in outputs[:states]]):
            self._visit(body)
        self._add(node.outputs, [_VARYING.joined(self._origin(value)) for value in outputs])

    def _passed_on(self, node: ir.Node, output: ir.Value) -> _Origin:
        """The origin of an output of `node`: that of its data, or a source that starts here."""
        origin = self._origin_of_any(node.inputs)
        if node.domain != "":
            return self._start(node, Rank.ROW, origin.behind) if _is_new(origin) else origin
        if node.op_type in RANDOM:
            return self._start(node, Rank.CAST)
        if node.op_type in SHAPES:
            return _Origin(varies=origin.varies)
        if node.op_type in TRUTH or node.op_type in INDICES or self._drops_values(node, output):
            return origin.without_numbers()
        sources = self._origin_of_any(_data_of(node)).sources
        if sources:
            return _Origin(origin.varies, origin.is_data, sources)
        rank = self._rank_of_new(node) if origin.is_data else None
        behind = origin.without_numbers()
        return behind if rank is None else self._start(node, rank, behind.behind)

    def _drops_values(self, node: ir.Node, output: ir.Value) -> bool:
        """Whether `output` has indices, a mask or other whole numbers that do not stand for an activation."""
        if node.op_type in _ONLY_FIRST_OUTPUT and output.index() != 0:
            return True
        return node.op_type in ("Cast", "CastLike") and _is_float(output) is False and _is_float(node.inputs[0]) is True

    def _rank_of_new(self, node: ir.Node) -> Rank | None:
        """The rank of the source that `node` starts, whose inputs are integers of the data; None if it starts none."""
        if node.op_type == "Where":
            return Rank.CAST if all(_is_float(value) is not False for value in node.inputs[1:]) else None
        if node.op_type in INTEGER or node.op_type in CONTRACTIONS:
            return Rank.ROW
        if node.op_type not in _MAKES_FLOATS or _is_float(node.outputs[0]) is False:
            return None
        if node.op_type in GATHERS:
            return self._rank_of_row(node.inputs[0])
        return Rank.CAST if node.op_type in ("Cast", "CastLike") else Rank.ROW

    def _rank_of_row(self, table: ir.Value | None) -> Rank | None:
        if table is None or self._origin(table).is_data or _is_float(table) is False:
            return None
        return Rank.CAST if table.shape is not None and len(table.shape) < 2 else Rank.ROW


def _is_new(origin: _Origin) -> bool:
    """Whether a value depends on data, but on no source."""
    return origin.is_data and not origin.sources


def _data_of(node: ir.Node) -> Sequence[ir.Value | None]:
    """The inputs of `node` whose values it hands on: not the indices, the condition or the depth."""
    if node.op_type == "Where":
        return node.inputs[1:]
    if node.op_type in GATHERS or node.op_type == "DequantizeLinear":
        return node.inputs[:1]
    return () if node.op_type == "OneHot" else node.inputs


def _is_float(value: ir.Value | None) -> bool | None:
    """Whether `value` has floats; None where nothing tells its type."""
    if value is None:
        return False
    if value.dtype is not None:
        return value.dtype.is_floating_point()
    node = value.producer()
    if node is None or node.domain != "":
        return None
    if node.op_type == "Cast":
        return ir.DataType(node.attributes["to"].as_int()).is_floating_point()
    if node.op_type == "Constant":
        return _constant_is_float(node)
    if node.op_type in SHAPES - {"EyeLike", "ConstantOfShape"} or node.op_type in TRUTH or node.op_type in INDICES:
        return False
    return None


def _constant_is_float(node: ir.Node) -> bool:
    """Whether a Constant node holds floats."""
    ((name, attribute),) = node.attributes.items()
    return attribute.as_tensor().dtype.is_floating_point() if name == "value" else name.startswith("value_float")
