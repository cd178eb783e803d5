# SPDX-License-Identifier: Apache-2.0
"""Declared shapes that a model cannot have: sizes below 0, and those that contradict what its nodes compute.

Exporters and later edits of a graph leave such shapes behind, and onnxruntime warns of them and runs the model. Here
they would mislead rules that read the rank of a tensor, and the converted file would not pass onnx's checker.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import onnx
import onnx_ir as ir

from onnx_snn.graph.external_weights import detach_weights, with_mapped_weights
from onnx_snn.graph.map_types import to_proto
from onnx_snn.graph.model_checks import checkable

INFERRED = "unk__"
"""Prefix of the names that onnx's shape inference gives to sizes that it does not know."""

logger = logging.getLogger(__name__)


def free_negative_sizes(model: ir.Model) -> None:
    """Make sizes below 0 unknown, in place: exporters write -1 for an axis of any size, and onnxruntime reads it so."""
    for graph in model.graphs():
        for value in (*graph.inputs, *(output for node in graph for output in node.outputs)):
            if value.shape is not None and any(isinstance(size, int) and size < 0 for size in value.shape):
                sizes = [None if isinstance(size, int) and size < 0 else size for size in value.shape]
                value.shape = ir.Shape(sizes)


def drop_contradicted_shapes(model: ir.Model, where: str) -> None:
    """Replace declared shapes that contradict what the nodes compute by inferred ones, in place, with a warning.

    Where a contradiction remains, such as in a subgraph, the shapes of all values that are no inputs or outputs of the
    model are dropped.

    Args:
        model: the model.
        where: its name in messages.
    """
    if is_consistent(model):
        return
    inferred = _inferred_shapes(model)
    for value in (output for node in model.graph for output in node.outputs):
        declared, computed = value.shape, inferred.get(value.name or "")
        if declared is not None and computed is not None and _contradict(declared, computed):
            logger.warning(
                "%s: %r is declared with shape %s, but its node computes %s; the declared shape is dropped",
                where,
                value.name,
                declared,
                computed,
            )
            value.shape = computed
    if is_consistent(model):
        return
    bare = model.clone()
    _drop_inner_shapes(bare)
    if is_consistent(bare):
        logger.warning("%s: declared shapes of inner values contradict what the nodes compute; all are dropped", where)
        _drop_inner_shapes(model)


def _drop_inner_shapes(model: ir.Model) -> None:
    """Drop the declared shapes of all values of `model` but its inputs and outputs."""
    for graph in model.graphs():
        for value in (output for node in graph for output in node.outputs):
            if not (graph is model.graph and value.is_graph_output()):
                value.shape = None


def is_consistent(model: ir.Model) -> bool:
    """Whether onnx's shape inference finds no contradiction in `model`."""
    try:
        onnx.shape_inference.infer_shapes(hollow(model), check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        logger.debug("shape inference: %s", error)
        return False
    return True


def _inferred_shapes(model: ir.Model) -> Mapping[str, ir.Shape]:
    """Shapes of values of the main graph that onnx infers from the inputs alone, by name."""
    proto = hollow(model)
    computed = {name for node in proto.graph.node for name in node.output}
    kept = [info for info in proto.graph.value_info if info.name not in computed]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(kept)
    for output in proto.graph.output:
        if output.name in computed and output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    graph = onnx.shape_inference.infer_shapes(proto).graph
    found = {}
    for info in (*graph.value_info, *graph.output):
        if info.type.HasField("tensor_type") and info.type.tensor_type.HasField("shape"):
            found[info.name] = ir.Shape([_size(dim) for dim in info.type.tensor_type.shape.dim])
    return found


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    """Size of an inferred axis, or its name if the model gave it one."""
    if dim.HasField("dim_value"):
        return dim.dim_value
    return None if dim.dim_param.startswith(INFERRED) else dim.dim_param or None


def hollow(model: ir.Model) -> onnx.ModelProto:
    """`model` with its large weights as inputs, as onnx is to see it."""
    copy = with_mapped_weights(model)
    detach_weights(copy)
    return checkable(to_proto(copy))


def _contradict(declared: ir.Shape, computed: ir.Shape) -> bool:
    """Whether the two shapes differ in rank or in the size of an axis that both know."""
    if len(declared) != len(computed):
        return True
    pairs = zip(declared, computed, strict=True)
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs)
