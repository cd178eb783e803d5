# SPDX-License-Identifier: Apache-2.0
"""The body of a Scan as that of a Loop.

A Scan gives its body one element of each of its sequences; the body of a Loop reads it by the number of the iteration.
States and elements of the outputs are the same in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnx_snn.graph.node_builder import NodeBuilder
from onnx_snn.graph.unique_names import UniqueNames


class Scanned(NamedTuple):
    """A sequence that a Scan goes through.

    Attributes:
        value: the sequence.
        axis: the axis along which its elements lie.
        backward: whether the last element comes first.
    """

    value: ir.Value
    axis: int
    backward: bool


def into_loop_body(
    body: ir.Graph, states: Sequence[ir.Value], scanned: Sequence[Scanned], names: UniqueNames
) -> ir.Graph:
    """`body`, the body of a Scan, changed in place into that of a Loop.

    Args:
        body: takes the states and an element of each sequence, and returns the new states and elements of the outputs.
        states: the first states, whose types and shapes all states have.
        scanned: the sequences.
        names: names of the model.
    """
    inner_states, elements = body.inputs[: len(states)], body.inputs[len(states) :]
    for inner, state in zip(inner_states, states, strict=True):
        inner.type, inner.shape = inner.type or state.type, inner.shape or state.shape
    builder = NodeBuilder(names)
    iteration = ir.val(names.take(f"{body.name}/iteration"), dtype=ir.DataType.INT64, shape=[])
    goes_on = ir.val(names.take(f"{body.name}/condition"), dtype=ir.DataType.BOOL, shape=[])
    from_end = None
    if any(sequence.backward for sequence in scanned):
        last = builder.named(f"{body.name}/last", "Constant", [], {"value": ir.Tensor(np.array(-1, np.int64))})
        from_end = builder.named(f"{body.name}/from_end", "Sub", [last, iteration], dtype=ir.DataType.INT64)
    for element, sequence in zip(elements, scanned, strict=True):
        index = from_end if sequence.backward else iteration
        read = builder.named(f"{element.name}_read", "Gather", [sequence.value, index], {"axis": sequence.axis})
        read.type, read.shape = element.type or sequence.value.type, element.shape
        element.replace_all_uses_with(read, replace_graph_outputs=True)
    continued = builder.named(f"{body.name}/continued", "Identity", [goes_on], dtype=ir.DataType.BOOL)
    body.inputs[:] = [iteration, goes_on, *inner_states]
    body.outputs.insert(0, continued)
    nodes = list(body)
    if nodes:
        body.insert_before(nodes[0], builder.nodes)
    else:
        body.extend(builder.nodes)
    return body
