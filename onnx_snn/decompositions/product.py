# SPDX-License-Identifier: Apache-2.0
"""Products fused with what stands around them.

    FusedMatMul(a, b)         alpha * MatMul(a', b'), either one transposed where the attributes say so
    FusedGemm(a, b, c)        activation(Gemm(a, b, c))
    FusedConv(x, w, b, z)     activation(Conv(x, w, b) + z)

The activation is Relu, LeakyRelu, Tanh, Sigmoid, HardSigmoid or Clip.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported

_PARAMETERS: dict[str, tuple[str, ...]] = {
    "": (),
    "Relu": (),
    "Tanh": (),
    "Sigmoid": (),
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
}
"""Activations that take their parameters as attributes, in the order in which fused operators list them."""


def fused_mat_mul(op: FormulaBuilder) -> Outputs:
    """alpha * MatMul(a', b')."""
    attributes = op.node.attributes
    a, b = (
        _transposed(op, op.required(i), bool(attributes.get_int(f"trans{side}", 0)), f"transBatch{side}")
        for i, side in enumerate("AB")
    )
    product = op.MatMul(a, b)
    alpha = attributes.get_float("alpha", 1.0)
    return [product if alpha == 1.0 else op.Mul(product, alpha)]


def fused_gemm(op: FormulaBuilder) -> Outputs:
    """activation(Gemm(a, b, c))."""
    given = op.node.attributes
    kept = {name: given[name].value for name in ("alpha", "beta", "transA", "transB") if name in given}
    product = op.Gemm(op.required(0), op.required(1), op.input(2), **kept)
    parameters = [given.get_float(f"activation_{name}", 0.0) for name in ("alpha", "beta")]
    return [_activated(op, product, parameters)]


def fused_conv(op: FormulaBuilder) -> Outputs:
    """activation(Conv(x, w, b) + z)."""
    kept = {name: attribute.value for name, attribute in op.node.attributes.items() if "activation" not in name}
    product = op.Conv(op.required(0), op.required(1), op.input(2), **kept)
    added = op.input(3)
    total = product if added is None else op.Add(product, added)
    return [_activated(op, total, list(op.node.attributes.get_floats("activation_params", ())))]


def _transposed(op: FormulaBuilder, x: ir.Value, swap_last: bool, batch: str) -> ir.Value:
    """`x` with its axes in the order that MatMul takes."""
    moves_first = bool(op.node.attributes.get_int(batch, 0))
    if not (swap_last or moves_first):
        return x
    rank = op.rank(x)
    if rank < 2:
        return x
    order = [*range(1, rank - 1), 0, rank - 1] if moves_first else list(range(rank))
    if swap_last:
        order[-2:] = order[:-3:-1]
    return op.Transpose(x, perm=order)


def _activated(op: FormulaBuilder, x: ir.Value, parameters: Sequence[float]) -> ir.Value:
    activation = op.node.attributes.get_string("activation", "")
    if activation == "Clip" and len(parameters) == 2:
        return op.Clip(x, float(parameters[0]), float(parameters[1]))
    if activation not in _PARAMETERS or len(parameters) < len(_PARAMETERS[activation]):
        raise Unsupported(f"{op.node.op_type} with the activation {activation} and the parameters {list(parameters)}")
    values = dict(zip(_PARAMETERS[activation], parameters, strict=False))
    written: ir.Value = getattr(op, activation)(x, **values) if activation else x
    return written
