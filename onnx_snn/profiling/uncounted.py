# SPDX-License-Identifier: Apache-2.0
"""Nodes that compute with activations and whose operations are not counted; profiles list them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnx_snn.formatting import SCREEN_WIDTH, shortened
from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.graph.domains import MICROSOFT
from onnx_snn.graph.operator_lists import operators
from onnx_snn.graph.subgraphs import unconditional_graphs
from onnx_snn.neurons.opset import DOMAIN
from onnx_snn.rules.rule import name_of

_FREE = operators(
    # moves and selects by position
    "Identity Cast CastLike Reshape Flatten Squeeze Unsqueeze Transpose Concat Split Slice Gather "
    "GatherElements GatherND ScatterElements ScatterND TensorScatter Expand Tile Pad Where Dropout Trilu "
    "DepthToSpace SpaceToDepth Compress ReverseSequence CenterCropPad "
    # changes a sign or looks at bits
    "Neg Abs Sign IsNaN IsInf Not And Or Xor "
    # reads a shape
    "Shape Size EyeLike "
    # control flow and containers, whose bodies are looked at on their own
    "If Loop Scan SequenceConstruct SequenceAt SequenceInsert SequenceEmpty SequenceLength "
    "ConcatFromSequence SplitToSequence Optional OptionalGetElement OptionalHasElement"
)
"""Standard operators without additions, multiplications or comparisons of their own."""

_QUANTIZED = {
    *(("", name) for name in operators("MatMulInteger ConvInteger QLinearMatMul QLinearConv")),
    *((MICROSOFT, name) for name in operators("MatMulIntegerToFloat QAttention QGemm")),
}
"""Operators on quantized integers: they compute with activations, though `ActivationFlow` calls only floats so."""

UNKNOWN = "operator without known counts"
"""Reason of an uncounted node: no table has the operation counts of its operator."""

SUBGRAPH = "in a subgraph"
"""Reason of an uncounted node: it lies in the branch of an If, which some runs take and others not."""

FUSED_ACTIVATION = "only its fused activation function"
"""Reason of a node whose product is counted, but not the activation function that is fused with it."""

NAMED = 4
"""Largest number of nodes of one operator whose names `note` prints."""


@dataclass(frozen=True)
class UncountedNode:
    """A node whose operations are counted in neither network.

    Attributes:
        node: name of the node.
        operator: op type of the node.
        reason: why its operations are not counted: `UNKNOWN`, `SUBGRAPH` or `FUSED_ACTIVATION`.
    """

    node: str
    operator: str
    reason: str


def uncounted_nodes(model: ir.Model, flow: ActivationFlow, counted: Collection[ir.Node]) -> tuple[UncountedNode, ...]:
    """The nodes of `model`, subgraphs included, that compute with activations and are not in `counted`.

    Args:
        model: the model; spiking nodes that always run are counted by their spikes.
        flow: classification of its values.
        counted: nodes whose operations are counted.
    """
    found, running = [], unconditional_graphs(model)
    for node in model.graph.all_nodes():
        reason = _reason(node, flow, node in counted, inside=node.graph not in running)
        if reason:
            found.append(UncountedNode(name_of(node), node.op_type, reason))
    return tuple(found)


def _reason(node: ir.Node, flow: ActivationFlow, counted: bool, *, inside: bool) -> str | None:
    """Why operations of `node` are not counted; None if they are counted, or if there are none."""
    if counted:
        return FUSED_ACTIVATION if node.attributes.get_string("activation", "") else None
    if not _computes(node, flow):
        return None
    if inside:
        return SUBGRAPH
    return None if node.domain == DOMAIN else UNKNOWN


def _computes(node: ir.Node, flow: ActivationFlow) -> bool:
    """Whether `node` computes with activations."""
    if node.domain == "" and node.op_type in _FREE:
        return False
    if (node.domain, node.op_type) in _QUANTIZED:
        return not all(flow.is_constant(value) for value in node.inputs if value is not None)
    return any(flow.is_activation(value) for value in (*node.inputs, *node.outputs))


def note(nodes: Sequence[UncountedNode]) -> str:
    """One line for a terminal that lists `nodes`; empty if there are none."""
    if not nodes:
        return ""
    groups = Counter((node.operator, node.reason) for node in nodes)
    parts = []
    for (operator, reason), count in groups.items():
        names = [node.node for node in nodes if (node.operator, node.reason) == (operator, reason)]
        named = shortened(names[:NAMED], SCREEN_WIDTH // 2)
        shown = ", ".join([*(named[name] for name in names[:NAMED]), *(["..."] if count > NAMED else [])])
        parts.append(f"{count} {operator} ({reason}: {shown})")
    return f"not counted in either network: {'; '.join(parts)}"
