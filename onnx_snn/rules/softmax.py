# SPDX-License-Identifier: Apache-2.0
"""Softmax over one axis.

    Softmax(x, axis)
    Exp(x - ReduceMax(x)) / ReduceSum(Exp(x - ReduceMax(x)))        with or without the maximum subtracted

Conditions: all reductions run over the same single axis and keep their dimensions, or get them back (`restored_axes`),
as in JAX, which also guards the maximum: Max(ReduceMax(x), -infinity); before opset 13
Softmax flattens the axes after its own, so that only the last axis is supported there. The NaN guard of causal
exports, Where(IsNaN(p), 0, p), is not part of the site: it does not change a probability.
"""

from __future__ import annotations

import math
from typing import Any

from onnx_snn.rules.reduction import from_end, reduced_axes
from onnx_snn.rules.restored_axes import Restore, as_it_is, restored, restored_axes
from onnx_snn.rules.rule import Match, NoMatch, Rule
from onnx_snn.rules.site import SoftmaxSite

_PER_AXIS_OPSET = 13
"""First opset whose Softmax normalizes over its axis alone."""


def _native(op: Any, x: Any) -> Any:
    return op.Softmax(x)


def _normalised(op: Any, e: Any, restore: Restore = as_it_is) -> Any:
    total = restore(op, op.ReduceSum(e, _allow_other_inputs=True))
    return op.either(op.Div(e, total), op.Mul(e, op.either(op.Reciprocal(total), op.Div(1, total))))


def _stable(op: Any, x: Any) -> Any:
    return _normalised(op, op.Exp(op.Sub(x, op.ReduceMax(x, _allow_other_inputs=True))))


def _plain(op: Any, x: Any) -> Any:
    return _normalised(op, op.Exp(x))


def _stable_restored(op: Any, x: Any) -> Any:
    largest = op.ReduceMax(x, _allow_other_inputs=True)
    guarded = op.either(largest, op.Max(largest, -math.inf))
    return _normalised(op, op.Exp(op.Sub(x, restored(op, guarded))), restored)


def _plain_restored(op: Any, x: Any) -> Any:
    return _normalised(op, op.Exp(x), restored)


def _native_site(match: Match) -> SoftmaxSite:
    per_axis = match.scope.opset >= _PER_AXIS_OPSET
    axis = from_end(match.root.attributes.get_int("axis", -1 if per_axis else 1), match.values["x"])
    if not per_axis and axis != -1:
        raise NoMatch(
            f"Softmax before opset 13 flattens all axes from its axis {axis} on; only the last axis is supported"
        )
    return SoftmaxSite(**match.fields, axis=axis)


def _decomposed_site(match: Match) -> SoftmaxSite:
    axes = {reduced_axes(node, match.values["x"]) for node in match.nodes if node.op_type.startswith("Reduce")}
    return SoftmaxSite(**match.fields, axis=_single(*sorted(axes)))


def _restored_site(match: Match) -> SoftmaxSite:
    return SoftmaxSite(**match.fields, axis=_single(restored_axes(match, match.values["x"])))


def _single(*found: tuple[int, ...]) -> int:
    """The one axis of all reductions, whose different axes are `found`."""
    if len(found) != 1 or len(*found) != 1:
        raise NoMatch(f"its reductions run over axes {list(found)}; a single axis is needed")
    return found[0][0]


RULES = (
    Rule("softmax", (_native,), _native_site),
    Rule("softmax_decomposed", (_stable, _plain), _decomposed_site),
    Rule("softmax_restored", (_stable_restored, _plain_restored), _restored_site),
)
