# SPDX-License-Identifier: Apache-2.0
"""A tokenizer in front of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import onnx_ir as ir

from onnx_snn.errors import PackError
from onnx_snn.packing.graph_writer import GraphWriter
from onnx_snn.packing.hard_texts import with_tokens
from onnx_snn.packing.inputs import connect
from onnx_snn.packing.text_front import INPUTS, TEXT, write_tokenizer
from onnx_snn.packing.tokenizer_files import TokenizerFiles, read_tokenizer
from onnx_snn.packing.verification import check_ids

INTEGERS = (ir.DataType.INT64, ir.DataType.INT32)
"""Element types of the inputs of networks that read ids."""


class PackedText(NamedTuple):
    """What a tokenizer in front leaves for the answer behind.

    Attributes:
        files: The tokenizer.
        compared: Number of texts on which its ids were compared.
        input_ids: Ids that the network reads, int64 [batch, longest].
        attention_mask: 1 where a token is, int64 [batch, longest].
    """

    files: TokenizerFiles
    compared: int
    input_ids: ir.Value
    attention_mask: ir.Value


def pack_text(
    network: ir.Model,
    folder: Path,
    config: Mapping[str, Any],
    max_length: int | None,
    texts: Sequence[str] | None,
) -> PackedText:
    """Put the tokenizer in `folder` before `network`, in place, once its ids are right on `texts`.

    Args:
        network: The network.
        folder: Folder of the tokenizer.
        config: config.json of the network.
        max_length: Tokens after which a text is cut off; None for what the tokenizer says.
        texts: Texts to compare ids on; None for a list of hard ones.

    Raises:
        PackError: an input is none that a tokenizer makes, the tokenizer cannot be expressed, or ids differ.
    """
    inputs = _inputs(network)
    batch, width = (inputs["input_ids"].shape or (None, None))[:2]
    pad_id = config.get("pad_token_id")
    files = read_tokenizer(folder, pad_id if isinstance(pad_id, int) else None)
    framing = files.framing.limited(max_length, width if isinstance(width, int) else None)
    if texts is None:
        texts = with_tokens([token.content for token in files.added])
    elif not texts:
        raise PackError(
            "there is no text to compare ids on; give at least one, or none to compare on a list of hard ones"
        )
    check_ids(files, framing, network.opset_imports[""], texts)
    write = GraphWriter(network)
    text = write.input(TEXT, ir.DataType.STRING, [batch if isinstance(batch, int) else getattr(batch, "value", None)])
    made = write_tokenizer(write, text, files, framing, {*inputs, "attention_mask"})
    connect(write, made)
    write.put_first()
    return PackedText(files, len(texts), made["input_ids"], made["attention_mask"])


def _inputs(network: ir.Model) -> dict[str, ir.Value]:
    """The inputs of the network by name, all of which a tokenizer makes.

    Raises:
        PackError: there is another one, or no `input_ids`.
    """
    inputs = {str(value.name): value for value in network.graph.inputs if value.name not in network.graph.initializers}
    for name, value in inputs.items():
        if name not in INPUTS or value.dtype not in INTEGERS or value.shape is None or len(value.shape) != 2:
            reason = "; of a decoder, pack the file without a cache" if "past" in name else ""
            raise PackError(
                f"a tokenizer does not make the network's input '{name}' {value.dtype} {value.shape}{reason}"
            )
    if "input_ids" not in inputs:
        raise PackError(f"the network has no input 'input_ids', which a tokenizer makes, but {sorted(inputs)}")
    return inputs
