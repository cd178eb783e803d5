# SPDX-License-Identifier: Apache-2.0
"""WordPiece, as of BERT: words at white space and punctuation, each read as the longest pieces from the left on."""

from __future__ import annotations

import functools
import json

import onnx_ir as ir

from onnx_snn.errors import PackError
from onnx_snn.packing.character_classes import Splitting, ranges, splitting
from onnx_snn.packing.character_map import replaced
from onnx_snn.packing.extensions import described_tokenizer
from onnx_snn.packing.graph_writer import EXTENSIONS, MACHINE_LEARNING, GraphWriter
from onnx_snn.packing.ragged import Rows, differences, ends, pieces, places
from onnx_snn.packing.tokenizer_files import TokenizerFiles

DEFAULT_LIMIT = 100
"""Characters of the longest word that is read, unless the tokenizer says otherwise; a longer one is unknown."""


def write_wordpiece(write: GraphWriter, texts: ir.Value, files: TokenizerFiles) -> Rows:
    """The ids of normalized `texts`, string [segments].

    Raises:
        PackError: words are not told apart character by character, or there is no token for unknown words.
    """
    model = files.model
    vocabulary, unknown = model["vocab"], model.get("unk_token", "[UNK]")
    if unknown not in vocabulary:
        raise PackError(f"the vocabulary has no {unknown!r}, the token of unknown words")
    words, bounds = pieces(write, _spaced(write, texts, files), " +", kept=False)
    tokens, limits, _, _ = write.op(
        EXTENSIONS,
        "WordpieceTokenizer",
        [words, write.Range(0, 0, 1)],
        4,
        vocab=json.dumps(vocabulary, separators=(",", ":")),
        suffix_indicator=model.get("continuing_subword_prefix", "##"),
        unknown_token=unknown,
        max_input_chars_per_word=model.get("max_input_chars_per_word", DEFAULT_LIMIT),
    )
    ids = write.op(
        MACHINE_LEARNING,
        "LabelEncoder",
        [tokens],
        keys_strings=list(vocabulary),
        values_int64s=list(vocabulary.values()),
        default_int64=vocabulary[unknown],
    )[0]
    read = _whole_or_unknown(write, Rows(ids, differences(write, limits)), vocabulary[unknown])
    return Rows(read.ids, differences(write, write.Gather(ends(write, read.lengths), bounds)))


def _whole_or_unknown(write: GraphWriter, words: Rows, unknown: int) -> Rows:
    """`words` of which those with an unknown rest are unknown as a whole: the operator keeps the pieces before it."""
    is_unknown = write.Equal(words.ids, unknown)
    until = ends(write, write.Cast(is_unknown, to=ir.DataType.INT64))
    unread = write.Greater(differences(write, write.Gather(until, ends(write, words.lengths))), 0)
    word, _ = places(write, words.lengths)
    stays = write.Or(is_unknown, write.Not(write.Gather(unread, word)))
    return Rows(write.Compress(words.ids, stays, axis=0), write.Where(unread, 1, words.lengths))


@functools.lru_cache(maxsize=4)
def _splitting(described: str) -> Splitting | None:
    """What a `pre_tokenizer` of tokenizer.json does to each character."""
    return splitting(described_tokenizer(pre_tokenizer=json.loads(described)).pre_tokenizer.pre_tokenize_str)


def _spaced(write: GraphWriter, texts: ir.Value, files: TokenizerFiles) -> ir.Value:
    """`texts` with a space wherever a word ends, and no other white space.

    Raises:
        PackError: words are not told apart character by character.
    """
    found = _splitting(json.dumps(files.splitting)) if files.splitting else None
    if found is None:
        kind = files.splitting.get("type") if files.splitting else None
        raise PackError(
            f"the tokenizer splits words by {kind}, not character by character as BertPreTokenizer, WhitespaceSplit "
            "and Punctuation do, for which there are operators"
        )
    dropped = [character for character in found.dropped if character != " "]
    if dropped:
        texts = replaced(write, texts, f"[{ranges(dropped)}]", " ")
    return replaced(write, texts, f"([{ranges(found.isolated)}])", r" \1 ") if found.isolated else texts
