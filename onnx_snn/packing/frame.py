# SPDX-License-Identifier: Apache-2.0
"""From the ids of texts to inputs of a network: special tokens around, truncation, padding, and masks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnx_snn.packing.graph_writer import GraphWriter
from onnx_snn.packing.ragged import Rows, places
from onnx_snn.packing.tokenizer_files import Framing


class Encoded(NamedTuple):
    """Texts as a network reads them, int64 [texts, longest].

    Attributes:
        input_ids: Ids of the tokens.
        attention_mask: 1 where a token is, 0 where the text is padded.
    """

    input_ids: ir.Value
    attention_mask: ir.Value


def frame(write: GraphWriter, rows: Rows, framing: Framing) -> Encoded:
    """`rows` with what `framing` puts around, cut off and padded."""
    before, around = len(framing.prefix), len(framing.prefix) + len(framing.suffix)
    kept = rows.lengths
    if framing.max_length is not None:
        kept = write.Min(kept, framing.max_length - around)
    total = write.Add(kept, around)
    width = write.ReduceMax(total, keepdims=0) if framing.width is None else write.Add(framing.width, 0)
    zeros = write.Sub(total, total)
    shift = write.Sub(width, total) if framing.pad_left else zeros
    column = write.Sub(write.Range(0, width, 1), write.Unsqueeze(shift, [1]))

    mask = write.And(write.GreaterOrEqual(column, 0), write.Less(column, write.Unsqueeze(total, [1])))
    ids = write.Where(mask, framing.pad_id, framing.pad_id)
    for place, token in enumerate(framing.prefix):
        ids = write.Where(write.Equal(column, place), token, ids)
    for place, token in enumerate(framing.suffix, before):
        ids = write.Where(write.Equal(column, write.Unsqueeze(write.Add(kept, place), [1])), token, ids)

    row, within = places(write, rows.lengths)
    if framing.truncate_left:
        within = write.Sub(within, write.Gather(write.Sub(rows.lengths, kept), row))
    stays = write.And(write.GreaterOrEqual(within, 0), write.Less(within, write.Gather(kept, row)))
    target = write.Add(write.Add(within, before), write.Gather(shift, row))
    index = write.Concat(write.Unsqueeze(row, [1]), write.Unsqueeze(target, [1]), axis=1)
    ids = write.ScatterND(ids, write.Compress(index, stays, axis=0), write.Compress(rows.ids, stays, axis=0))
    return Encoded(ids, write.Cast(mask, to=ir.DataType.INT64))


def positions(write: GraphWriter, encoded: Encoded) -> ir.Value:
    """Position of each token in its text from 0, and 1 for padding, as Transformers numbers them for decoders."""
    counted = write.Sub(write.CumSum(encoded.attention_mask, 1), 1)
    return write.Where(write.Cast(encoded.attention_mask, to=ir.DataType.BOOL), counted, 1)


def segment_types(write: GraphWriter, encoded: Encoded) -> ir.Value:
    """The type of each token where a sample is one text: 0."""
    return write.Mul(encoded.input_ids, np.int64(0))
