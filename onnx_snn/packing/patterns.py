# SPDX-License-Identifier: Apache-2.0
"""Patterns of RE2, the library of regular expressions in onnxruntime-extensions."""

from __future__ import annotations

import re

WHITE_SPACE = r"[\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]*"
"""White space of Unicode, any number of characters; `\\s` of RE2 knows ASCII only."""


def escaped(text: str) -> str:
    """`text` as a pattern; RE2 takes no backslash before a character that is not punctuation of ASCII."""
    return "".join(re.escape(c) if c.isascii() and not c.isspace() else c for c in text)
