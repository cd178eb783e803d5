# SPDX-License-Identifier: Apache-2.0
"""The steps of recurrent cells, by the equations of ONNX. Products with x_t are computed before the loop.

    RNN    h_t = f(W x_t + R h + b)

    GRU    z = f(W_z x_t + R_z h + b_z)        r = f(W_r x_t + R_r h + b_r)
           n = g(W_n x_t + b_Wn + R_n (r * h) + b_Rn)         linear_before_reset = 0
           n = g(W_n x_t + b_Wn + r * (R_n h + b_Rn))         linear_before_reset = 1
           h_t = (1 - z) * n + z * h

    LSTM   i = f(W_i x_t + R_i h + p_i * c + b_i)             f = f(W_f x_t + R_f h + p_f * c + b_f)
           c_t = f * c + i * g(W_c x_t + R_c h + b_c)
           o = f(W_o x_t + R_o h + p_o * c_t + b_o)           h_t = o * h(c_t)

With `input_forget`, f is 1 - i. With `clip`, arguments of the gates lie in [-clip, clip]. The peepholes p are optional.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs
from onnx_snn.decompositions.cell_activations import Activation
from onnx_snn.decompositions.recurrence import Cell, Operands, QuantizedOperands, Weights, recurrence


def rnn(op: FormulaBuilder) -> Outputs:
    """The outputs of RNN."""
    return recurrence(Operands(op, Cell((1,), 1, ("Tanh",), _rnn_step)))


def gru(op: FormulaBuilder) -> Outputs:
    """The outputs of GRU."""
    return recurrence(Operands(op, Cell((2, 1), 1, ("Sigmoid", "Tanh"), _gru_step, own_bias=True)))


def lstm(op: FormulaBuilder) -> Outputs:
    """The outputs of LSTM."""
    return recurrence(Operands(op, _LSTM))


def dynamic_quantize_lstm(op: FormulaBuilder) -> Outputs:
    """The outputs of DynamicQuantizeLSTM, without the rounding of activations to 8 bits."""
    return recurrence(QuantizedOperands(op, _LSTM))


def _rnn_step(
    op: FormulaBuilder, weights: Weights, states: Sequence[ir.Value], products: ir.Value
) -> Sequence[ir.Value]:
    (h,) = states
    (f,) = weights.activations
    return [_gate(op, f, op.Add(products, weights.product(op, 0, h)))]


def _gru_step(
    op: FormulaBuilder, weights: Weights, states: Sequence[ir.Value], products: ir.Value
) -> Sequence[ir.Value]:
    (h,) = states
    f, g = weights.activations
    size = weights.hidden
    of_gates, of_candidate = op.split(products, [2 * size, size], axis=-1)
    z, r = op.split(_gate(op, f, op.Add(of_gates, weights.product(op, 0, h))), [size, size], axis=-1)
    if op.node.attributes.get_int("linear_before_reset", 0):
        recurrent = op.Mul(r, weights.product(op, 1, h))
    else:
        recurrent = weights.product(op, 1, op.Mul(r, h))
    n = _gate(op, g, op.Add(of_candidate, recurrent))
    return [op.Add(op.Mul(op.Sub(op.constant(1.0, op.float_type(z)), z), n), op.Mul(z, h))]


def _lstm_step(
    op: FormulaBuilder, weights: Weights, states: Sequence[ir.Value], products: ir.Value
) -> Sequence[ir.Value]:
    h, c = states
    f, g, h_of = weights.activations
    size = weights.hidden
    i, o, forget, new = op.split(op.Add(products, weights.product(op, 0, h)), [size] * 4, axis=-1)
    peepholes = weights.further.get("peepholes")
    p_i, p_o, p_f = (None,) * 3 if peepholes is None else op.split(peepholes, [size] * 3, axis=0)
    i = _gate(op, f, _seen(op, i, p_i, c))
    if op.node.attributes.get_int("input_forget", 0):
        kept = op.Sub(op.constant(1.0, op.float_type(i)), i)
    else:
        kept = _gate(op, f, _seen(op, forget, p_f, c))
    c = op.Add(op.Mul(kept, c), op.Mul(i, _gate(op, g, new)))
    o = _gate(op, f, _seen(op, o, p_o, c))
    return [op.Mul(o, h_of(op, c)), c]


_LSTM = Cell((4,), 2, ("Sigmoid", "Tanh", "Tanh"), _lstm_step, further={7: "peepholes"})


def _seen(op: FormulaBuilder, x: ir.Value, peephole: ir.Value | None, c: ir.Value) -> ir.Value:
    """The argument `x` of a gate that sees the cell state `c` through a peephole."""
    return x if peephole is None else op.Add(x, op.Mul(c, peephole))


def _gate(op: FormulaBuilder, activation: Activation, x: ir.Value) -> ir.Value:
    """The activation of `x`, clipped where the operator says so."""
    clip = op.node.attributes.get_float("clip", 0.0)
    return activation(op, op.Clip(x, -clip, clip) if clip else x)
