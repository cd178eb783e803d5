# SPDX-License-Identifier: Apache-2.0
"""The table of decompositions by operator.

A decomposition reads its node and adds the nodes that replace it. It returns the values that replace the outputs, or
None where a rule matches the node as it is. It raises `Unsupported` for a node that cannot be decomposed exactly; the
node is then left in the model.
"""

from __future__ import annotations

from collections.abc import Callable

from onnx_snn.decompositions.attention import fused_attention, multi_head_attention
from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported
from onnx_snn.decompositions.function import defining_function, inlined
from onnx_snn.decompositions.fused_matmul import fused_conv, fused_gemm, fused_mat_mul
from onnx_snn.decompositions.gelu import bias_gelu, fast_gelu, quick_gelu, swish
from onnx_snn.decompositions.group_normalization import (
    group_normalization,
    instance_normalization,
    layer_normalization_with_statistics,
    mean_variance_normalization,
    rms_normalization_by_activations,
)
from onnx_snn.decompositions.grouped_query_attention import group_query_attention
from onnx_snn.decompositions.integer_products import (
    conv_integer,
    dynamic_quantize_mat_mul,
    mat_mul_integer,
    mat_mul_integer_to_float,
)
from onnx_snn.decompositions.lp_normalization import (
    global_lp_pool,
    local_response_normalization,
    lp_normalization,
    lp_pool,
)
from onnx_snn.decompositions.normalization import (
    embed_layer_normalization,
    skip_layer_normalization,
    skip_rms_normalization,
)
from onnx_snn.decompositions.power import power_of_constant
from onnx_snn.decompositions.quantized_operators import (
    q_attention,
    q_embed_layer_normalization,
    q_gemm,
    q_linear_add,
    q_linear_average_pool,
    q_linear_concat,
    q_linear_conv,
    q_linear_global_average_pool,
    q_linear_leaky_relu,
    q_linear_mat_mul,
    q_linear_mul,
    q_linear_sigmoid,
    q_linear_softmax,
    q_linear_where,
)
from onnx_snn.decompositions.quotient import quotient
from onnx_snn.decompositions.recurrent_cells import dynamic_quantize_lstm, gru, lstm, rnn
from onnx_snn.decompositions.reductions import (
    log_softmax,
    reduce_l1,
    reduce_l2,
    reduce_log_sum,
    reduce_log_sum_exp,
    reduce_sum_square,
)
from onnx_snn.decompositions.scan import scan
from onnx_snn.decompositions.selection import prelu, shrink, thresholded_relu
from onnx_snn.graph.domains import MICROSOFT

Decomposition = Callable[[FormulaBuilder], "Outputs | None"]
"""Function that adds the replacement of a node and returns its outputs, or None to leave the node."""


def _standard_attention(op: FormulaBuilder) -> Outputs:
    """Attention of opset 23 and later, by the function that ONNX defines.

    Raises:
        Unsupported: it returns masked scores, which onnxruntime masks with other numbers than ONNX.
    """
    if op.wants(3) and op.node.attributes.get_int("qk_matmul_output_mode", 0) in (1, 2):
        raise Unsupported("Attention that returns its masked scores is not supported")
    function = defining_function(op)
    return inlined(op, function, function.opset_imports)


def _defined(op: FormulaBuilder) -> Outputs:
    """The function by which ONNX defines the operator."""
    function = defining_function(op)
    return inlined(op, function, function.opset_imports)


DECOMPOSITIONS: dict[tuple[str, str], Decomposition] = {
    ("", "Attention"): _standard_attention,
    ("", "CausalConvWithState"): _defined,
    ("", "ConvInteger"): conv_integer,
    ("", "GRU"): gru,
    ("", "LSTM"): lstm,
    ("", "LinearAttention"): _defined,
    ("", "MatMulInteger"): mat_mul_integer,
    ("", "QLinearConv"): q_linear_conv,
    ("", "QLinearMatMul"): q_linear_mat_mul,
    ("", "RNN"): rnn,
    ("", "Scan"): scan,
    ("", "Swish"): swish,
    (MICROSOFT, "Attention"): fused_attention,
    (MICROSOFT, "BiasGelu"): bias_gelu,
    (MICROSOFT, "DynamicQuantizeLSTM"): dynamic_quantize_lstm,
    (MICROSOFT, "DynamicQuantizeMatMul"): dynamic_quantize_mat_mul,
    (MICROSOFT, "EmbedLayerNormalization"): embed_layer_normalization,
    (MICROSOFT, "FastGelu"): fast_gelu,
    (MICROSOFT, "FusedConv"): fused_conv,
    (MICROSOFT, "FusedGemm"): fused_gemm,
    (MICROSOFT, "FusedMatMul"): fused_mat_mul,
    (MICROSOFT, "GroupQueryAttention"): group_query_attention,
    (MICROSOFT, "MatMulIntegerToFloat"): mat_mul_integer_to_float,
    (MICROSOFT, "MultiHeadAttention"): multi_head_attention,
    (MICROSOFT, "QAttention"): q_attention,
    (MICROSOFT, "QEmbedLayerNormalization"): q_embed_layer_normalization,
    (MICROSOFT, "QGemm"): q_gemm,
    (MICROSOFT, "QLinearAdd"): q_linear_add,
    (MICROSOFT, "QLinearAveragePool"): q_linear_average_pool,
    (MICROSOFT, "QLinearConcat"): q_linear_concat,
    (MICROSOFT, "QLinearConv"): q_linear_conv,
    (MICROSOFT, "QLinearGlobalAveragePool"): q_linear_global_average_pool,
    (MICROSOFT, "QLinearLeakyRelu"): q_linear_leaky_relu,
    (MICROSOFT, "QLinearMul"): q_linear_mul,
    (MICROSOFT, "QLinearSigmoid"): q_linear_sigmoid,
    (MICROSOFT, "QLinearSoftmax"): q_linear_softmax,
    (MICROSOFT, "QLinearWhere"): q_linear_where,
    (MICROSOFT, "QuickGelu"): quick_gelu,
    (MICROSOFT, "SkipLayerNormalization"): skip_layer_normalization,
    (MICROSOFT, "SkipSimplifiedLayerNormalization"): skip_rms_normalization,
}
"""Decompositions by domain and operator."""

UNCLAIMED: dict[tuple[str, str], Decomposition] = {
    ("", "Div"): quotient,
    ("", "GlobalLpPool"): global_lp_pool,
    ("", "GroupNormalization"): group_normalization,
    ("", "InstanceNormalization"): instance_normalization,
    ("", "LRN"): local_response_normalization,
    ("", "LayerNormalization"): layer_normalization_with_statistics,
    ("", "LogSoftmax"): log_softmax,
    ("", "LpNormalization"): lp_normalization,
    ("", "LpPool"): lp_pool,
    ("", "MeanVarianceNormalization"): mean_variance_normalization,
    ("", "NegativeLogLikelihoodLoss"): _defined,
    ("", "PRelu"): prelu,
    ("", "Pow"): power_of_constant,
    ("", "RMSNormalization"): rms_normalization_by_activations,
    ("", "ReduceL1"): reduce_l1,
    ("", "ReduceL2"): reduce_l2,
    ("", "ReduceLogSum"): reduce_log_sum,
    ("", "ReduceLogSumExp"): reduce_log_sum_exp,
    ("", "ReduceSumSquare"): reduce_sum_square,
    ("", "Shrink"): shrink,
    ("", "SoftmaxCrossEntropyLoss"): _defined,
    ("", "ThresholdedRelu"): thresholded_relu,
}
"""Decompositions of nodes that compute with activations and that no rule claims, by domain and operator: a formula that
holds such a node, like the quotient of a softmax, is recognised before."""
