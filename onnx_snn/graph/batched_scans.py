# SPDX-License-Identifier: Apache-2.0
"""Scan of opset 8, which goes through the sequences of a batch one after the other, as Loops.

The outer Loop goes over the batch, the inner one over the sequence. The outer one stacks what the inner one returns
along a new first axis, which is that of the batch.

    states [batch, ...]     sequences [batch, sequence, ...]     outputs [batch, sequence, ...]
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnx_snn.errors import ModelError
from onnx_snn.graph.node_builder import NodeBuilder
from onnx_snn.graph.scan_bodies import Scanned, into_loop_body
from onnx_snn.graph.subgraphs import graph_of
from onnx_snn.graph.unique_names import UniqueNames


def unbatch_scans(model: ir.Model, advice: str) -> None:
    """Replace every Scan of opset 8 in `model`, in place.

    Args:
        model: the model.
        advice: the start of messages.

    Raises:
        ModelError: the sequences of a batch have lengths of their own.
    """
    names = UniqueNames.of(model)
    for node in list(model.graph.all_nodes()):
        if node.domain == "" and node.op_type == "Scan":
            if node.inputs[0] is not None:
                raise ModelError(f"{advice}: its Scan {node.name!r} takes lengths of sequences")
            _unbatch(node, names)


def _unbatch(scan: ir.Node, names: UniqueNames) -> None:
    graph, name = graph_of(scan), scan.name or scan.outputs[0].name
    builder = NodeBuilder(names)
    sample = ir.val(names.take(f"{name}/sample"), dtype=ir.DataType.INT64, shape=[])
    goes_on = ir.val(names.take(f"{name}/condition"), dtype=ir.DataType.BOOL, shape=[])
    given = [value for value in scan.inputs[1:] if value is not None]
    own = [builder.named(f"{value.name}_sample", "Gather", [value, sample], {"axis": 0}) for value in given]
    for value, whole in zip(own, given, strict=True):
        value.type, value.shape = whole.type, None if whole.shape is None else ir.Shape(whole.shape[1:])
    states = own[: len(own) - scan.attributes.get_int("num_scan_inputs", 0)]
    sequences = own[len(states) :]
    backward = scan.attributes.get_ints("directions", [0] * len(sequences))
    scanned = [Scanned(value, 0, bool(each)) for value, each in zip(sequences, backward, strict=True)]
    body = into_loop_body(scan.attributes["body"].as_graph(), states, scanned, names)
    length = _size(builder, sequences[0], f"{name}/length")
    results = _loop(builder, length, states, body, names)
    continued = builder.named(f"{name}/continued", "Identity", [goes_on], dtype=ir.DataType.BOOL)
    outer = ir.Graph([sample, goes_on], [continued, *results], nodes=builder.nodes, name=names.take(f"{name}/samples"))
    around = NodeBuilder(names)
    stacked = _loop(around, _size(around, given[-1], f"{name}/batch"), [], outer, names)
    graph.insert_before(scan, around.nodes)
    for old, new in zip(scan.outputs, stacked, strict=False):
        new.type, new.shape, name = old.type, old.shape, old.name
        old.name, new.name = None, name
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(scan, safe=True)


def _size(builder: NodeBuilder, value: ir.Value, name: str) -> ir.Value:
    """The size of `value` along its first axis, int64."""
    shape = builder.named(f"{name}_shape", "Shape", [value], dtype=ir.DataType.INT64)
    first = builder.named(f"{name}_axis", "Constant", [], {"value": ir.Tensor(np.array(0, np.int64))})
    return builder.named(name, "Gather", [shape, first], {"axis": 0}, dtype=ir.DataType.INT64)


def _loop(
    builder: NodeBuilder, iterations: ir.Value, states: list[ir.Value], body: ir.Graph, names: UniqueNames
) -> list[ir.Value]:
    """The outputs of a Loop of `body`."""
    inner, always = body.outputs[1:], ir.Tensor(np.array(True))
    # A Loop has two inputs at least.
    condition = builder.named(f"{body.name}/always", "Constant", [], {"value": always}, dtype=ir.DataType.BOOL)
    results = builder.op_multi_out("Loop", [iterations, condition, *states], {"body": body}, num_outputs=len(inner))
    for value, inside in zip(results, inner, strict=True):
        value.name, value.type = names.take(f"{inside.name}_looped"), inside.type
    return list(results)
