# SPDX-License-Identifier: Apache-2.0
"""Dataclasses as JSON values, and plain text: tables as wide as their cells, and tables and prose for a terminal."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

SCREEN_WIDTH = 80
"""Number of columns of a terminal for which reports are written."""

GAP = "  "
"""Text between two columns of a table."""

SHORTEST = 8
"""Least number of columns that a cell is cut or wrapped to."""


def printable(text: str, *, lines: bool = False) -> str:
    """`text` with escape sequences in place of characters that would control a terminal.

    Args:
        text: any text, such as the name of a node in a file of unknown origin.
        lines: keep line feeds.
    """
    if text.isprintable():
        return text
    kept = "\n" if lines else ""
    return "".join(
        char if char.isprintable() or char in kept else char.encode("unicode_escape").decode() for char in text
    )


def json_values(entry: Any) -> dict[str, Any]:
    """Fields of a dataclass as JSON values: enumeration members become their values, NaN and infinities become None."""
    return {name: _json_value(value) for name, value in dataclasses.asdict(entry).items()}


def _json_value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (list, tuple)):
        return [_json_value(one) for one in value]
    if isinstance(value, dict):
        return {name: _json_value(one) for name, one in value.items()}
    return value.value if isinstance(value, enum.Enum) else value


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells in columns, left-aligned, with a rule under the header; as wide as the cells are."""
    cells = [tuple(header), *(tuple(map(printable, row)) for row in rows)]
    lines = _aligned(cells, [max(map(len, column)) for column in zip(*cells, strict=True)])
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def screen_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, width: int = SCREEN_WIDTH) -> str:
    """A `table` of at most `width` columns, for a terminal.

    Where the cells need more, headers are wrapped first, at spaces and after slashes. Then the widest columns are
    narrowed until the table fits: prose is wrapped at spaces, and longer words, such as names of nodes, are shortened
    in the middle (`shortened`). Cells of up to 8 characters, such as most numbers, stay whole; a table of so many
    columns that even these do not fit is wider than `width`.
    """
    body = [tuple(map(printable, row)) for row in rows]
    columns = list(zip(header, *body, strict=True))
    room = width - len(GAP) * (len(columns) - 1)
    widths = [max(map(len, column)) for column in columns]
    if sum(widths) > room:
        least = [max(map(len, (*_words(column[0]), *column[1:]))) for column in columns]
        if sum(least) > room:
            widths = _narrowed(least, [min(size, SHORTEST) for size in least], room)
        else:
            widths = _narrowed(widths, least, room)
    fitted = [_fitted(column[1:], size) for column, size in zip(columns, widths, strict=True)]
    heads = [_wrapped_header(name, size) for name, size in zip(header, widths, strict=True)]
    height = max(map(len, heads))
    top = _aligned(list(zip(*([""] * (height - len(head)) + head for head in heads), strict=True)), widths)
    below = [line for cells in zip(*fitted, strict=True) for line in _row(cells, widths)]
    return "\n".join([*top, "-" * max(map(len, top)), *below])


def wrapped(text: str, *, width: int = SCREEN_WIDTH, indent: str = "") -> str:
    """Prose in lines of at most `width` columns, broken at spaces, those after the first indented by `indent`.

    Longer words, such as paths, stay whole.
    """
    return textwrap.fill(
        printable(re.sub(r"\s", " ", text)),
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def shortened(words: Iterable[str], width: int) -> dict[str, str]:
    """Each of `words` in at most `width` characters, longer ones with an ellipsis in place of a part of them.

    The words are cut in the middle. Where some of them would then look the same, such as names of nodes of several
    layers, the beginning that all long words share makes way too, and the cut moves to where most words stay different.
    """
    words = list(dict.fromkeys(words))
    long = [word for word in words if len(word) > width]
    middle = (width - 1) // 2
    # The first characters that the least and the greatest word share are shared by all.
    pairs = zip(min(long), max(long), strict=False) if len(long) > 1 else ()
    shared = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))
    places = sorted(range(width), key=lambda start: abs(start - middle))
    cuts = [(0, start) for start in places] + [(shared, start) for start in places if shared > 1]
    best, most = {word: word for word in words}, 0
    for drop, start in cuts if long else []:
        cut = {word: _cut(word, drop, start, width) if len(word) > width else word for word in words}
        if (different := len(set(cut.values()))) > most:
            best, most = cut, different
        if most == len(words):
            break
    return best


def _cut(word: str, drop: int, start: int, width: int) -> str:
    """`word` without its first `drop` characters, and with `start` characters before a cut to `width` characters."""
    word = f"…{word[drop:]}" if drop else word
    return word if len(word) <= width else f"{word[:start]}…{word[len(word) - (width - 1 - start) :]}"


def _aligned(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """A line for each row, its cells padded to `widths`."""
    return [GAP.join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """The lines of one row, whose cells have several lines each."""
    height = max(map(len, cells))
    return _aligned(list(zip(*([*cell, *[""] * (height - len(cell))] for cell in cells), strict=True)), widths)


def _narrowed(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """`widths` with the largest reduced to one common size, but none below `least`, so that their sum is `room`."""
    sizes = list(widths)
    while sum(sizes) > room:
        reducible = [index for index, size in enumerate(sizes) if size > least[index]]
        if not reducible:
            break
        sizes[max(reducible, key=lambda index: sizes[index])] -= 1
    return sizes


def _words(header: str) -> list[str]:
    """The parts between which a header may be wrapped: after spaces and slashes."""
    return re.findall(r"[^\s/]+/?|/", header)


def _wrapped_header(header: str, size: int) -> list[str]:
    """The lines of a header in a column of `size` characters."""
    if len(header) <= size:
        return [header]
    lines = [""]
    for word in _words(header):
        joint = "" if lines[-1].endswith("/") or not lines[-1] else " "
        if lines[-1] and len(lines[-1]) + len(joint) + len(word) > size:
            lines.append("")
            joint = ""
        lines[-1] += joint + word
    cut = shortened(lines, size)
    return [cut[line] for line in lines]


def _fitted(cells: Sequence[str], size: int) -> list[list[str]]:
    """The lines of each cell of a column of `size` characters."""
    cut = shortened((word for cell in cells if len(cell) > size for word in cell.split()), size)
    lines = []
    for cell in cells:
        if len(cell) <= size:
            lines.append([cell])
        else:
            text = " ".join(cut[word] for word in cell.split())
            lines.append(textwrap.wrap(text, size, break_on_hyphens=False))
    return lines


def share(part: int, whole: int) -> str:
    """`part` of `whole` in percent; a share that is not 0 does not read as 0."""
    fraction = part / max(whole, 1)
    return "<0.01%" if 0.0 < fraction < 5e-5 else f"{fraction:.2%}"
