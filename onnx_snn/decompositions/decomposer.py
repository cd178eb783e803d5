# SPDX-License-Identifier: Apache-2.0
"""Expand: take functions and fused operators apart, so that recognition sees what is nonlinear in them.

Every node that is written carries the name of the node it stands for. Nothing else of the model is edited; the names
of the outputs stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import onnx_ir as ir

from onnx_snn.decompositions import EXPANSIONS
from onnx_snn.decompositions.builder import Constants, Names, Outputs, Unsupported, Writer
from onnx_snn.decompositions.function import inlined
from onnx_snn.decompositions.type_inference import annotate, is_low_precision
from onnx_snn.errors import ModelError
from onnx_snn.metadata import ORIGIN_KEY
from onnx_snn.neurons.opset import DOMAIN
from onnx_snn.rules.rule import name_of

MAX_DEPTH = 64
"""Calls within calls; functions that call themselves are no ONNX."""


@dataclass
class Expanded:
    """What was taken apart.

    Attributes:
        origins: names of the nodes that were.
        stay: nodes that could not be, and why.
    """

    origins: set[str] = field(default_factory=set)
    stay: dict[ir.Node, str] = field(default_factory=dict)


def origin_of(node: ir.Node) -> str | None:
    """Name of the original's node that `node` was written for; None where it is the original's own."""
    return node.metadata_props.get(ORIGIN_KEY)


def expand(model: ir.Model, held: Collection[str] = ()) -> Expanded:
    """Take apart, in place, every call of a function and every fused operator but those named in `held`.

    Raises:
        ModelError: functions call themselves.
    """
    expander = _Expander(model, held)
    expander.all(expander.called)
    fused = any((node.domain, node.op_type) in EXPANSIONS for node in model.graph.all_nodes())
    if fused or is_low_precision(model):
        annotate(model)
    if fused:
        expander.all(expander.written_out)
    expander.sweep()
    if fused:
        annotate(model)
    return expander.expanded


class _Expander:
    """Takes nodes of one model apart."""

    def __init__(self, model: ir.Model, held: Collection[str]) -> None:
        self.model, self.held = model, held
        self.expanded = Expanded()
        self._names = Names(model)
        self._constants = Constants(model, self._names)
        self._called: set[ir.OperatorIdentifier] = set()
        self._written: list[ir.Node] = []
        self._all_float32 = not is_low_precision(model)

    def all(self, write: Callable[[Writer], Outputs | None]) -> None:
        """Replace every node for which `write` gives other values, and then what was written, until nothing changes."""
        for _ in range(MAX_DEPTH):
            replaced = [self._replace(node, write) for node in list(self.model.graph.all_nodes())]
            if not any(replaced):
                return
        raise ModelError(f"functions of the model call each other more than {MAX_DEPTH} deep, or themselves")

    def called(self, op: Writer) -> Outputs | None:
        """The body of the function that the node calls."""
        identifier = op.node.op_identifier()
        function = self.model.functions.get(identifier)
        if function is None or function.domain == DOMAIN:
            return None
        outputs = inlined(op, function, self.model.opset_imports)
        self._called.add(identifier)
        for domain, version in function.opset_imports.items():
            self.model.opset_imports.setdefault(domain, version)
        return outputs

    def written_out(self, op: Writer) -> Outputs | None:
        """What the expansion of the operator writes."""
        if op.node.op_identifier() in self.model.functions:
            return None
        expansion = EXPANSIONS.get((op.node.domain, op.node.op_type))
        return None if expansion is None else expansion(op)

    def sweep(self) -> None:
        """Remove what nothing reads: written nodes, constants, and functions in the place of all their calls."""
        for node in reversed(self._written):
            if node.graph is not None and not any(out.uses() or out.is_graph_output() for out in node.outputs):
                node.graph.remove(node, safe=True)
        self._constants.sweep()
        while unused := self._called - self._used_functions():
            for identifier in unused:
                del self.model.functions[identifier]
            self._called -= unused

    def _used_functions(self) -> set[ir.OperatorIdentifier]:
        graphs: list[ir.Graph | ir.Function] = [self.model.graph, *self.model.functions.values()]
        return {node.op_identifier() for graph in graphs for node in graph.all_nodes()}

    def _replace(self, node: ir.Node, write: Callable[[Writer], Outputs | None]) -> bool:
        if node.graph is None or name_of(node) in self.held or node in self.expanded.stay:
            return False
        opset = self.model.opset_imports.get("", 1)
        writer = Writer(node, opset, self._names, self._constants, all_float32=self._all_float32)
        try:
            outputs = write(writer)
        except Unsupported as reason:
            self.expanded.stay[node] = str(reason)
            outputs = None
        if outputs is None:
            writer.discard()
            return False
        origin = origin_of(node) or name_of(node)
        self.expanded.origins.add(origin)
        replacements = self._replacements(writer, outputs)
        for written in _with_inner(writer.nodes):
            written.metadata_props[ORIGIN_KEY] = origin
        self._written += writer.nodes
        node.graph.insert_before(node, writer.nodes)
        for old, new in replacements:
            self._take_over(old, new)
        node.graph.remove(node, safe=True)
        return True

    def _replacements(self, writer: Writer, outputs: Outputs) -> list[tuple[ir.Value, ir.Value]]:
        """The outputs of the node that are read, each with a new value of its own."""
        fresh = {value for node in writer.nodes for value in node.outputs}
        pairs = []
        for old, new in zip(writer.node.outputs, outputs, strict=False):
            if new is None or not writer.wants(old.index() or 0):
                continue
            own = new if new in fresh else writer.Identity(new)
            fresh.discard(own)
            pairs.append((old, own))
        return pairs

    def _take_over(self, old: ir.Value, new: ir.Value) -> None:
        """Give `new` the name, type and readers of `old`."""
        new.shape, new.type, name = old.shape or new.shape, old.type or new.type, old.name
        old.name = self._names.free(f"{name}_expanded")
        new.name = name
        old.replace_all_uses_with(new, replace_graph_outputs=True)


def _with_inner(nodes: Iterable[ir.Node]) -> Iterable[ir.Node]:
    """`nodes` with those of their subgraphs."""
    for node in nodes:
        yield node
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from attribute.as_graph().all_nodes()
            elif attribute.type == ir.AttributeType.GRAPHS:
                yield from (inner for graph in attribute.as_graphs() for inner in graph.all_nodes())
