# SPDX-License-Identifier: Apache-2.0
"""Cuts through a graph at one tensor, behind which it can run again without the nodes before.

In a network of layers nearly all work up to a layer goes through one tensor, the residual stream. If only nodes behind
it change between two runs, the second run can start at that tensor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

WEIGHTY = frozenset(("MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum"))
"""Operators that make up nearly all of the work."""


@dataclass(frozen=True)
class Cut:
    """A tensor at which a graph is cut.

    Attributes:
        tensor: name of the tensor.
        before: names of the tensors of the main graph that it depends on, itself included.
        saved: number of weighty nodes that do not run behind the cut.
    """

    tensor: str
    before: frozenset[str]
    saved: int


def cuts_of(graph: ir.Graph, outputs: Iterable[str], count: int) -> list[Cut]:
    """Up to `count` cuts of a graph that part its work about evenly, in the order of the work that they save.

    Args:
        graph: the main graph, in topological order.
        outputs: names of the tensors of the main graph that are to be computed.
        count: number of cuts.
    """
    produced = {str(value.name): node for node in graph for value in node.outputs if value.name}
    reads = _sources(graph)
    ends = [produced[name] for name in outputs if name in produced]
    work = _work(_behind(ends, reads, None))
    candidates = []
    for node in graph:
        if node.op_type in ("Add", "If", "Sum") and len(node.outputs) == 1:
            saved = work - _work(_behind(ends, reads, node))
            if 0 < saved < work:
                candidates.append((saved, node))
    chosen: dict[ir.Node, int] = {}
    for part in range(1, count + 1):
        fitting = [(saved, node) for saved, node in candidates if saved * (count + 1) <= part * work]
        if fitting:
            saved, node = max(fitting, key=lambda pair: pair[0])
            chosen[node] = saved
    return [
        Cut(
            str(node.outputs[0].name),
            frozenset(str(value.name) for each in _behind([node], reads, None) for value in each.outputs),
            saved,
        )
        for node, saved in chosen.items()
    ]


def cut_at(model: ir.Model, tensor: str, dtype: ir.DataType, outputs: Collection[str]) -> str:
    """Make the nodes that read `tensor` read a new input of the model in its place, and return the input's name.

    The model is changed in place: it has only the nodes that its new outputs need.

    Args:
        model: a model whose main graph computes `tensor`.
        tensor: name of the tensor.
        dtype: its element type.
        outputs: names of tensors of the main graph that become its outputs.
    """
    graph = model.graph
    produced = {str(value.name): value for node in graph for value in node.outputs}
    value = produced[tensor]
    start = ir.val(f"{tensor}.start", dtype=dtype)
    graph.outputs[:] = [produced[name] for name in outputs]
    value.replace_all_uses_with(start, replace_graph_outputs=True)
    graph.inputs.append(start)
    needed = _behind([node for node in graph if set(node.outputs) & set(graph.outputs)], _sources(graph), None)
    # Not the pass that removes unused nodes: what the subgraphs of a removed If read would count as used.
    graph.remove([node for node in graph if node not in needed])
    return str(start.name)


def _sources(graph: ir.Graph) -> dict[ir.Node, list[ir.Node]]:
    """For every node of the main graph the nodes whose outputs it reads, in its subgraphs too."""
    own = set(graph)
    return {node: [source for value in _reads(node) if (source := value.producer()) in own] for node in graph}


def _behind(ends: Iterable[ir.Node], reads: dict[ir.Node, list[ir.Node]], cut: ir.Node | None) -> set[ir.Node]:
    """The nodes that compute the outputs of `ends`, without `cut` and what only it needs."""
    found: set[ir.Node] = set()
    waiting = [node for node in ends if node is not cut]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += (source for source in reads[node] if source is not cut)
    return found


def _reads(node: ir.Node) -> Iterator[ir.Value]:
    """The values that a node reads, those that its subgraphs capture included."""
    yield from (value for value in node.inputs if value is not None)
    for inner in _inner(node):
        yield from (value for value in inner.inputs if value is not None)


def _inner(node: ir.Node) -> Iterator[ir.Node]:
    """All nodes in the subgraphs of a node."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield from attribute.as_graph().all_nodes()


def _work(nodes: Iterable[ir.Node]) -> int:
    """Number of weighty nodes, those in subgraphs included."""
    return sum(each.op_type in WEIGHTY for node in nodes for each in (node, *_inner(node)))
