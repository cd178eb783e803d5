# SPDX-License-Identifier: Apache-2.0
"""Which decomposition writes out which operator.

A decomposition reads its node and writes the nodes that stand for it; it returns the values that stand for the outputs,
or None where rules know the node as it is. Where a node cannot be written out exactly it raises `Unsupported`, and
the node stays.
"""

from __future__ import annotations

from collections.abc import Callable

from onnx_snn.decompositions.attention import fused_attention, multi_head_attention
from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported
from onnx_snn.decompositions.function import defining_function, inlined
from onnx_snn.decompositions.gelu import bias_gelu, fast_gelu, quick_gelu, swish
from onnx_snn.decompositions.grouped_query_attention import group_query_attention
from onnx_snn.decompositions.normalization import (
    embed_layer_normalization,
    skip_layer_normalization,
    skip_rms_normalization,
)
from onnx_snn.decompositions.product import fused_conv, fused_gemm, fused_mat_mul
from onnx_snn.graph.domains import MICROSOFT

Decomposition = Callable[[FormulaBuilder], "Outputs | None"]


def _standard_attention(op: FormulaBuilder) -> Outputs:
    """Attention of opset 23 and later, as onnx defines it; masked scores are other numbers in onnxruntime."""
    if op.wants(3) and op.node.attributes.get_int("qk_matmul_output_mode", 0) in (1, 2):
        raise Unsupported("Attention returns its masked scores")
    function = defining_function(op)
    return inlined(op, function, function.opset_imports)


DECOMPOSITIONS: dict[tuple[str, str], Decomposition] = {
    ("", "Attention"): _standard_attention,
    ("", "Swish"): swish,
    (MICROSOFT, "Attention"): fused_attention,
    (MICROSOFT, "BiasGelu"): bias_gelu,
    (MICROSOFT, "EmbedLayerNormalization"): embed_layer_normalization,
    (MICROSOFT, "FastGelu"): fast_gelu,
    (MICROSOFT, "FusedConv"): fused_conv,
    (MICROSOFT, "FusedGemm"): fused_gemm,
    (MICROSOFT, "FusedMatMul"): fused_mat_mul,
    (MICROSOFT, "GroupQueryAttention"): group_query_attention,
    (MICROSOFT, "MultiHeadAttention"): multi_head_attention,
    (MICROSOFT, "QuickGelu"): quick_gelu,
    (MICROSOFT, "SkipLayerNormalization"): skip_layer_normalization,
    (MICROSOFT, "SkipSimplifiedLayerNormalization"): skip_rms_normalization,
}
"""Decompositions by domain and operator."""
