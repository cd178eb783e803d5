# SPDX-License-Identifier: Apache-2.0
"""The digest of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

PIECE = 1 << 20
"""Bytes that are read at once."""


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits; it is read in pieces.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
