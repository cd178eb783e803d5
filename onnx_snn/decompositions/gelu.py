# SPDX-License-Identifier: Apache-2.0
"""GELU and its relatives, fused with a bias or a factor.

    BiasGelu(x, b)            Gelu(x + b)
    FastGelu(x, b)            Gelu(x + b), approximate="tanh"
    QuickGelu(x), Swish(x)    x * Sigmoid(alpha * x)

Gelu and FastGelu without a bias, and an alpha of 1.702 (or 1 of Swish), are recognised as they are.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs
from onnx_snn.graph.domains import MICROSOFT

_NATIVE_OPSET = 20
"""From here on Gelu is a standard operator; before, onnxruntime's own stands for it."""

_SWISH_OPSET = 24
"""onnxruntime has no kernel for Swish; it puts ONNX's function in its place at this opset, and at no later one."""

_QUICK_ALPHA = 1.702


def bias_gelu(op: FormulaBuilder) -> Outputs:
    """Gelu(x + b)."""
    return [gelu(op, op.Add(op.required(0), op.required(1)))]


def fast_gelu(op: FormulaBuilder) -> Outputs | None:
    """Gelu(x + b) by Tanh."""
    bias = op.input(1)
    return None if bias is None else [gelu_tanh(op, op.Add(op.required(0), bias))]


def quick_gelu(op: FormulaBuilder) -> Outputs | None:
    """x * Sigmoid(alpha * x), unless alpha is the one of `gelu_quick`."""
    alpha = op.node.attributes.get_float("alpha", _QUICK_ALPHA)
    return None if math.isclose(alpha, _QUICK_ALPHA, rel_tol=1e-3) else [_swish(op, op.required(0), alpha)]


def swish(op: FormulaBuilder) -> Outputs | None:
    """x * Sigmoid(alpha * x), unless a rule knows alpha and onnxruntime the operator."""
    alpha = op.node.attributes.get_float("alpha", 1.0)
    known = any(math.isclose(alpha, number, rel_tol=1e-3) for number in (1.0, _QUICK_ALPHA))
    return None if known and op.opset <= _SWISH_OPSET else [_swish(op, op.required(0), alpha)]


def gelu(op: FormulaBuilder, x: ir.Value) -> ir.Value:
    """The exact GELU of `x`."""
    return op.Gelu(x) if op.opset >= _NATIVE_OPSET else op.Gelu(x, domain=MICROSOFT)


def gelu_tanh(op: FormulaBuilder, x: ir.Value) -> ir.Value:
    """The GELU of `x` by Tanh."""
    return op.Gelu(x, approximate="tanh") if op.opset >= _NATIVE_OPSET else op.FastGelu(x, domain=MICROSOFT)


def _swish(op: FormulaBuilder, x: ir.Value, alpha: float) -> ir.Value:
    return op.Mul(x, op.Sigmoid(x if alpha == 1.0 else op.Mul(x, alpha)))
