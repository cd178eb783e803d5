# SPDX-License-Identifier: Apache-2.0
"""Div by an activation as a product with its reciprocal, which a neuron computes.

Div(a, b)    a * Reciprocal(b)
"""

from __future__ import annotations

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs


def quotient(op: FormulaBuilder) -> Outputs:
    """a * Reciprocal(b)."""
    return [op.Mul(op.required(0), op.Reciprocal(op.required(1)))]
