# SPDX-License-Identifier: Apache-2.0
"""The normalization that SentencePiece compiles into a tokenizer, as the `tokenizers` library applies it.

The library goes over grapheme clusters. Of a cluster under six bytes the shortest entry that it begins with replaces
all of it, accents that the entry lacks included; in others each character is replaced by itself. Entries are read off
the compiled table, what they become off the library.
"""

from __future__ import annotations

import functools
import struct
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from onnx_snn.errors import PackError
from onnx_snn.packing.character_classes import characters
from onnx_snn.packing.extensions import required

CLUSTER_BYTES = 5
"""Bytes of the longest cluster that is replaced as a whole."""

CONTROLS, IGNORABLE = ("Cc", "Cf", "Zl", "Zp"), range(0xE0000, 0xE1000)
"""Categories of characters with which a cluster ends, and a block that is kept for such ones."""

MAX_UNITS = 2**22
"""Units of the largest table that is read."""


class Charsmap(NamedTuple):
    """A compiled normalization.

    Attributes:
        singles: What characters become.
        pairs: What clusters become that begin with these two characters, of which the first is no entry.
        extending: Characters that belong to the cluster of the one before.
        ending: Characters with which a cluster ends.
    """

    singles: dict[str, str]
    pairs: dict[str, str]
    extending: list[str]
    ending: list[str]


@functools.lru_cache(maxsize=4)
def read_charsmap(compiled: bytes) -> Charsmap:
    """The normalization of a compiled table.

    Raises:
        PackError: it is damaged, or has an entry that is not supported.
    """
    try:
        normalize = required("tokenizers").normalizers.Precompiled(compiled).normalize_str
        entries = [entry.decode() for entry in _entries(compiled)]
    except PackError:
        raise
    except Exception as error:  # the library raises Exception itself
        raise PackError(f"the compiled normalization of the tokenizer cannot be read: {error}") from error
    every = characters()
    becomes = ((character, normalize(character)) for character in every)
    singles = {character: changed for character, changed in becomes if changed != character}
    known = {entry for entry in entries if len(entry) == 1}
    clusters = [entry for entry in entries if len(entry) > 1 and entry[0] not in known]
    pairs = {entry: normalize(entry) for entry in clusters if len(entry) == 2}
    longer = [entry for entry in clusters if entry[:2] not in pairs and len(entry.encode()) <= CLUSTER_BYTES]
    if longer:
        raise PackError(f"the compiled normalization has an entry of {len(longer[0])} characters, {longer[0]!r}")
    extending = _extending(normalize, known, singles, every)
    extends = set(extending)
    ending = [c for c in every if c not in extends and (unicodedata.category(c) in CONTROLS or ord(c) in IGNORABLE)]
    return Charsmap(singles, pairs, extending, ending)


def _extending(
    normalize: Callable[[str], str], known: Collection[str], singles: Mapping[str, str], every: Sequence[str]
) -> list[str]:
    """Characters that belong to the cluster of the one before them, told by what becomes of them behind an entry.

    A letter of two bytes that is an entry swallows one of up to three bytes. One of four bytes makes the cluster so
    long that an accent between them, which the letter would swallow, stays.
    """
    base = next((c for c in sorted(known) if len(c.encode()) == 2 and unicodedata.category(c)[0] in "LN"), None)
    if base is None:
        return []
    alone = normalize(base)
    short = [c for c in every if len(c.encode()) < 4 and singles.get(c, c) and normalize(base + c) == alone]
    accent = next((c for c in short if len(c.encode()) == 2), None)
    if accent is None:
        return short
    long = (c for c in every if len(c.encode()) == 4)
    return short + [c for c in long if normalize(base + accent + c) != alone + singles.get(c, c)]


def _entries(compiled: bytes) -> Iterator[bytes]:
    """The entries of the double-array trie at the begin of a compiled table.

    A unit of 32 bits has the label of its byte in bits 0 to 7 and 31, whether an entry ends in bit 8, and the offset of
    its children from bit 10 on, in steps of 256 where bit 9 is set.
    """
    size = struct.unpack_from("<I", compiled)[0]
    units = np.frombuffer(compiled, "<u4", size // 4, 4).astype(np.int64)
    if len(units) > MAX_UNITS:
        raise PackError(f"the compiled normalization has {len(units)} units, more than {MAX_UNITS}")
    labels = units & (1 << 31 | 0xFF)
    offsets = (units >> 10) << ((units & 1 << 9) >> 6)
    letters = np.arange(1, 256)
    reached = [(int(offsets[0]), b"")]
    while reached:
        place, prefix = reached.pop()
        children = place ^ letters
        inside = children < len(units)
        for letter in letters[inside][labels[children[inside]] == letters[inside]].tolist():
            child = place ^ letter
            entry = prefix + bytes([letter])
            if units[child] >> 8 & 1:
                yield entry
            reached.append((child ^ int(offsets[child]), entry))
