# SPDX-License-Identifier: Apache-2.0
"""GELU and its relatives, fused with a bias or a factor.

    BiasGelu(x, b)            Gelu(x + b)
    FastGelu(x, b)            Gelu(x + b), approximate="tanh"
    QuickGelu(x), Swish(x)    x * Sigmoid(alpha * x)

Rules match Gelu and FastGelu without a bias, QuickGelu with alpha 1.702, and Swish with alpha 1 or 1.702, as they are.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs
from onnx_snn.graph.domains import MICROSOFT

_NATIVE_OPSET = 20
"""First opset with the standard operator Gelu; before it, the operator of onnxruntime is used."""

_SWISH_OPSET = 24
"""Last opset at which onnxruntime runs Swish: it has no kernel, and inlines ONNX's function at this opset alone."""

_QUICK_ALPHA = 1.702
"""Default of the attribute `alpha` of QuickGelu, for which the registry has the function `gelu_quick`."""


def bias_gelu(op: FormulaBuilder) -> Outputs:
    """Gelu(x + b)."""
    return [gelu(op, op.Add(op.required(0), op.required(1)))]


def fast_gelu(op: FormulaBuilder) -> Outputs | None:
    """Tanh approximation of Gelu(x + b); None without a bias, which a rule matches."""
    bias = op.input(1)
    return None if bias is None else [gelu_tanh(op, op.Add(op.required(0), bias))]


def quick_gelu(op: FormulaBuilder) -> Outputs | None:
    """x * Sigmoid(alpha * x); None where alpha is that of `gelu_quick`, which a rule matches."""
    alpha = op.node.attributes.get_float("alpha", _QUICK_ALPHA)
    return None if math.isclose(alpha, _QUICK_ALPHA, rel_tol=1e-3) else [_swish(op, op.required(0), alpha)]


def swish(op: FormulaBuilder) -> Outputs | None:
    """x * Sigmoid(alpha * x); None where a rule matches this alpha and onnxruntime runs the operator."""
    alpha = op.node.attributes.get_float("alpha", 1.0)
    known = any(math.isclose(alpha, number, rel_tol=1e-3) for number in (1.0, _QUICK_ALPHA))
    return None if known and op.opset <= _SWISH_OPSET else [_swish(op, op.required(0), alpha)]


def gelu(op: FormulaBuilder, x: ir.Value) -> ir.Value:
    """The exact GELU of `x`."""
    return op.Gelu(x) if op.opset >= _NATIVE_OPSET else op.Gelu(x, domain=MICROSOFT)


def gelu_tanh(op: FormulaBuilder, x: ir.Value) -> ir.Value:
    """The tanh approximation of the GELU of `x`."""
    return op.Gelu(x, approximate="tanh") if op.opset >= _NATIVE_OPSET else op.FastGelu(x, domain=MICROSOFT)


def _swish(op: FormulaBuilder, x: ir.Value, alpha: float) -> ir.Value:
    return op.Mul(x, op.Sigmoid(x if alpha == 1.0 else op.Mul(x, alpha)))
