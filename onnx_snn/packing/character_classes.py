# SPDX-License-Identifier: Apache-2.0
"""What normalizers and splitters of the `tokenizers` library do to each character of Unicode, read off the library.

It applies where a normalizer maps each character by itself, as BERT's does (control characters, accents, case), and a
splitter drops or isolates characters, as BERT's does (white space, punctuation). Reading the library rather than its
options gives the same version of Unicode.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

SURROGATES = range(0xD800, 0xE000)
"""Code points that are no characters."""

NEUTRAL = "x"
"""A character that every normalizer here leaves as it is, and no splitter drops or isolates: put between others."""

CHUNK = 256
"""Characters that are normalized in one call."""


UNIFORM = (range(0x40000, 0xE0000), range(0xE1000, 0xF0000), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))
"""Blocks of which all characters are alike: not assigned, and for private use. The first one is looked at."""


def characters() -> list[str]:
    """The characters of Unicode, also those that are not assigned, of `UNIFORM` blocks the first ones.

    NUL is not among them, because strings end there.
    """
    single = (code for code in range(1, 0x40000) if code not in SURROGATES)
    tags, last = range(0xE0000, 0xE1000), (0xFFFFE, 0xFFFFF, 0x10FFFE, 0x10FFFF)
    return [chr(code) for code in itertools.chain(single, tags, (block[0] for block in UNIFORM), last)]


FIRST = 127
"""Characters that are looked at first, because most splitters that depend on neighbours show it there."""


class Normalized(NamedTuple):
    """What becomes of characters; those in no field stay as they are.

    Attributes:
        removed: They disappear.
        spaces: They become a space.
        isolated: They get a space before and behind.
        others: What the others become.
    """

    removed: list[str]
    spaces: list[str]
    isolated: list[str]
    others: dict[str, str]


def normalized(normalize: Callable[[str], str]) -> Normalized:
    """What `normalize` does to each character."""
    found = Normalized([], [], [], {})
    every = characters()
    for begin in range(0, len(every), CHUNK):
        chunk = every[begin : begin + CHUNK]
        for character, becomes in zip(chunk, _each(normalize, chunk), strict=True):
            if becomes == "":
                found.removed.append(character)
            elif becomes == " " != character:
                found.spaces.append(character)
            elif becomes == f" {character} ":
                found.isolated.append(character)
            elif becomes != character:
                found.others[character] = becomes
    return found


def _each(normalize: Callable[[str], str], chunk: list[str]) -> list[str]:
    """What each character becomes, by one call where the neutral characters between them can be told apart."""
    parts = normalize(NEUTRAL + NEUTRAL.join(chunk) + NEUTRAL).split(NEUTRAL)
    if len(parts) == len(chunk) + 2 and not parts[0] and not parts[-1]:
        return parts[1:-1]
    return [normalize(NEUTRAL + character + NEUTRAL)[1:-1] for character in chunk]


class Splitting(NamedTuple):
    """What a splitter does to characters; those in no field stay together with their neighbours.

    Attributes:
        dropped: A word ends and another begins, without them.
        isolated: They are words of their own.
    """

    dropped: list[str]
    isolated: list[str]


def splitting(split: Callable[[str], list[tuple[str, tuple[int, int]]]]) -> Splitting | None:
    """What `split`, which returns words and their places, does to each character; None where that depends on others."""
    every = characters()
    found = Splitting([], [])
    for part in (every[:FIRST], every[FIRST:]):
        singles = {c: words for c, words in zip(part, _words(split, part), strict=True) if words is not None}
        doubles = _words(split, [character * 2 for character in singles])
        for (character, single), double in zip(singles.items(), doubles, strict=True):
            if single == double == ():
                found.dropped.append(character)
            elif single == (character,) and double == (character, character):
                found.isolated.append(character)
            else:
                return None
    return found


def _words(split: Callable[[str], list[tuple[str, tuple[int, int]]]], texts: list[str]) -> list[tuple[str, ...] | None]:
    """The words that each text becomes between neutral characters; None where it is one word with these."""
    begins = list(itertools.accumulate((len(text) + 1 for text in texts), initial=0))
    words: list[list[str]] = [[] for _ in texts]
    whole = [False] * len(texts)
    index = 0
    for word, (begin, end) in split(NEUTRAL + NEUTRAL.join(texts) + NEUTRAL):
        while begins[index + 1] < begin:
            index += 1
        # Text number i lies between the neutral characters at begins[i] and begins[i + 1].
        if end - begin == 1 and word == NEUTRAL and begin in (begins[index], begins[index + 1]):
            continue
        place = index
        while place < len(texts) and begins[place] + 1 < end:
            if begin <= begins[place] and end > begins[place + 1]:
                whole[place] = True
            elif begin > begins[place] and end <= begins[place + 1]:
                words[place].append(word)
            place += 1
    return [None if one else tuple(found) for one, found in zip(whole, words, strict=True)]


def ranges(found: Iterable[str]) -> str:
    """Characters as the content of a class of RE2: ranges of code points, `UNIFORM` blocks in full."""
    return "".join(
        rf"\x{{{first:X}}}" if first == last else rf"\x{{{first:X}}}-\x{{{last:X}}}" for first, last in _runs(found)
    )


def _runs(found: Iterable[str]) -> Iterator[tuple[int, int]]:
    """First and last of each run of consecutive code points."""
    given = set(map(ord, found))
    codes = sorted(given.union(*(block for block in UNIFORM if block[0] in given)))
    for _, run in itertools.groupby(enumerate(codes), lambda pair: pair[1] - pair[0]):
        members = [code for _, code in run]
        yield members[0], members[-1]
