# SPDX-License-Identifier: Apache-2.0
"""Reductions that drop their axes, which are restored before the result meets the tensor that was reduced.

    m = ReduceMean(x, axes, keepdims=0) -> Reshape or Unsqueeze (-> Expand)

JAX and TensorFlow write their reductions so: the Reshape goes to [batch, 1, feature], where the network computes
`batch`. Conditions: what is restored has size 1 along the reduced axes and the sizes of x along the others, and an
Expand changes nothing that x would not be broadcast against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir

from onnx_snn.graph.constants import constant
from onnx_snn.graph.propagated_shapes import Sizes
from onnx_snn.rules.reduction import axes_of
from onnx_snn.rules.rule import Match, NoMatch

Restore = Callable[[Any, Any], Any]
"""How a reduced value gets back the axes that were reduced: of the notation `op` and the value, a formula."""

_RESTORING = ("Reshape", "Unsqueeze")


def as_it_is(_: Any, value: Any) -> Any:
    """`value` of a reduction that keeps its axes."""
    return value


def restored(op: Any, value: Any) -> Any:
    """`value` behind a Reshape or an Unsqueeze, and perhaps an Expand."""
    shaped = op.either(*(getattr(op, op_type)(value, _allow_other_inputs=True) for op_type in _RESTORING))
    return op.either(shaped, op.Expand(shaped, _allow_other_inputs=True))


def restored_axes(match: Match, like: ir.Value) -> tuple[int, ...]:
    """The axes of all reductions of `match`, from the end, after the check that they are restored.

    Args:
        match: a match in which every reduction is `restored`.
        like: the tensor that was reduced.

    Raises:
        NoMatch: a reduction keeps its axes, they differ, or what is restored may have another shape.
    """
    shapes = match.scope.shapes
    sizes = shapes.get(like.name or "")
    if sizes is None:
        raise NoMatch(f"the rank of {like.name!r} is unknown, so that its dropped axes cannot be followed")
    reductions = [node for node in match.nodes if node.op_type.startswith("Reduce")]
    if any(node.attributes.get_int("keepdims", 1) for node in reductions):
        raise NoMatch("one of its reductions keeps the reduced axes, which are then restored once more")
    found = {tuple(sorted(_from_end(axis, len(sizes)) for axis in axes_of(node))) for node in reductions}
    if len(found) != 1:
        raise NoMatch(f"its reductions run over different axes {sorted(found)}; the same ones are needed")
    (axes,) = found
    wanted: Sizes = tuple(1 if axis - len(sizes) in axes else size for axis, size in enumerate(sizes))
    for node in match.nodes:
        if node.op_type in _RESTORING and not _restores(node, wanted, axes, shapes):
            raise NoMatch(f"{node.op_type} {node.name!r} may not restore its reduced axes {list(axes)}")
        if node.op_type == "Expand" and not _changes_nothing(node, sizes, shapes):
            raise NoMatch(f"Expand {node.name!r} may broadcast beyond the shape of {like.name!r}")
    return axes


def _from_end(axis: int, rank: int) -> int:
    return axis if axis < 0 else axis - rank


def _restores(node: ir.Node, wanted: Sizes, axes: tuple[int, ...], shapes: Mapping[str, Sizes]) -> bool:
    """Whether the output of `node` has the shape `wanted`: a Reshape keeps the number of elements."""
    if node.op_type == "Unsqueeze":
        inserted = constant(node.inputs[1]) if len(node.inputs) > 1 else None
        numbers = node.attributes.get_ints("axes", ()) if inserted is None else inserted.numpy().ravel().tolist()
        return tuple(sorted(_from_end(axis, len(wanted)) for axis in numbers)) == axes
    sizes = shapes.get(node.outputs[0].name or "")
    if sizes is None or len(sizes) != len(wanted):
        return False
    if any(sizes[axis] != 1 for axis in axes):
        return False
    return sum(size is None or size != needed for size, needed in zip(sizes, wanted, strict=True)) <= 1


def _changes_nothing(node: ir.Node, sizes: Sizes, shapes: Mapping[str, Sizes]) -> bool:
    """Whether `node`, an Expand, keeps the shape of its input, or expands it to sizes of the tensor at most."""
    source = node.inputs[0]
    shaped = None if source is None else source.producer()
    if shaped is not None and shaped.op_type == "Reshape" and shaped.inputs[1] is node.inputs[1]:
        return True
    before, after = (shapes.get(value.name or "") for value in (source, node.outputs[0]) if value is not None)
    if before is None or after is None or not len(before) == len(after) == len(sizes):
        return False
    return all(a is not None and a in (b, c) for b, a, c in zip(before, after, sizes, strict=True))
