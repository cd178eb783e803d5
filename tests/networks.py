# SPDX-License-Identifier: Apache-2.0
"""A tiny Transformer written as ONNX text, its inputs, and how converted networks are run and compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

VOCABULARY = 16
Feeds = dict[str, NDArray[Any]]

FULL_BASES: dict[str, Any] = {"fast": True, "max_error": 1e-3}
"""Options of a conversion whose neurons all have the full number of bases."""

_WEIGHTS = {
    "table": (VOCABULARY, 8),
    "query_weight": (8, 8),
    "key_weight": (8, 8),
    "value_weight": (8, 8),
    "mixing_weight": (8, 8),
    "up_weight": (8, 16),
    "up_bias": (16,),
    "down_weight": (16, 8),
    "gamma": (8,),
    "beta": (8,),
    "head_weight": (8, VOCABULARY),
}

_TEXT = f"""
<ir_version: 9, opset_import: ["": 20], producer_name: "tiny", producer_version: "1.2", doc_string: "a block">
block (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask)
    => (float[batch, sequence, {VOCABULARY}] logits)
<float one = {{1}}, float lowest = {{-10000}}, float root_of_head = {{2}}, int64[2] head_axes = {{1, 2}},
 int64[4] split = {{0, 0, 2, 4}}, int64[3] merge = {{0, 0, 8}}>
{{
    [embed] embedded = Gather (table, input_ids)
    [norm_1] normed = LayerNormalization <axis = -1> (embedded, gamma, beta)
    [query] q = MatMul (normed, query_weight)
    [key] k = MatMul (normed, key_weight)
    [value] v = MatMul (normed, value_weight)
    q_split = Reshape (q, split)
    k_split = Reshape (k, split)
    v_split = Reshape (v, split)
    q_heads = Transpose <perm = [0, 2, 1, 3]> (q_split)
    k_heads = Transpose <perm = [0, 2, 3, 1]> (k_split)
    v_heads = Transpose <perm = [0, 2, 1, 3]> (v_split)
    [scores] raw_scores = MatMul (q_heads, k_heads)
    scaled_scores = Div (raw_scores, root_of_head)
    seen = Cast <to = 1> (attention_mask)
    hidden = Sub (one, seen)
    penalty = Mul (hidden, lowest)
    penalty_of_heads = Unsqueeze (penalty, head_axes)
    masked_scores = Add (scaled_scores, penalty_of_heads)
    [softmax] probabilities = Softmax <axis = -1> (masked_scores)
    [context] heads = MatMul (probabilities, v_heads)
    heads_last = Transpose <perm = [0, 2, 1, 3]> (heads)
    merged = Reshape (heads_last, merge)
    [mixing] mixed = MatMul (merged, mixing_weight)
    residual = Add (embedded, mixed)
    [norm_2] normed_residual = LayerNormalization <axis = -1> (residual, gamma, beta)
    [up] up_product = MatMul (normed_residual, up_weight)
    up_sum = Add (up_product, up_bias)
    [gelu] activated = Gelu (up_sum)
    [down] down_product = MatMul (activated, down_weight)
    output = Add (residual, down_product)
    [head] logits = MatMul (output, head_weight)
}}
"""

SYNAPSES = ["query", "key", "value", "mixing", "up", "down", "head"]
NONLINEAR = ["norm_1", "scores", "softmax", "context", "norm_2", "gelu"]


def transformer() -> onnx.ModelProto:
    """One block of a Transformer with embedding and head; both normalizations share gamma and beta."""
    model = onnx.parser.parse_model(_TEXT)
    random = np.random.default_rng(0)
    for name, shape in _WEIGHTS.items():
        array = random.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.helper.set_model_props(model, {"origin": "a test"})
    return model


def tokens(samples: int = 8, length: int = 6, *, seed: int = 1) -> Feeds:
    """Inputs of `transformer`; the last position of every other sample is masked."""
    ids = np.random.default_rng(seed).integers(VOCABULARY, size=(samples, length))
    mask = np.ones_like(ids)
    mask[::2, -1] = 0
    return {"input_ids": ids, "attention_mask": mask}


def normal(*shape: int, seed: int = 1) -> NDArray[np.float32]:
    """Standard normal float32 values."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def session(model: onnx.ModelProto | ir.Model | Path) -> onnxruntime.InferenceSession:
    """A session of stock onnxruntime, as any user would open it."""
    if isinstance(model, ir.Model):
        model = ir.to_proto(model)
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def run(model: onnx.ModelProto | ir.Model | Path, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Every output of `model` by its name."""
    opened = session(model)
    names = [output.name for output in opened.get_outputs()]
    return dict(zip(names, opened.run(names, dict(feeds)), strict=True))


def relative_error(reference: NDArray[Any], result: NDArray[Any]) -> float:
    """Frobenius norm of the difference over that of the reference."""
    assert reference.shape == result.shape
    difference = result.astype(np.float64) - reference
    return float(np.linalg.norm(difference) / np.linalg.norm(reference.astype(np.float64)))


_ATTENTION = """
<ir_version: 9, opset_import: ["": 20]>
attention (float[samples, length, 8] x) => (float[samples, length, 5] y)
{
    [norm] normed = LayerNormalization <axis = -1> (x, gamma, beta)
    turned = Transpose <perm = [0, 2, 1]> (normed)
    [scores] raw = MatMul (normed, turned)
    [softmax] probabilities = Softmax <axis = -1> (raw)
    [context] heads = MatMul (probabilities, normed)
    [head] y = MatMul (heads, weight)
}
"""


def attention() -> onnx.ModelProto:
    """Attention without projections: a normalization, a softmax, two products of activations and one with weights."""
    model = onnx.parser.parse_model(_ATTENTION)
    for seed, (name, shape) in enumerate({"gamma": (8,), "beta": (8,), "weight": (8, 5)}.items()):
        model.graph.initializer.append(onnx.numpy_helper.from_array(normal(*shape, seed=seed), name))
    return model


_CLASSIFIER = """
<ir_version: 9, opset_import: ["": 20]>
classifier (float[samples, 8] x) => (float[samples, 5] scores)
{
    [first] hidden = MatMul (x, first_weight)
    [gelu] activated = Gelu (hidden)
    [second] scores = MatMul (activated, second_weight)
}
"""


def classifier() -> onnx.ModelProto:
    """Two layers with a GELU between them: the smallest network that has a task."""
    model = onnx.parser.parse_model(_CLASSIFIER)
    for seed, (name, shape) in enumerate({"first_weight": (8, 16), "second_weight": (16, 5)}.items()):
        model.graph.initializer.append(onnx.numpy_helper.from_array(normal(*shape, seed=seed), name))
    return model


def spiking_nodes(model: onnx.ModelProto | Path) -> list[onnx.NodeProto]:
    """The spiking nodes of the main graph, in order."""
    proto = onnx.load(model) if isinstance(model, Path) else model
    return [node for node in proto.graph.node if node.domain == "onnx_snn"]
