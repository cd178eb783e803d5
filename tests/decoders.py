# SPDX-License-Identifier: Apache-2.0
"""Tiny decoders in the forms in which exporters write them, all with the same weights.

One attention layer over embedded tokens and positions; the logits after a token depend on every token before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

VOCABULARY, WIDTH, POSITIONS = 32, 16, 24

KEY, VALUE = "past_key_values__0__key", "past_key_values__0__value"
NEW = "int64[batch, new] input_ids, int64[batch, total] attention_mask, int64[batch, new] position_ids"
PAST = f"float[batch, 1, past, 16] {KEY}, float[batch, 1, past, 16] {VALUE}"
LOGITS = "float[batch, new, 32] logits"
PRESENT = "float[batch, 1, total, 16] present__0__key, float[batch, 1, total, 16] present__0__value"

QUERY = """
    word = Gather (table, input_ids)
    place = Gather (places, position_ids)
    sum = Add (word, place)
    hidden = Tanh (sum)
    q_flat = MatMul (hidden, query)
    k_flat = MatMul (hidden, key)
    v_flat = MatMul (hidden, value)
    q = Unsqueeze (q_flat, one)
"""
START = f"""{QUERY}
    present__0__key = Unsqueeze (k_flat, one)
    present__0__value = Unsqueeze (v_flat, one)
"""
RESUME = f"""{QUERY}
    k_new = Unsqueeze (k_flat, one)
    v_new = Unsqueeze (v_flat, one)
    present__0__key = Concat <axis = 2> ({KEY}, k_new)
    present__0__value = Concat <axis = 2> ({VALUE}, v_new)
"""
ATTEND = """
    k_turned = Transpose <perm = [0, 1, 3, 2]> (present__0__key)
    scores = MatMul (q, k_turned)
    sizes = Shape (scores)
    rows_count = Slice (sizes, two, three)
    columns_count = Slice (sizes, three, four)
    rows_scalar = Squeeze (rows_count)
    columns_scalar = Squeeze (columns_count)
    rows_plain = Range (zero, rows_scalar, step)
    columns = Range (zero, columns_scalar, step)
    past = Sub (columns_count, rows_count)
    rows_shifted = Add (rows_plain, past)
    rows = Unsqueeze (rows_shifted, one)
    causal = LessOrEqual (columns, rows)
    real = Cast <to = 9> (attention_mask)
    real_rows = Unsqueeze (real, middle)
    visible = And (causal, real_rows)
    masked = Where (visible, scores, never)
    weights = Softmax (masked)
    context = MatMul (weights, present__0__value)
    context_flat = Squeeze (context, one)
    logits = MatMul (context_flat, head)
"""
FORMS: dict[str, tuple[str, str, str]] = {
    "cached": (f"{NEW}, {PAST}", f"{LOGITS}, {PRESENT}", RESUME + ATTEND),
    "uncached": (NEW, LOGITS, START + ATTEND),
    "first": (NEW, f"{LOGITS}, {PRESENT}", START + ATTEND),
    "unmasked": (
        NEW.replace(", int64[batch, total] attention_mask", ""),
        LOGITS,
        START
        + ATTEND.replace("attention_mask", "position_ids").replace("And (causal, real_rows)", "Identity (causal)"),
    ),
    "merged": (
        f"{NEW}, {PAST}, bool[1] use_cache_branch",
        f"{LOGITS}, {PRESENT}",
        f"""logits, present__0__key, present__0__value = If (use_cache_branch) <
            then_branch = with_past () => ({LOGITS}, {PRESENT}) {{ {RESUME} {ATTEND} }},
            else_branch = no_past () => ({LOGITS}, {PRESENT}) {{ {START} {ATTEND} }}
        >""",
    ),
}
"""Inputs, outputs and nodes; names get dots, which ONNX text does not know."""

GROUPED = (
    """int64[batch, new] tokens, int64[batch, total] mask, float[batch, 1, past, features] key__0__old,
       float[batch, 1, past, features] value__0__old""",
    """float[batch, new, 32] scores, float[batch, 1, total, features] key__0__new,
       float[batch, 1, total, features] value__0__new""",
    """
    lengths = ReduceSum <keepdims = 0> (mask, one)
    last = Sub (lengths, one)
    seqlens = Cast <to = 6> (last)
    sizes = Shape (mask)
    total_long = Gather (sizes, step)
    total_size = Cast <to = 6> (total_long)
    hidden = Gather (table, tokens)
    q = MatMul (hidden, query)
    k = MatMul (hidden, key)
    v = MatMul (hidden, value)
    context, key__0__new, value__0__new = com.microsoft.GroupQueryAttention
        <num_heads = 1, kv_num_heads = 1, do_rotary = 1>
        (q, k, v, key__0__old, value__0__old, seqlens, total_size, cosines, sines)
    active = Tanh (context)
    scores = MatMul (active, head)
    """,
)
"""A decoder of onnxruntime-genai: rotary positions from the left end, a head size that is not fixed, other names."""

GENAI_CONFIG = {
    "model": {
        "type": "llama",
        "vocab_size": VOCABULARY,
        "context_length": POSITIONS,
        "bos_token_id": 0,
        "eos_token_id": VOCABULARY - 1,
        "pad_token_id": 0,
        "decoder": {
            "filename": "decoder.onnx",
            "session_options": {"provider_options": []},
            "head_size": WIDTH,
            "hidden_size": WIDTH,
            "num_attention_heads": 1,
            "num_key_value_heads": 1,
            "num_hidden_layers": 1,
            "inputs": {
                "input_ids": "tokens",
                "attention_mask": "mask",
                "past_key_names": "key.%d.old",
                "past_value_names": "value.%d.old",
            },
            "outputs": {
                "logits": "scores",
                "present_key_names": "key.%d.new",
                "present_value_names": "value.%d.new",
            },
        },
    },
    "search": {"max_length": POSITIONS, "past_present_share_buffer": True},
}


def weights(seed: int = 3) -> dict[str, np.ndarray[Any, Any]]:
    """Weights and constants of all forms, by name."""
    random = np.random.default_rng(seed)
    angles = np.arange(POSITIONS)[:, None] / 10.0 ** (np.arange(WIDTH // 2) / 2)
    shapes = {"table": (VOCABULARY, WIDTH), "places": (POSITIONS, WIDTH), "head": (WIDTH, VOCABULARY)}
    shapes |= dict.fromkeys(("query", "key", "value"), (WIDTH, WIDTH))
    numbers = {"zero": 0, "step": 1, "one": [1], "two": [2], "three": [3], "four": [4], "middle": [1, 2]}
    return {
        **{name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()},
        **{name: np.array(value, np.int64) for name, value in numbers.items()},
        "never": np.array(-1e9, np.float32),
        "cosines": np.cos(angles).astype(np.float32),
        "sines": np.sin(angles).astype(np.float32),
    }


def write_decoder(path: Path, form: tuple[str, str, str]) -> Path:
    """Write a decoder of one form; its path."""
    inputs, outputs, body = form
    head = '<ir_version: 9, opset_import: ["": 18, "com.microsoft": 1]>'
    proto = onnx.parser.parse_model(f"{head} decoder ({inputs}) => ({outputs}) {{ {body} }}")
    used = {name for node in _nodes(proto.graph) for name in node.input}
    given = {name: array for name, array in weights().items() if name in used}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in given.items())
    model = ir.from_proto(proto)
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in (*graph.inputs, *(output for node in graph for output in node.outputs)):
            value.name = str(value.name).replace("__", ".")
    ir.save(model, path)
    return path


def _nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    inner = [node for outer in graph.node for attribute in outer.attribute for node in _nodes(attribute.g)]
    return [*graph.node, *inner]


def write_folder(folder: Path, files: Mapping[str, str], **config: Any) -> Path:
    """Write a folder as Optimum does: `files` by the form of each; entries of config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, form in files.items():
        write_decoder(folder / name, FORMS[form])
    settings = {"n_positions": POSITIONS, "eos_token_id": VOCABULARY - 1, **config}
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def write_genai_folder(folder: Path) -> Path:
    """Write a folder as the model builder of onnxruntime-genai does."""
    folder.mkdir(parents=True, exist_ok=True)
    write_decoder(folder / "decoder.onnx", GROUPED)
    (folder / "genai_config.json").write_text(json.dumps(GENAI_CONFIG))
    return folder
