# SPDX-License-Identifier: Apache-2.0
"""Operators between tensors of 8 bits with static scales, in floats.

Products are those of whole numbers, which are then scaled and rounded as onnxruntime does. Other operators dequantize,
compute in floats and quantize.

    QLinearMatMul   QLinearConv   QGemm
    QLinearAdd      QLinearMul    QLinearSigmoid   QLinearLeakyRelu      QLinearSoftmax
    QLinearConcat   QLinearWhere  QLinearAveragePool  QLinearGlobalAveragePool
    QAttention      QEmbedLayerNormalization       the operator of floats, which is decomposed in turn

Results of the other operators, in the QDQ format, differ where a rounding is on the verge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported
from onnx_snn.decompositions.quantization import along, dequantized, floats_of, is_single, quantized, whole_numbers
from onnx_snn.graph.domains import MICROSOFT

_SINGLE_AXIS_OPSET = 13
"""First opset whose Softmax normalizes a single axis; before it, all axes from the given one on."""

_ATTENTION = ("num_heads", "unidirectional", "mask_filter_value", "scale", "do_rotary", "past_present_share_buffer")
"""Attributes that QAttention shares with Attention."""


def q_linear_mat_mul(op: FormulaBuilder) -> Outputs:
    """MatMul(a, b), with a scale for a row of a or a column of b."""
    a = whole_numbers(op, op.required(0), op.input(2), axis=-2)
    product = op.MatMul(a, whole_numbers(op, op.required(3), op.input(5)))
    row = along(op, _single_precision(op, 1), a, -2)
    return [_requantized(op, product, op.Mul(row, _single_precision(op, 4)), 6)]


def q_linear_conv(op: FormulaBuilder) -> Outputs:
    """Conv(x, w) + b, whose bias is in steps of x_scale * w_scale."""
    attributes = _attributes(op, "channels_last")
    x, w = whole_numbers(op, op.required(0), op.input(2)), whole_numbers(op, op.required(3), op.input(5), axis=0)
    bias, w_scale = _whole_bias(op, 8), op.required(4)
    if not is_single(w_scale):
        w_scale = op.Reshape(w_scale, [-1, *[1] * (op.rank(op.required(3)) - 2)])
    step = op.Mul(op.required(1), w_scale)

    def convolved(x: ir.Value) -> ir.Value:
        return _requantized(op, op.Conv(x, w, bias, **attributes), step, 6)

    return [_channels_first(op, x, convolved)]


def q_gemm(op: FormulaBuilder) -> Outputs:
    """alpha * (a @ b + c), whose c is in steps of a_scale * b_scale; a float where no scale of the output is given."""
    attributes = _attributes(op, "alpha")
    b_axis = 0 if op.node.attributes.get_int("transB", 0) else 1
    a, b = whole_numbers(op, op.required(0), op.input(2)), whole_numbers(op, op.required(3), op.input(5), axis=b_axis)
    product = op.Gemm(a, b, _whole_bias(op, 6), **attributes)
    step = op.Mul(op.Mul(op.required(1), op.required(4)), op.node.attributes.get_float("alpha", 1.0))
    return [op.Mul(product, step) if op.input(7) is None else _requantized(op, product, step, 7)]


def _whole_bias(op: FormulaBuilder, index: int) -> ir.Value | None:
    """Input `index` of the node, whole numbers, as floats; None where it is absent."""
    bias = op.input(index)
    return None if bias is None else op.Cast(bias, to=ir.DataType.FLOAT)


def _requantized(op: FormulaBuilder, product: ir.Value, step: ir.Value, scale: int) -> ir.Value:
    """`product`, in units of `step`, in those of input `scale` of the node, rounded as onnxruntime does."""
    ratio = op.Div(step, _single_precision(op, scale))
    return quantized(op, op.Mul(product, ratio), scale, op.required(0), in_steps=True)


def _single_precision(op: FormulaBuilder, index: int) -> ir.Value:
    """The scale that is input `index` of the node, as float32, in which products of whole numbers are exact."""
    scale = op.required(index)
    return scale if op.float_type(scale) is ir.DataType.FLOAT else op.Cast(scale, to=ir.DataType.FLOAT)


def q_attention(op: FormulaBuilder) -> Outputs:
    """com.microsoft.Attention of dequantized activations and weights."""
    x = floats_of(op, op.required(0), op.required(3), op.input(6))
    w = floats_of(op, op.required(1), op.required(4), op.input(7))
    given = op.node.attributes
    attributes = {name: given[name].value for name in _ATTENTION if name in given}
    operands = [x, w, op.required(2), op.input(5), op.input(8)]
    count = 2 if op.wants(1) else 1
    return op.several("Attention", operands, [ir.DataType.FLOAT] * count, attributes, domain=MICROSOFT)


def q_embed_layer_normalization(op: FormulaBuilder) -> Outputs:
    """com.microsoft.EmbedLayerNormalization of dequantized tables, gamma and beta."""
    tables = [
        None if (table := op.input(i)) is None else floats_of(op, table, op.required(i + 6), op.input(i + 11))
        for i in range(2, 7)
    ]
    epsilon = op.node.attributes.get_float("epsilon", 1e-12)
    types = [ir.DataType.FLOAT, ir.DataType.INT32]
    operands = [op.input(0), op.input(1), *tables, op.input(7)]
    return op.several("EmbedLayerNormalization", operands, types, {"epsilon": epsilon}, domain=MICROSOFT)


def _elementwise(op_type: str, operands: int = 1) -> Callable[[FormulaBuilder], Outputs]:
    """A decomposition into the standard operator `op_type` with the attributes of the node."""

    def decomposition(op: FormulaBuilder) -> Outputs:
        """The standard operator of dequantized operands."""
        y = getattr(op, op_type)(*(dequantized(op, 3 * i) for i in range(operands)), **_attributes(op))
        return [quantized(op, y, 3 * operands, op.required(0))]

    return decomposition


q_linear_add = _elementwise("Add", operands=2)
q_linear_mul = _elementwise("Mul", operands=2)
q_linear_sigmoid = _elementwise("Sigmoid")
q_linear_leaky_relu = _elementwise("LeakyRelu")


def q_linear_softmax(op: FormulaBuilder) -> Outputs:
    """Softmax by the rules of the opset that the node names."""
    x, axis = op.required(0), op.node.attributes.get_int("axis", -1)
    by_axis = op.node.attributes.get_int("opset", 0) >= _SINGLE_AXIS_OPSET
    is_last = axis == -1 or (x.shape is not None and axis == len(x.shape) - 1)
    if not is_last and by_axis != (op.opset >= _SINGLE_AXIS_OPSET):
        raise Unsupported(f"{op.node.op_type} over axis {axis} by the rules of another opset is not supported")
    return [quantized(op, op.Softmax(dequantized(op, 0), axis=-1 if is_last else axis), 3, x)]


def q_linear_concat(op: FormulaBuilder) -> Outputs:
    """Concat of tensors with scales of their own."""
    parts = [dequantized(op, i) for i in range(2, len(op.node.inputs), 3)]
    return [quantized(op, op.Concat(*parts, **_attributes(op)), 0, op.required(2))]


def q_linear_where(op: FormulaBuilder) -> Outputs:
    """Where(condition, x, y)."""
    y = op.Where(op.required(0), dequantized(op, 1), dequantized(op, 4))
    return [quantized(op, y, 7, op.required(1))]


def q_linear_average_pool(op: FormulaBuilder) -> Outputs:
    """AveragePool of the given window."""
    attributes = _attributes(op, "channels_last")
    y = _channels_first(op, dequantized(op, 0), lambda x: op.AveragePool(x, **attributes))
    return [quantized(op, y, 3, op.required(0))]


def q_linear_global_average_pool(op: FormulaBuilder) -> Outputs:
    """GlobalAveragePool."""
    y = _channels_first(op, dequantized(op, 0), op.GlobalAveragePool)
    return [quantized(op, y, 3, op.required(0))]


def _attributes(op: FormulaBuilder, *without: str) -> dict[str, Any]:
    """The attributes of the node, except those named `without`."""
    return {name: attribute.value for name, attribute in op.node.attributes.items() if name not in without}


def _channels_first(op: FormulaBuilder, x: ir.Value, compute: Callable[[ir.Value], ir.Value]) -> ir.Value:
    """The result of `compute`, which takes and returns channels as axis 1, in the order of axes of the node."""
    if not op.node.attributes.get_int("channels_last", 0):
        return compute(x)
    rank = op.rank(x)
    to_first: Sequence[int] = [0, rank - 1, *range(1, rank - 1)]
    return op.Transpose(compute(op.Transpose(x, perm=to_first)), perm=[0, *range(2, rank), 1])
