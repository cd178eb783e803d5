# SPDX-License-Identifier: Apache-2.0
"""Ranks of tensors that a model does not declare: inferred by onnxruntime, else observed in runs.

Rules count axes from the end. Behind a Reshape to a computed shape, or an operator that onnx does not know, no
inference tells the rank of a tensor, so that an axis counted from the front could be any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple, TypeAlias

import onnx_ir as ir

from onnx_snn.data.specs import Feed
from onnx_snn.decompositions.type_inference import annotate
from onnx_snn.graph.subgraphs import closed_around, places
from onnx_snn.runtime.tap_session import Observer


class Rank(NamedTuple):
    """What is found out about a tensor of unknown rank.

    Attributes:
        axes: number of its axes.
        dtype: its element type.
        declared: whether the model declares the element type.
    """

    axes: int
    dtype: ir.DataType
    declared: bool


Ranks: TypeAlias = Mapping[str, Rank]
"""Ranks of tensors by name."""

FEEDS = 16
"""Largest number of feeds on which ranks are observed: an If may take another branch in each."""

_CONTAINERS = ("Sequence", "Optional")
"""Parts of the names of operators whose outputs may be no tensors."""


def lacks_ranks(model: ir.Model) -> bool:
    """Whether a node that runs along some of its axes reads a tensor of unknown rank."""
    unknown = set(_unknown(model))
    return any(value in unknown for node in model.graph.all_nodes() if _has_axes(node) for value in node.inputs)


def inferred_ranks(model: ir.Model) -> Ranks:
    """The ranks that onnxruntime infers in the main graph for tensors of unknown rank; none if it rejects the model."""
    copy = _annotated(model)
    shapes = {value.name or "": value.shape for node in copy.graph for value in node.outputs}
    return _ranks(model, copy, {name: len(shape) for name, shape in shapes.items() if shape is not None})


def observed_ranks(model: ir.Model, feeds: Iterable[Feed]) -> Ranks:
    """The ranks of tensors of unknown rank in runs on the first of `feeds`.

    Raises:
        CalibrationError: a run fails.
        ModelError: onnxruntime does not accept the model.
    """
    copy, axes = _annotated(model), dict[str, int]()
    names = [str(value.name) for value in _unknown(copy)]
    observer = Observer(copy, names, shapes=True)
    for feed in islice(feeds, FEEDS):
        # Of a scalar, and in a branch that is not taken, the shape is empty; in a body there is one for each iteration.
        axes |= {name: shape.shape[-1] for name, shape in observer(feed).items() if shape.shape[-1]}
        if len(axes) == len(names):
            break
    return _ranks(model, copy, axes)


def set_ranks(model: ir.Model, ranks: Ranks) -> None:
    """Declare tensors of unknown rank that are in `ranks`, with axes of unknown sizes, in place."""
    for value in _unknown(model):
        rank = ranks.get(value.name or "")
        if rank is not None:
            value.type, value.shape = ir.TensorType(rank.dtype), ir.Shape([None] * rank.axes)


def forget_ranks(model: ir.Model, ranks: Ranks) -> None:
    """Undo `set_ranks` in place, also for the codes of these tensors: what one set of data showed is no declaration."""
    outputs = [value for graph in model.graphs() for node in graph for value in node.outputs]
    known = [(value.shape, rank) for value in outputs if (rank := ranks.get(value.name or "")) is not None]
    # A code has the very shape of the tensor that it codes.
    declared = {
        id(shape): rank.declared for shape, rank in known if shape is not None and not any(map(_is_known, shape))
    }
    for value in outputs:
        if id(value.shape) in declared:
            value.type = value.type if declared[id(value.shape)] else None
            value.shape = None


def _annotated(model: ir.Model) -> ir.Model:
    """A copy of `model` with the types and shapes that inference finds."""
    copy = model.clone()
    annotate(copy)
    return copy


def _ranks(model: ir.Model, annotated: ir.Model, axes: Mapping[str, int]) -> Ranks:
    """What is known about the tensors of unknown rank of `model` whose number of axes is in `axes`."""
    dtypes = {
        value.name: value.dtype
        for graph in annotated.graphs()
        for node in graph
        for value in node.outputs
        if value.name
    }
    return {
        name: Rank(axes[name], dtype, value.type is not None)
        for value in _unknown(model)
        if (name := str(value.name)) in axes and (dtype := dtypes[name]) is not None
    }


def _is_known(size: int | ir.SymbolicDim) -> bool:
    return isinstance(size, int) or size.value is not None


def _has_axes(node: ir.Node) -> bool:
    return "axis" in node.attributes or "axes" in node.attributes or node.op_type.startswith("Reduce")


def _unknown(model: ir.Model) -> Iterator[ir.Value]:
    """Named tensors of unknown rank, as far as they can be observed."""
    known = places(model)
    for graph in (model.graph, *model.graph.subgraphs()):
        if closed_around(graph, known) is None:
            for node in graph:
                yield from (value for value in node.outputs if value.name and _lacks_rank(value, node))


def _lacks_rank(value: ir.Value, node: ir.Node) -> bool:
    """Whether `value`, an output of `node`, is a tensor of unknown rank."""
    if value.shape is not None:
        return False
    if value.type is None:
        return not any(part in node.op_type for part in _CONTAINERS)
    return isinstance(value.type, ir.TensorType)
