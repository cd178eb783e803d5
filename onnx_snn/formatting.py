# SPDX-License-Identifier: Apache-2.0
"""Dataclasses as JSON values, and plain-text tables."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterable, Sequence
from typing import Any


def json_values(entry: Any) -> dict[str, Any]:
    """Fields of a dataclass as JSON values: enumeration members become their values, NaN and infinities become None."""

    def value_of(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value.value if isinstance(value, enum.Enum) else value

    return {name: value_of(value) for name, value in dataclasses.asdict(entry).items()}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells in columns, left-aligned, with a rule under the header."""
    cells = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
