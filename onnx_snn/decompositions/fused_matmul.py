# SPDX-License-Identifier: Apache-2.0
"""Matmuls and convolutions that are fused with a scale, a sum or an activation.

    FusedMatMul(a, b)         alpha * MatMul(a', b'), each transposed as the attributes say
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
"""Parameters of the activations in fused operators, in their order, as attributes of the standard operators."""


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
    attributes = {name: given[name].value for name in ("alpha", "beta", "transA", "transB") if name in given}
    product = op.Gemm(op.required(0), op.required(1), op.input(2), **attributes)
    parameters = [given.get_float(f"activation_{name}", 0.0) for name in ("alpha", "beta")]
    return [_activated(op, product, parameters)]


def fused_conv(op: FormulaBuilder) -> Outputs:
    """activation(Conv(x, w, b) + z)."""
    attributes = {name: attribute.value for name, attribute in op.node.attributes.items() if "activation" not in name}
    product = op.Conv(op.required(0), op.required(1), op.input(2), **attributes)
    added = op.input(3)
    total = product if added is None else op.Add(product, added)
    return [_activated(op, total, list(op.node.attributes.get_floats("activation_params", ())))]


def _transposed(op: FormulaBuilder, x: ir.Value, swap_last: bool, batch: str) -> ir.Value:
    """`x` with its axes in the order of MatMul's operands.

    Args:
        op: builder of the nodes.
        x: operand of FusedMatMul.
        swap_last: whether its last two axes are swapped.
        batch: name of the attribute that tells whether its batch axes follow its first matrix axis.
    """
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
    """`x` after the activation that the node names."""
    activation = op.node.attributes.get_string("activation", "")
    if activation == "Clip" and len(parameters) == 2:
        return op.Clip(x, float(parameters[0]), float(parameters[1]))
    if activation not in _PARAMETERS or len(parameters) < len(_PARAMETERS[activation]):
        raise Unsupported(
            f"{op.node.op_type} with activation {activation!r} and parameters {list(parameters)} is not supported"
        )
    values = dict(zip(_PARAMETERS[activation], parameters, strict=False))
    activated: ir.Value = getattr(op, activation)(x, **values) if activation else x
    return activated
