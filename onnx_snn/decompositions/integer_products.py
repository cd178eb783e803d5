# SPDX-License-Identifier: Apache-2.0
"""Products of 8-bit integers, of networks whose activations are quantized as they run.

    MatMulInteger(a, b, a_zero, b_zero)    MatMul(a - a_zero, b - b_zero)
    ConvInteger(x, w, x_zero, w_zero)      Conv(x - x_zero, w - w_zero)
    MatMulIntegerToFloat(a, b, ...)        MatMul(a - a_zero, b - b_zero) * (a_scale * b_scale) + bias
    DynamicQuantizeMatMul(a, b, ...)       the same, after DynamicQuantizeLinear(a)

Operands and products are whole numbers in float32, which are exact up to 2**24, so that every result is the one of the
integers. The rounding of activations stays where it was: the products then see at most 256 numbers, for which a code of
8 bits without any error exists.
"""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs
from onnx_snn.decompositions.quantization import whole_numbers


def mat_mul_integer(op: FormulaBuilder) -> Outputs:
    """MatMul(a - a_zero, b - b_zero)."""
    a = whole_numbers(op, op.required(0), op.input(2), axis=-2)
    b = whole_numbers(op, op.required(1), op.input(3))
    return [_whole(op, op.MatMul(a, b))]


def conv_integer(op: FormulaBuilder) -> Outputs:
    """Conv(x - x_zero, w - w_zero)."""
    attributes = {name: attribute.value for name, attribute in op.node.attributes.items()}
    x = whole_numbers(op, op.required(0), op.input(2))
    w = whole_numbers(op, op.required(1), op.input(3), axis=0)
    return [_whole(op, op.Conv(x, w, **attributes))]


def mat_mul_integer_to_float(op: FormulaBuilder) -> Outputs:
    """MatMul(a - a_zero, b - b_zero) * (a_scale * b_scale) + bias."""
    a = whole_numbers(op, op.required(0), op.input(4), axis=-2)
    return [_scaled_product(op, a, op.required(2), weights=op.required(1), scale=3, zero=5, bias=6)]


def dynamic_quantize_mat_mul(op: FormulaBuilder) -> Outputs:
    """The product of DynamicQuantizeLinear(a) with b, scaled."""
    types = (ir.DataType.UINT8, ir.DataType.FLOAT, ir.DataType.UINT8)
    rounded, scale, zero = op.several("DynamicQuantizeLinear", [op.required(0)], types)
    rounded.shape = op.required(0).shape
    a = whole_numbers(op, rounded, zero)
    return [_scaled_product(op, a, scale, weights=op.required(1), scale=2, zero=3, bias=4)]


def _scaled_product(
    op: FormulaBuilder, a: ir.Value, a_scale: ir.Value, *, weights: ir.Value, scale: int, zero: int, bias: int
) -> ir.Value:
    """The product of the whole numbers `a` with `weights`, times both scales, plus a bias if there is one.

    Args:
        op: builder of the nodes.
        a: the first operand, without its scale `a_scale`.
        a_scale: that scale.
        weights: the second operand.
        scale: index of its scale.
        zero: index of its zero point.
        bias: index of the bias.
    """
    product = op.MatMul(a, whole_numbers(op, weights, op.input(zero)))
    scaled = op.Mul(product, op.Mul(a_scale, op.required(scale)))
    summand = op.input(bias)
    return scaled if summand is None else op.Add(scaled, summand)


def _whole(op: FormulaBuilder, product: ir.Value) -> ir.Value:
    """`product` as int32, but as it is where it becomes floats anyway: cast at once, or after biases are added.

    A cast would cut off the fractions that inexact codes of the operands leave.
    """
    output = op.node.outputs[0]
    sums = [reader for reader in output.consumers() if reader.op_type == "Add" and not reader.domain]
    others = [reader for reader in output.consumers() if reader not in sums]
    read = [reader for each in sums for reader in each.outputs[0].consumers()]
    ends = [output, *(each.outputs[0] for each in sums)]
    if not all(map(_is_cast_to_float, (*others, *read))) or not (others or read) or any(map(_is_output, ends)):
        return op.Cast(op.Round(product), to=ir.DataType.INT32)
    for each in sums:
        for index, value in enumerate(each.inputs):
            if value is not output and value is not None:
                each.replace_input_with(index, op.Cast(value, to=ir.DataType.FLOAT))
    for end in ends:
        end.type = ir.TensorType(ir.DataType.FLOAT)
    return product


def _is_cast_to_float(node: ir.Node) -> bool:
    cast = node.op_type == "Cast" and not node.domain
    return cast and ir.DataType(node.attributes.get_int("to", 0)).is_floating_point()


def _is_output(value: ir.Value) -> bool:
    return value.is_graph_output()
