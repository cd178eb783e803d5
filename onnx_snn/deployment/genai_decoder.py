# SPDX-License-Identifier: Apache-2.0
"""The configuration of onnxruntime-genai for a decoder as Optimum exports it: one network with a cache.

input_ids, attention_mask, position_ids    those of them that the network has
past_key_values.N.key, .value              float [batch, heads, past, head size]
logits, present.N.key, present.N.value     outputs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir

from onnx_snn.errors import DeployError
from onnx_snn.json_files import read_object

PAST_KEY, PAST_VALUE = "past_key_values.%d.key", "past_key_values.%d.value"
PRESENT_KEY, PRESENT_VALUE = "present.%d.key", "present.%d.value"
"""Names of keys and values by layer."""

TOKENS = ("input_ids", "attention_mask", "position_ids")
"""Inputs that onnxruntime-genai fills in."""

LENGTH = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length", "seq_length")
"""Entries of config.json that say how many tokens a network can read, by what architectures call them."""

HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads")
"""Entries of config.json with the number of heads of the queries."""

WIDTH = ("hidden_size", "n_embd", "d_model", "dim")
"""Entries of config.json with the width of the network."""


def decoder_config(network: ir.Model, folder: Path, filename: str) -> dict[str, Any]:
    """The value of a genai_config.json for `network`.

    Args:
        network: the decoder.
        folder: its folder, whose config.json and generation_config.json have the tokens that mean something.
        filename: its file in that folder.

    Raises:
        DeployError: it is no decoder of this form, or no configuration says how many tokens it reads or which one ends
            a text.
    """
    inputs = {str(value.name): value for value in network.graph.inputs if value.name not in network.graph.initializers}
    outputs = {str(value.name): value for value in network.graph.outputs}
    layers = _layers(inputs, outputs, filename)
    heads, size = _sizes(inputs[PAST_KEY % 0])
    config = _settings(folder / "config.json") | _settings(folder / "generation_config.json")
    length, end = _first(config, LENGTH), config.get("eos_token_id")
    if length is None or end is None:
        lacking = LENGTH[0] if length is None else "eos_token_id"
        raise DeployError(f"the configuration beside '{folder / filename}' has no {lacking!r}; add it to config.json")
    last = end[0] if isinstance(end, list) and end else end
    queries = _first(config, HEADS) or heads
    decoder = {
        "session_options": {"provider_options": []},
        "filename": filename,
        "head_size": size,
        "hidden_size": _first(config, WIDTH) or queries * size,
        "num_attention_heads": queries,
        "num_hidden_layers": layers,
        "num_key_value_heads": heads,
        "inputs": {name: name for name in TOKENS if name in inputs}
        | {"past_key_names": PAST_KEY, "past_value_names": PAST_VALUE},
        "outputs": {"logits": "logits", "present_key_names": PRESENT_KEY, "present_value_names": PRESENT_VALUE},
    }
    model = {
        "type": "decoder",
        "context_length": length,
        "vocab_size": _vocabulary(outputs["logits"], config),
        "bos_token_id": _or(config.get("bos_token_id"), last),
        "eos_token_id": end,
        "pad_token_id": _or(config.get("pad_token_id"), last),
        "decoder": decoder,
    }
    return {"model": model, "search": {"max_length": length, "do_sample": bool(config.get("do_sample", False))}}


def _layers(inputs: Mapping[str, ir.Value], outputs: Mapping[str, ir.Value], filename: str) -> int:
    """Number of layers of a decoder with these inputs and outputs.

    Raises:
        DeployError: it lacks some, or has others.
    """
    layers = max(1, sum(PAST_KEY % layer in inputs for layer in range(len(inputs))))
    read = {"input_ids", *_names(layers, PAST_KEY, PAST_VALUE)}
    written = {"logits", *_names(layers, PRESENT_KEY, PRESENT_VALUE)}
    missing = sorted((read - set(inputs)) | (written - set(outputs)))
    unknown = sorted(set(inputs) - read - set(TOKENS))
    if missing or unknown:
        raise DeployError(
            f"'{filename}' is no decoder in one file with a cache: it lacks {missing}, and takes {unknown} besides; "
            "export it with: onnx-snn export --task text-generation-with-past"
        )
    return layers


def _names(layers: int, *patterns: str) -> Iterator[str]:
    """The names of `patterns` in all layers."""
    for pattern in patterns:
        yield from (pattern % layer for layer in range(layers))


def _sizes(key: ir.Value) -> tuple[int, int]:
    """Number of heads, and size of each, of keys of shape [batch, heads, past, head size].

    Raises:
        DeployError: they are not declared.
    """
    shape = tuple(key.shape or ())
    if len(shape) != 4 or not isinstance(shape[1], int) or not isinstance(shape[3], int):
        raise DeployError(
            f"'{key.name}' is of shape {shape}; expected [batch, heads, past, head size] with known heads"
        )
    return shape[1], shape[3]


def _vocabulary(logits: ir.Value, config: Mapping[str, Any]) -> Any:
    """Number of different tokens: the last axis of the logits, or what the configuration says."""
    size = logits.shape[-1] if logits.shape is not None and len(logits.shape) else None
    return size if isinstance(size, int) else config.get("vocab_size")


def _settings(path: Path) -> dict[str, Any]:
    """The entries of a configuration that say something; none where it is not there.

    Raises:
        DeployError: it cannot be read.
    """
    if not path.is_file():
        return {}
    try:
        return {name: value for name, value in read_object(path).items() if value is not None}
    except (OSError, ValueError) as error:
        raise DeployError(f"cannot read '{path}': {error}") from error


def _first(config: Mapping[str, Any], names: Sequence[str]) -> int | None:
    """The first whole number that `config` has under one of `names`."""
    return next((config[name] for name in names if isinstance(config.get(name), int)), None)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
