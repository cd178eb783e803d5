# SPDX-License-Identifier: Apache-2.0
"""JSON objects in files of users, which are not trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object in `text`.

    Raises:
        ValueError: it is no JSON, no object, nested too deeply, or an object in it has a key twice.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"it is a {type(value).__name__}; expected an object")
    return value


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: as of `parse_object`, or it is not UTF-8.
    """
    return parse_object(path.read_text(encoding="utf-8"))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of `pairs`, of which none overwrites another."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r} is there twice")
        found[name] = value
    return found
