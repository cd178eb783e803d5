# SPDX-License-Identifier: Apache-2.0
"""Decomposition of functions and fused operators, so that rules match the nonlinear parts inside them.

Every new node records the name of the node that it comes from. The rest of the model and the names of all outputs are
unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Target, Unsupported
from onnx_snn.decompositions.function import inlined
from onnx_snn.decompositions.registry import DECOMPOSITIONS, UNCLAIMED
from onnx_snn.decompositions.type_inference import annotate, has_cast_types
from onnx_snn.graph.subgraphs import graphs_in
from onnx_snn.graph.unique_names import make_names_unique
from onnx_snn.metadata import ORIGIN_KEY
from onnx_snn.neurons.opset import DOMAIN
from onnx_snn.rules.registered_function import is_registered
from onnx_snn.rules.rule import name_of


@dataclass
class Decomposed:
    """Result of `decompose`.

    Attributes:
        origins: names of the decomposed nodes.
        undecomposed: nodes that cannot be decomposed, with the reason.
    """

    origins: set[str] = field(default_factory=set)
    undecomposed: dict[ir.Node, str] = field(default_factory=dict)


def origin_of(node: ir.Node) -> str | None:
    """Name of the original node that `node` was decomposed from; None for a node of the original itself."""
    return node.metadata_props.get(ORIGIN_KEY)


def decompose(model: ir.Model, intact: Collection[str] = ()) -> Decomposed:
    """Decompose, in place, every call of a function and every fused operator except those named in `intact`.

    Args:
        model: the model. No function of it calls itself, which `load_model` checks.
        intact: names of nodes to leave in one piece.
    """
    decomposer = _Decomposer(model, intact)
    decomposer.replace_all(decomposer.function_body)
    make_names_unique(model)  # branches inside a function may share names
    fused = any((node.domain, node.op_type) in DECOMPOSITIONS for node in model.graph.all_nodes())
    if fused or has_cast_types(model):
        annotate(model)
    if fused:
        decomposer.replace_all(decomposer.fused_operator)
    decomposer.sweep()
    if fused:
        annotate(model)
    return decomposer.decomposed


def decompose_unclaimed(model: ir.Model, nodes: Collection[ir.Node]) -> Decomposed:
    """Decompose, in place, each of `nodes`, which no rule claims and whose operators `UNCLAIMED` has."""
    decomposer = _Decomposer(model, ())
    annotate(model)
    decomposer.replace_all(lambda op: UNCLAIMED[op.node.domain, op.node.op_type](op) if op.node in nodes else None)
    decomposer.sweep()
    annotate(model)
    return decomposer.decomposed


class _Decomposer:
    """Decomposes nodes of one model, in place."""

    def __init__(self, model: ir.Model, intact: Collection[str]) -> None:
        self.model, self.intact = model, intact
        self.decomposed = Decomposed()
        self._target = Target(model)
        self._called: set[ir.OperatorIdentifier] = set()
        self._added: list[ir.Node] = []

    def replace_all(self, write: Callable[[FormulaBuilder], Outputs | None]) -> None:
        """Replace every node for which `write` returns outputs, including nodes that `write` added itself."""
        replaced = True
        while replaced:
            replaced = False
            for node in list(self.model.graph.all_nodes()):
                replaced |= self._replace(node, write)

    def function_body(self, op: FormulaBuilder) -> Outputs | None:
        """Outputs of the inlined function that the node calls; None where it calls none, or one that is registered."""
        identifier = op.node.op_identifier()
        function = self.model.functions.get(identifier)
        if function is None or function.domain == DOMAIN or is_registered(op.node):
            return None
        outputs = inlined(op, function, self.model.opset_imports)
        self._called.add(identifier)
        for domain, version in function.opset_imports.items():
            self.model.opset_imports.setdefault(domain, version)
        return outputs

    def fused_operator(self, op: FormulaBuilder) -> Outputs | None:
        """Outputs of the decomposition of the node's operator; None where there is none."""
        if op.node.op_identifier() in self.model.functions:
            return None
        decomposition = DECOMPOSITIONS.get((op.node.domain, op.node.op_type))
        return None if decomposition is None else decomposition(op)

    def sweep(self) -> None:
        """Remove new nodes and constants without readers, and functions without calls."""
        for node in reversed(self._added):
            if node.graph is not None and not any(out.uses() or out.is_graph_output() for out in node.outputs):
                node.graph.remove(node, safe=True)
        self._target.constants.remove_unused()
        while unused := self._called - self._used_functions():
            for identifier in unused:
                del self.model.functions[identifier]
            self._called -= unused

    def _used_functions(self) -> set[ir.OperatorIdentifier]:
        graphs: list[ir.Graph | ir.Function] = [self.model.graph, *self.model.functions.values()]
        return {node.op_identifier() for graph in graphs for node in graph.all_nodes()}

    def _replace(self, node: ir.Node, write: Callable[[FormulaBuilder], Outputs | None]) -> bool:
        """Replace `node` by the nodes that `write` adds; return whether it did."""
        if node.graph is None or name_of(node) in self.intact or node in self.decomposed.undecomposed:
            return False
        builder = FormulaBuilder(node, self._target)
        try:
            outputs = write(builder)
        except Unsupported as reason:
            self.decomposed.undecomposed[node] = str(reason)
            outputs = None
        if outputs is None:
            builder.discard()
            return False
        self._insert(builder, outputs)
        return True

    def _insert(self, builder: FormulaBuilder, outputs: Outputs) -> None:
        """Replace the node of `builder` by the nodes of `builder`, and its outputs by `outputs`."""
        node = builder.node
        assert node.graph is not None, "a decomposed node is part of a graph"
        origin = origin_of(node) or name_of(node)
        self.decomposed.origins.add(origin)
        replacements = _replacements(builder, outputs)
        for added in _with_inner(builder.nodes):
            added.metadata_props[ORIGIN_KEY] = origin
        self._added += builder.nodes
        node.graph.insert_before(node, builder.nodes)
        for old, new in replacements:
            self._take_over(old, new)
        node.graph.remove(node, safe=True)

    def _take_over(self, old: ir.Value, new: ir.Value) -> None:
        """Give `new` the name, type and readers of `old`."""
        new.shape = new.shape if old.shape is None else old.shape
        new.type, name = old.type or new.type, old.name
        old.name = self._target.names.take(f"{name}_decomposed")
        new.name = name
        old.replace_all_uses_with(new, replace_graph_outputs=True)


def _replacements(builder: FormulaBuilder, outputs: Outputs) -> list[tuple[ir.Value, ir.Value]]:
    """Pairs of an output of the node that has readers and the distinct new value that replaces it."""
    fresh = {value for node in builder.nodes for value in node.outputs}
    pairs = []
    for old, new in zip(builder.node.outputs, outputs, strict=False):
        if new is None or not builder.wants(old.index() or 0):
            continue
        own = new if new in fresh else builder.Identity(new)
        fresh.discard(own)
        pairs.append((old, own))
    return pairs


def _with_inner(nodes: Iterable[ir.Node]) -> Iterable[ir.Node]:
    """`nodes` with those of their subgraphs."""
    for node in nodes:
        yield node
        for _, graph in graphs_in(node):
            yield from graph.all_nodes()
