# SPDX-License-Identifier: Apache-2.0
"""How a rule is written and matched.

A rule is a formula over ONNX operators, in the notation of onnxscript's pattern engine:

    def silu(op, x):
        return op.Mul(x, op.Sigmoid(x))

`x` is the activation. Add, Mul, Max and Min match in either order of their operands, `op.either(a, b)`
matches any of its arguments, and a number matches a constant of one element near it. What a formula cannot
say is checked by a function that raises `NoMatch` with the reason. Matching never edits the graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript.rewriter import pattern

from onnx_snn.passes.activations import ActivationFlow
from onnx_snn.rules.site import Kind, Site

Formula = Callable[..., Any]
Parameters = Mapping[str, Any]

CONSTANT_TOLERANCE = 5e-4
"""Relative error that a constant of a formula may have: float16 rounds 0.044715 and sqrt(2 / pi) this far."""

_COMMUTATIVE = frozenset(("Add", "Mul", "Max", "Min"))
_CONSTANT_WRAPPERS = frozenset(("Identity", "Cast", "CastLike"))
"""Exporters put these between a shared or retyped constant and its use."""


class NoMatch(Exception):
    """The formula fits but a condition does not; the message says why, for the user to read."""


@dataclass(frozen=True)
class Refusal:
    """Nodes that fit a rule's formula, and why they are no site all the same."""

    nodes: tuple[ir.Node, ...]
    reason: str


@dataclass
class Scope:
    """What a rule may look at besides the node: the model, its activations and the sites found so far."""

    model: ir.Model
    flow: ActivationFlow
    sites: dict[ir.Value, Site] = field(default_factory=dict)

    @cached_property
    def opset(self) -> int:
        """Version of the standard operators."""
        return self.model.opset_imports.get("", 1)


@dataclass(frozen=True)
class Match:
    """A formula found in the graph: the nodes in graph order and the values its variables stand for."""

    scope: Scope
    nodes: tuple[ir.Node, ...]
    values: Mapping[str, ir.Value]

    @property
    def root(self) -> ir.Node:
        """The last node."""
        return self.nodes[-1]

    def all(self, op_type: str) -> list[ir.Node]:
        """The matched nodes of one operator."""
        return [node for node in self.nodes if node.op_type == op_type]


def no_parameters(_: Match) -> Parameters:
    """The check of a rule that has nothing to check."""
    return {}


@dataclass(frozen=True)
class Rule:
    """Formulas that compute one thing.

    Attributes:
        name: Shown in reports.
        formulas: What matches; the first parameter after `op` is the activation `x`.
        kind: Kind of the sites.
        function: Name in the function registry, or how to read it from a match.
        parameters: Reads the site's parameters from a match, raises `NoMatch` where a condition fails.
    """

    name: str
    formulas: tuple[Formula, ...]
    kind: Kind = Kind.FUNCTION
    function: str | Callable[[Match], str] | None = None
    parameters: Callable[[Match], Parameters] = no_parameters

    @cached_property
    def _patterns(self) -> dict[str, list[pattern.Pattern]]:
        """By operator of the last node."""
        patterns: dict[str, list[pattern.Pattern]] = {}
        for formula in self.formulas:
            for root, compiled in _compile(formula):
                patterns.setdefault(root, []).append(compiled)
        return patterns

    def match(self, node: ir.Node, scope: Scope) -> Site | Refusal | None:
        """The site that ends at `node`, a refusal where a formula fits but a condition does not, or None."""
        for compiled in self._patterns.get(node.op_type, ()):
            # The matcher takes the graph only to stay inside it.
            graph = node.graph or scope.model.graph
            result = compiled.match(scope.model, graph, node, check_nodes_are_removable=False)
            if result and scope.flow.is_activation(result.bindings["x"]):
                match = Match(scope, _in_graph_order(result.nodes, node), result.bindings)
                try:
                    return self._site(match)
                except NoMatch as reason:
                    return Refusal(match.nodes, str(reason))
        return None

    def _site(self, match: Match) -> Site:
        _require_private(match.nodes)
        function = self.function(match) if callable(self.function) else self.function
        return Site(
            kind=self.kind,
            name=name_of(match.root),
            nodes=match.nodes,
            inputs=(match.values["x"],),
            output=match.root.outputs[0],
            function=function,
            parameters=self.parameters(match),
            rule=self.name,
        )


def name_of(node: ir.Node) -> str:
    """Name of a node, or of its first output where it has none."""
    return node.name or node.outputs[0].name or node.op_type


def constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor that `value` always holds, also behind Identity and Cast, or None."""
    while value is not None and value.const_value is None:
        producer = value.producer()
        if producer is None or producer.domain != "":
            return None
        if producer.op_type == "Constant":
            return _tensor_of(producer)
        if producer.op_type not in _CONSTANT_WRAPPERS:
            return None
        value = producer.inputs[0]
    return None if value is None else value.const_value


def _tensor_of(node: ir.Node) -> ir.TensorProtocol | None:
    """What a Constant node holds, unless it is sparse or text.

    `ir.convenience.get_const_tensor` would give the tensor of the node a name, which is an edit.
    """
    for name, attribute in node.attributes.items():
        if name == "value":
            return attribute.as_tensor()
        if name in ("value_float", "value_floats"):
            return ir.tensor(np.asarray(attribute.value, np.float32))
        if name in ("value_int", "value_ints"):
            return ir.tensor(np.asarray(attribute.value, np.int64))
    return None


def scalar(value: ir.Value | None) -> float | None:
    """The one number that `value` always holds, or None."""
    tensor = constant(value)
    # A higher rank would raise the rank of the result: the formula is not elementwise any more.
    if tensor is None or tensor.size != 1 or len(tensor.shape) > 1 or tensor.dtype is ir.DataType.STRING:
        return None
    return float(tensor.numpy().item())


class _Matcher(pattern.SimplePatternMatcher):
    """The engine's matcher, with constants also of shape [1], of Constant nodes, behind Identity and Cast."""

    def _match_constant(self, pattern_constant: Any, value: ir.Value) -> bool:
        number = scalar(value)
        if number is None or not math.isclose(number, pattern_constant.value, rel_tol=CONSTANT_TOLERANCE):
            return bool(self.fail(f"{value.name} is not the constant {pattern_constant.value}"))
        return True


class _Notation:
    """The `op` that a formula sees: the engine's, with commutative operators and alternatives."""

    def __init__(self, op: Any) -> None:
        self._op = op
        self._alternatives: dict[Any, list[Any]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        build: Callable[..., Any] = getattr(self._op, name)
        if name not in _COMMUTATIVE:
            return build
        return lambda a, b: self.either(build(a, b), build(b, a))

    def either(self, *values: Any) -> Any:
        """Whatever matches one of `values`."""
        flat = [alternative for value in values for alternative in self.alternatives(value)]
        choice = pattern.OrValue(flat)
        self._alternatives[choice] = flat
        return choice

    def alternatives(self, value: Any) -> list[Any]:
        """What `value` may be: itself, unless it is a choice."""
        return self._alternatives.get(value, [value])


def _compile(formula: Formula) -> Iterator[tuple[str, pattern.Pattern]]:
    """The operator of the last node and a pattern, for each alternative of that node.

    The engine starts from one given node, so that a choice is not allowed there.
    """
    chosen = 0
    roots: list[str] = []

    @wraps(formula)
    def alternative(op: Any, *variables: Any) -> Any:
        notation = _Notation(op)
        choices = notation.alternatives(formula(notation, *variables))
        roots[:] = [choice.producer().op_type for choice in choices]
        return choices[chosen]

    while not roots or chosen < len(roots):
        compiled = pattern.Pattern(alternative, matcher=_Matcher, name=formula.__name__)
        yield roots[chosen], compiled
        chosen += 1


def _in_graph_order(nodes: Collection[ir.Node], root: ir.Node) -> tuple[ir.Node, ...]:
    """The distinct `nodes`, producers first, `root` last."""
    ordered: dict[ir.Node, None] = {}

    def visit(node: ir.Node) -> None:
        for predecessor in node.predecessors():
            if predecessor in nodes and predecessor not in ordered:
                visit(predecessor)
        ordered[node] = None

    visit(root)
    return tuple(ordered)


def _require_private(nodes: tuple[ir.Node, ...]) -> None:
    """Raise `NoMatch` where a value inside the match is needed outside it."""
    for node in nodes:
        for value in node.outputs:
            if node is nodes[-1] and value.index() == 0:
                continue
            if value.is_graph_output() or any(user not in nodes for user in value.consumers()):
                raise NoMatch(f"its inner value {value.name!r} is also used elsewhere")
