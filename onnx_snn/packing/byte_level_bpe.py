# SPDX-License-Identifier: Apache-2.0
"""Byte-level byte pair encoding, as of GPT-2 and RoBERTa.

A text is split by GPT-2's pattern, its bytes are written as 256 printable characters, and pairs are merged by rank.
With `add_prefix_space` a space is put before a segment that begins with none.
"""

from __future__ import annotations

import json
from typing import Any

import onnx_ir as ir

from onnx_snn.errors import PackError
from onnx_snn.packing.graph_writer import EXTENSIONS, GraphWriter
from onnx_snn.packing.ragged import Rows, differences, ends, of_padded, pieces

PLAIN = {
    "dropout": (None, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
    "ignore_merges": (None, False),
}
"""Options of the model of a tokenizer.json with the values that the operator has."""


NEXT_LINE = r"\x{85}"
"""The only white space that the operator takes for a sign, which it would join with spaces and signs around it. Split
off before, it is what GPT-2's pattern makes of white space."""


def write_byte_level_bpe(
    write: GraphWriter, texts: ir.Value, model: dict[str, Any], splitting: dict[str, Any] | None
) -> Rows:
    """The ids of `texts`, string [segments].

    Args:
        write: Where nodes are written.
        texts: The segments.
        model: `model` of tokenizer.json.
        splitting: `pre_tokenizer` of tokenizer.json.

    Raises:
        PackError: an option has no operator.
    """
    options = _byte_level(splitting)
    for name, values in PLAIN.items():
        if model.get(name) not in values:
            raise PackError(
                f"the BPE model has {name}={model[name]!r}, which no operator of onnxruntime-extensions has"
            )
    missing = [byte for byte, character in enumerate(byte_characters()) if character not in model["vocab"]]
    if missing:
        raise PackError(f"the vocabulary has no token for byte {missing[0]}, and {len(missing)} bytes in all")
    if options.get("add_prefix_space"):
        # At the begin of a segment, not of a line; an empty segment stays empty.
        texts = write.op(EXTENSIONS, "StringRegexReplace", [texts, [r"\A([^ ])"], [r" \1"]])[0]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    vocabulary = json.dumps(model["vocab"], separators=(",", ":"))
    words, bounds = pieces(write, texts, NEXT_LINE)
    words = write.Concat(words, [""], axis=0)  # the operator takes one text at least
    ids, mask = write.op(EXTENSIONS, "GPT2Tokenizer", [words], 2, vocab=vocabulary, merges="\n".join(merges))
    read = of_padded(write, ids, mask)
    return Rows(read.ids, differences(write, write.Gather(ends(write, read.lengths), bounds)))


def _byte_level(splitting: dict[str, Any] | None) -> dict[str, Any]:
    """The options of the only step of `splitting`.

    Raises:
        PackError: it has other steps, or splits by another pattern.
    """
    steps = splitting.get("pretokenizers", [splitting]) if splitting else []
    names = [step.get("type") for step in steps]
    if names != ["ByteLevel"]:
        raise PackError(
            f"a BPE tokenizer that splits texts by {names or 'nothing'} has no operator; GPT-2's splitting "
            "(ByteLevel alone) has one"
        )
    if not steps[0].get("use_regex", True):
        raise PackError("ByteLevel without use_regex does not split texts, for which there is no operator")
    options: dict[str, Any] = steps[0]
    return options


def byte_characters() -> list[str]:
    """The character that stands for each byte: itself where it is printable in Latin-1, else one from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]
