# SPDX-License-Identifier: Apache-2.0
"""Normalizations as JAX and TensorFlow write them: by two moments, with the scale in the inverse deviation.

    layer_norm   (x - m) * (r * gamma) + beta                       Flax
                 x * (r * gamma) + (beta - m * (r * gamma))         Keras
                 r = 1 / Sqrt(v + epsilon),  v = mean((x - m)**2)  or  mean(x**2) - m**2  or  Max(mean(x**2) - m**2, 0)
    rms_norm     x * (r * gamma),            v = mean(x**2)

where mean is ReduceMean, ReduceSum times 1 / n or ReduceSum by n, and n is the size of the reduced axes.
Conditions: as in `normalization`, but the reductions may drop their axes, which are restored (`restored_axes`), and
gamma and beta may be of other axes than the last ones.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import onnx_ir as ir

from onnx_snn.graph.constants import scalar
from onnx_snn.rules.notation import CONSTANT_TOLERANCE, Formula
from onnx_snn.rules.reduction import reduced_axes
from onnx_snn.rules.restored_axes import Restore, as_it_is, restored, restored_axes
from onnx_snn.rules.rule import Match, NoMatch, Rule
from onnx_snn.rules.site import LayerNormSite, RmsNormSite


def _mean(op: Any, x: Any, count: Any) -> Any:
    total = op.ReduceSum(x, _allow_other_inputs=True)
    return op.either(op.ReduceMean(x, _allow_other_inputs=True), op.Mul(total, count), op.Div(total, count))


def _square(op: Any, x: Any) -> Any:
    return op.either(op.Mul(x, x), op.Pow(x, 2))


class _Parts(NamedTuple):
    """Parts of a formula: x - m and m with the axes of x, and r * gamma."""

    deviation: Any
    mean: Any
    factor: Any


def _inverse(op: Any, variance: Any, epsilon: Any) -> Any:
    shifted = op.Add(variance, epsilon)
    root = op.Sqrt(shifted)
    return op.either(op.Reciprocal(root), op.Div(1, root), op.Pow(shifted, -0.5))


def _parts(restore: Restore, op: Any, x: Any, epsilon: Any, gamma: Any, count: Any, squares: Any) -> _Parts:
    mean = _mean(op, x, count)
    full = restore(op, mean)
    deviation = op.Sub(x, full)
    difference = op.Sub(_mean(op, _square(op, x), squares), _square(op, mean))
    of_moments = op.either(difference, op.Max(difference, 0), op.Relu(difference))
    variance = restore(op, op.either(of_moments, _mean(op, _square(op, deviation), squares)))
    return _Parts(deviation, full, op.Mul(_inverse(op, variance, epsilon), gamma))


def _layer_forms(restore: Restore) -> tuple[Formula, ...]:
    """The formulas of a layer normalization, those with a shift first."""

    def keras(op: Any, x: Any, epsilon: Any, gamma: Any, beta: Any, count: Any, squares: Any) -> Any:
        _, mean, factor = _parts(restore, op, x, epsilon, gamma, count, squares)
        return op.Add(op.Mul(x, factor), op.Sub(beta, op.Mul(mean, factor)))

    def scaled(op: Any, x: Any, epsilon: Any, gamma: Any, count: Any, squares: Any) -> Any:
        deviation, _, factor = _parts(restore, op, x, epsilon, gamma, count, squares)
        return op.Mul(deviation, factor)

    def flax(op: Any, x: Any, epsilon: Any, gamma: Any, beta: Any, count: Any, squares: Any) -> Any:
        return op.Add(scaled(op, x, epsilon, gamma, count, squares), beta)

    return keras, flax, scaled


def _rms_form(restore: Restore) -> Formula:
    def formula(op: Any, x: Any, epsilon: Any, gamma: Any, squares: Any) -> Any:
        variance = restore(op, _mean(op, _square(op, x), squares))
        return op.Mul(x, op.Mul(_inverse(op, variance, epsilon), gamma))

    return formula


def _layer_site(match: Match) -> LayerNormSite:
    axes, gamma, beta = _axes(match), match.values["gamma"], match.values.get("beta")
    _require_affine(match, axes, gamma, beta)
    return LayerNormSite(**match.fields, axes=axes, epsilon=_epsilon(match), gamma=gamma, beta=beta)


def _rms_site(match: Match) -> RmsNormSite:
    axes, gamma = _axes(match), match.values["gamma"]
    _require_affine(match, axes, gamma)
    return RmsNormSite(**match.fields, axes=axes, epsilon=_epsilon(match), gamma=gamma)


def _axes(match: Match) -> tuple[int, ...]:
    """The axes that all means run over, whose sums are divided by the number of their elements."""
    x, reductions = match.values["x"], [node for node in match.nodes if node.op_type.startswith("Reduce")]
    if reductions[0].attributes.get_int("keepdims", 1):
        found = {reduced_axes(node, x) for node in reductions}
        if len(found) != 1:
            raise NoMatch(f"its means run over different axes {sorted(found)}; the same ones are needed")
        (axes,) = found
    else:
        axes = restored_axes(match, x)
    if any(axis >= 0 for axis in axes):
        raise NoMatch(f"its axes {list(axes)} cannot be counted from the end: the rank of its input is unknown")
    counts = [match.values[name] for name in ("count", "squares") if name in match.values]
    for count in filter(None, counts):
        _require_count(match, count, _sizes(match, axes))
    return axes


def _sizes(match: Match, axes: tuple[int, ...]) -> list[int]:
    """The fixed sizes of x along `axes`."""
    x = match.values["x"]
    sizes = match.scope.shapes.get(x.name or "", ())
    found = [sizes[axis] for axis in axes if -axis <= len(sizes)]
    numbers = [size for size in found if isinstance(size, int)]
    if len(numbers) != len(axes):
        raise NoMatch(f"the sizes of {x.name!r} along its axes {list(axes)} are unknown")
    return numbers


def _require_count(match: Match, count: ir.Value, sizes: list[int]) -> None:
    """Raise `NoMatch` unless sums over axes of `sizes` are divided by their product."""
    number, elements = scalar(count), float(math.prod(sizes))
    by = {node.op_type for node in count.consumers() if node in match.nodes}
    if number is not None and by == {"Mul"}:
        number = 1.0 / number if number else None
    if number is None or len(by) != 1 or not math.isclose(number, elements, rel_tol=CONSTANT_TOLERANCE):
        raise NoMatch(f"its sums over {elements:g} elements are not divided by their number: they are no means")


def _epsilon(match: Match) -> float:
    epsilon = scalar(match.values["epsilon"])
    if epsilon is None:
        raise NoMatch("its epsilon is not a scalar constant")
    return epsilon


def _require_affine(match: Match, axes: tuple[int, ...], *values: ir.Value | None) -> None:
    """Raise `NoMatch` unless `values` are constants with an element for each place along `axes`, or with one."""
    for value in values:
        if value is None:
            continue
        if not match.scope.flow.is_constant(value):
            raise NoMatch(f"its scale or shift {value.name!r} is not a constant")
        shape = [size for size in value.shape or () if isinstance(size, int)]
        along = [shape[axis] if -axis <= len(shape) else 1 for axis in axes]
        if value.shape is None or len(shape) < len(value.shape) or math.prod(shape) != math.prod(along):
            raise NoMatch(f"its scale or shift {value.name!r} is not of its normalised axes {list(axes)} alone")
        if set(along) != {1} and along != _sizes(match, axes):
            raise NoMatch(f"its scale or shift {value.name!r} is the same along one of its normalised axes")


RULES = tuple(
    rule
    for restore in (restored, as_it_is)
    for rule in (
        *(Rule("layer_norm_of_moments", (formula,), _layer_site) for formula in _layer_forms(restore)),
        Rule("rms_norm_of_moments", (_rms_form(restore),), _rms_site),
    )
)
