# SPDX-License-Identifier: Apache-2.0
"""Texts on which tokenizers disagree: white space, case, accents, scripts, emoji, control characters, lengths."""

from __future__ import annotations

from collections.abc import Sequence

HARD_TEXTS = (
    "a gripping , and moving film",
    "",
    " ",
    "   ",
    " leading",
    "trailing ",
    "two  spaces   three",
    "\ttab\tand\t\ttabs",
    "a line\nanother\n\nand a third\n",
    "carriage\r\nreturn\r",
    "no-break\u00a0space, em\u2003space, line\u2028separator, ideographic\u3000space",
    "\x0bvertical tab\x0c form feed",
    "UPPER lower Title cAmEl",
    "İstanbul ISTANBUL ıspanak ΣΊΣΥΦΟΣ ὈΔΥΣΣΕΎΣ Straße ẞ ǅ",
    "café naïve Ångström façade coöperate",
    "cafe\u0301 nai\u0308ve A\u030angstro\u0308m",
    "e\u0301\u0323 e\u0323\u0301 q\u0307\u0323 \u0301alone",
    "1E\u1ebf Tiếng Việt có dấu",
    "smile 😀 smiles😀😀😀",
    "👩‍👩‍👧‍👦 family, 🧑🏽‍💻 coder, 🏳️‍🌈 flag, 🇩🇪🇫🇷 flags",
    "❤️ ☎ ™ © ½ ² Ⅷ ﬁ ﷺ",
    "漢字かな交じり文、中国語の文。",
    "我爱北京天安门 and English 混合",
    "한국어 문장 하나 \u1112\u1161\u11ab",
    "שלום עולם",
    "مرحبا بالعالم",
    "नमस्ते दुनिया ไทยแลนด์ தமிழ்",
    "Привет, мир! Γειά σου Κόσμε",
    "full ＷＩＤＴＨ　ｌｅｔｔｅｒｓ ｶﾀｶﾅ",
    "zero\u200bwidth\u200cand\u200djoiners\ufeff soft\u00adhyphen",
    "\u202eright to left\u202c override",
    "control\x01\x07\x1b[31m\x7f\x85characters",
    "private \ue000 unassigned \u0378 replacement \ufffd noncharacter \uffff plane 14 \U000e0001",
    "don't I'll we've she'd you're I'm it's 'quoted' ''",
    "DON'T I’LL “typographic” ‘quotes’ — dash – en … ellipsis",
    "1234567890 3.14 1,000,000 1e-5 0x1F 50% $5 #7 @me",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    "http://example.org/a?b=c&d=e#f user@example.org C:\\path\\file",
    '<b>tags</b> &amp; {"json": [1, null]} \\n \\u0041',
    "▁ lower one eighth block ▁▁ ## hash ##ing Ġ Ċ",
    "word" * 60,
    "a" * 250,
    "x y " * 600,
    "é" * 120 + "漢" * 120,
)
"""What ids are compared on unless the user gives texts. NUL is not among them: strings end there in the operators of
onnxruntime-extensions, as they do in onnxruntime's C interface."""


def with_tokens(tokens: Sequence[str]) -> list[str]:
    """`HARD_TEXTS`, and texts with `tokens` at the begin, inside and at the end, with and without white space."""
    few = [*tokens[:8], *tokens[-2:]]
    around = [
        form.format(token)
        for token in dict.fromkeys(few)
        for form in ("{0}", "a{0}b", " {0} ", "x \t{0} \n y", "{0}{0}z", "{0} A", "é{0}漢 ", "{0}.{0}")
    ]
    mixed = ["".join(few), " ".join(few), "".join(f"{token}x" for token in few), few[0][:-1] if few else ""]
    return [*HARD_TEXTS, *around, *mixed]
