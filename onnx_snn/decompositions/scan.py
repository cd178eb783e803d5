# SPDX-License-Identifier: Apache-2.0
"""Scan as a Loop, whose body may hold spiking nodes.

onnxruntime's Scan needs the shapes of all that its body returns, which a spiking node hides from it; its Loop does not.
A Loop stacks the elements of an output along a new first axis, which then goes where the Scan puts it.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs
from onnx_snn.decompositions.recurrence import reversed_sequence
from onnx_snn.graph.scan_bodies import Scanned, into_loop_body


def scan(op: FormulaBuilder) -> Outputs:
    """The last states and the outputs of a Scan of opset 9 or later.

    Raises:
        Unsupported: the elements of an output are stacked along another axis than the first, and its rank is unknown.
    """
    node, body = op.node, op.node.attributes["body"].as_graph()
    count = node.attributes.get_int("num_scan_inputs", 0)
    states = [op.required(i) for i in range(len(node.inputs) - count)]
    values = [op.required(len(states) + i) for i in range(count)]
    axes, backward = _options(op, "scan_input", count)
    scanned = [Scanned(*each) for each in zip(values, axes, map(bool, backward), strict=True)]
    stacked = len(body.outputs) - len(states)
    axes, backward = _options(op, "scan_output", stacked)
    orders = [_order(op, len(states) + i, axis) for i, axis in enumerate(axes)]
    iterations = op.Gather(op.Shape(values[0]), scanned[0].axis, axis=0)
    outputs = list(op.repeat(into_loop_body(body, states, scanned, op.names), states, iterations))
    for i, order in enumerate(orders):
        place = len(states) + i
        if backward[i]:
            outputs[place] = reversed_sequence(op, outputs[place])
        if order:
            outputs[place] = op.Transpose(outputs[place], perm=order)
    return outputs


def _options(op: FormulaBuilder, kind: str, count: int) -> tuple[Sequence[int], Sequence[int]]:
    """Axes and directions of the sequences of `kind`, of which there are `count`."""
    none = [0] * count
    given = op.node.attributes
    return given.get_ints(f"{kind}_axes", none), given.get_ints(f"{kind}_directions", none)


def _order(op: FormulaBuilder, output: int, axis: int) -> Sequence[int]:
    """The axes of output `output` among those of stacked elements; none where `axis`, theirs, is first."""
    if axis == 0:
        return ()
    rank = op.rank(op.node.outputs[output])
    axis %= rank
    return (*range(1, axis + 1), 0, *range(axis + 1, rank)) if axis else ()
