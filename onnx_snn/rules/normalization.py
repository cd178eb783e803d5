# SPDX-License-Identifier: Apache-2.0
"""Normalisation over one or more axes.

    layer_norm   (x - mean(x)) / Sqrt(mean((x - mean(x))**2) + epsilon) * gamma + beta
                 LayerNormalization
    rms_norm     x / Sqrt(mean(x**2) + epsilon) * gamma
                 RMSNormalization, SimplifiedLayerNormalization

where mean is ReduceMean. Conditions: the square as Pow or Mul; the quotient also as a product with
Reciprocal, 1 / Sqrt or Pow(-0.5); all means over the same axes; epsilon a constant; gamma and beta
constants of the rank of the normalised axes, which are the last ones (others remain nodes behind the site); the
optional outputs of the operators unused.
"""

from __future__ import annotations

from typing import Any, TypedDict

import onnx_ir as ir

from onnx_snn.graph.constants import scalar
from onnx_snn.graph.domains import MICROSOFT
from onnx_snn.graph.shapes import MAX_RANK
from onnx_snn.rules.notation import Formula
from onnx_snn.rules.reduction import from_end, reduced_axes
from onnx_snn.rules.rule import Match, NoMatch, Rule
from onnx_snn.rules.site import LayerNormSite, RmsNormSite

_EPSILON = 1e-5
"""Default of the attribute `epsilon` in ONNX."""


def _mean(op: Any, x: Any) -> Any:
    return op.ReduceMean(x, _allow_other_inputs=True)


def _over_root_mean_square(op: Any, x: Any, y: Any, epsilon: Any) -> Any:
    """x / Sqrt(mean(y()**2) + epsilon); `y` builds x once more, since some exporters compute it twice."""
    variance = op.Add(_mean(op, op.either(op.Pow(y(), 2), op.Mul(y(), y()))), epsilon)
    root = op.Sqrt(variance)
    inverse = op.either(op.Reciprocal(root), op.Div(1, root), op.Pow(variance, -0.5))
    return op.either(op.Div(x, root), op.Mul(x, inverse))


def _rms(op: Any, x: Any, epsilon: Any) -> Any:
    return _over_root_mean_square(op, x, lambda: x, epsilon)


def _layer(op: Any, x: Any, epsilon: Any) -> Any:
    def deviation() -> Any:
        return op.Sub(x, _mean(op, x))

    return _over_root_mean_square(op, deviation(), deviation, epsilon)


def _plain(normalised: Formula) -> Formula:
    def formula(op: Any, x: Any, epsilon: Any) -> Any:
        return normalised(op, x, epsilon)

    return formula


def _scaled(normalised: Formula) -> Formula:
    def formula(op: Any, x: Any, epsilon: Any, gamma: Any) -> Any:
        return op.Mul(normalised(op, x, epsilon), gamma)

    return formula


def _affine(normalised: Formula) -> Formula:
    def formula(op: Any, x: Any, epsilon: Any, gamma: Any, beta: Any) -> Any:
        return op.Add(op.Mul(normalised(op, x, epsilon), gamma), beta)

    return formula


def _operator(op_type: str, domain: str = "") -> Formula:
    def formula(op: Any, x: Any) -> Any:
        return getattr(op, op_type)(x, _domain=domain, _allow_other_inputs=True)

    return formula


def _native_layer_norm(match: Match) -> LayerNormSite:
    gamma, beta = _affine_inputs(match)
    return LayerNormSite(**match.fields, **_native_statistics(match), gamma=gamma, beta=beta)


def _native_rms_norm(match: Match) -> RmsNormSite:
    gamma, _ = _affine_inputs(match)
    return RmsNormSite(**match.fields, **_native_statistics(match), gamma=gamma)


def _decomposed_layer_norm(match: Match) -> LayerNormSite:
    gamma, beta = match.values.get("gamma"), match.values.get("beta")
    return LayerNormSite(**match.fields, **_decomposed_statistics(match, gamma, beta), gamma=gamma, beta=beta)


def _decomposed_rms_norm(match: Match) -> RmsNormSite:
    gamma = match.values.get("gamma")
    return RmsNormSite(**match.fields, **_decomposed_statistics(match, gamma), gamma=gamma)


class _Statistics(TypedDict):
    """Fields `axes` and `epsilon` of a `NormSite`."""

    axes: tuple[int, ...]
    epsilon: float


def _native_statistics(match: Match) -> _Statistics:
    attributes = match.root.attributes
    axis = from_end(attributes.get_int("axis", -1), match.values["x"])
    _require_from_end(axis)
    return {"axes": tuple(range(axis, 0)), "epsilon": attributes.get_float("epsilon", _EPSILON)}


def _affine_inputs(match: Match) -> tuple[ir.Value | None, ir.Value | None]:
    """The inputs gamma and beta of a native operator; None where absent."""
    gamma, beta = (*match.root.inputs[1:3], None, None)[:2]
    _require_constants(match, gamma, beta)
    return gamma, beta


def _decomposed_statistics(match: Match, *affine: ir.Value | None) -> _Statistics:
    """Axes and epsilon of a matched formula; `affine` are its gamma and beta, as far as it has them."""
    found = {reduced_axes(node, match.values["x"]) for node in match.all("ReduceMean")}
    if len(found) != 1:
        raise NoMatch(f"its means run over different axes {sorted(found)}; the same ones are needed")
    (axes,) = found
    _require_from_end(*axes)
    epsilon = scalar(match.values["epsilon"])
    if epsilon is None:
        raise NoMatch("its epsilon is not a scalar constant")
    if axes != tuple(range(-len(axes), 0)) and any(value is not None for value in affine):
        raise NoMatch(f"its scale or shift is not of its normalised axes {list(axes)} alone")
    _require_constants(match, *affine, rank=len(axes))
    return {"axes": axes, "epsilon": epsilon}


def _require_from_end(*axes: int) -> None:
    """Raise `NoMatch` unless all `axes` are counted from the end, and can be axes of a tensor."""
    if any(axis < -MAX_RANK for axis in axes):
        raise NoMatch(f"its axes {list(axes)} are none of a tensor")
    if any(axis >= 0 for axis in axes):
        raise NoMatch(f"its axes {list(axes)} cannot be counted from the end: the rank of its input is unknown")


def _require_constants(match: Match, *values: ir.Value | None, rank: int | None = None) -> None:
    """Raise `NoMatch` unless all `values` are constants, of `rank` axes where that is given."""
    for value in values:
        if value is None:
            continue
        if not match.scope.flow.is_constant(value):
            raise NoMatch(f"its scale or shift {value.name!r} is not a constant")
        if rank is not None and (value.shape is None or len(value.shape) != rank):
            raise NoMatch(f"its scale or shift {value.name!r} does not have the rank of the normalised axes")


RULES = (
    Rule("layer_norm", (_operator("LayerNormalization"),), _native_layer_norm),
    Rule(
        "rms_norm",
        (
            _operator("RMSNormalization"),
            _operator("SimplifiedLayerNormalization"),
            _operator("SimplifiedLayerNormalization", MICROSOFT),
        ),
        _native_rms_norm,
    ),
    # One rule for each form, so that the largest form that meets the conditions claims the nodes.
    *(Rule("layer_norm_decomposed", (form(_layer),), _decomposed_layer_norm) for form in (_affine, _scaled, _plain)),
    *(Rule("rms_norm_decomposed", (form(_rms),), _decomposed_rms_norm) for form in (_scaled, _plain)),
)
