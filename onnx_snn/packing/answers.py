# SPDX-License-Identifier: Apache-2.0
"""What a packed network answers: classes, or tokens that may come next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from onnx_snn.errors import PackError
from onnx_snn.packing.graph_writer import GraphWriter
from onnx_snn.packing.labels import dimension, is_decoder, read_labels, write_best, write_labels
from onnx_snn.packing.text_pack import PackedText
from onnx_snn.packing.tokenizer_files import read_by_library

NEXT, PROMPT = "next_id", "prompt_ids"
"""Outputs of a decoder beside label and score: ids of the next token, int64 [batch, top_k], and those of the prompt."""


def write_answer(network: ir.Model, config: Mapping[str, Any], top_k: int, packed: PackedText | None) -> None:
    """Put the answer before the outputs of `network`, in place, where config.json says what its logits mean.

    Args:
        network: The network.
        config: Its config.json.
        top_k: Number of classes or tokens in the answer.
        packed: The tokenizer before it; None where it reads images.

    Raises:
        PackError: the logits do not fit what config.json says.
    """
    labels = read_labels(config)
    logits = next((value for value in network.graph.outputs if value.name == "logits"), network.graph.outputs[0])
    write = GraphWriter(network)
    if packed is not None and is_decoder(config):
        _write_next_token(write, logits, packed, top_k)
    elif labels is not None:
        write_labels(write, logits, labels, top_k)
    write.put_last()


def _write_next_token(write: GraphWriter, logits: ir.Value, packed: PackedText, top_k: int) -> None:
    """Put label, score, id of the next token and ids of the prompt before the outputs.

    Raises:
        PackError: the logits are no [batch, sequence, vocabulary].
    """
    shape = logits.shape
    if shape is None or len(shape) != 3 or not isinstance(shape[2], int):
        raise PackError(
            f"the next token is chosen from an output [batch, sequence, vocabulary], but '{logits.name}' is "
            f"{shape or 'of unknown shape'}"
        )
    length = write.Shape(packed.attention_mask)
    places = write.Mul(packed.attention_mask, write.Range(0, write.Gather(length, 1), 1))
    last = write.ArgMax(places, axis=1, keepdims=1)
    scores = write.Softmax(write.GatherND(logits, last, batch_dims=1), axis=-1)
    index = write_best(write, scores, _tokens(packed, shape[2]), top_k, shape[0])
    batch = dimension(shape[0])
    write.output(2, NEXT, write.Identity(index), ir.DataType.INT64, [batch, top_k])
    write.output(3, PROMPT, write.Identity(packed.input_ids), ir.DataType.INT64, [batch, "prompt"])


def _tokens(packed: PackedText, size: int) -> list[str]:
    """The text of each token; a vocabulary may be padded, and a token may be a part of a character."""
    tokenizer = read_by_library(packed.files.path)
    known = tokenizer.get_vocab_size(with_added_tokens=True)
    return [tokenizer.decode([token], skip_special_tokens=False) if token < known else "" for token in range(size)]
