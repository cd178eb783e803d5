# SPDX-License-Identifier: Apache-2.0
"""Texts to tokens and back, by the `tokenizers` library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnx_snn.data.tokenizer_library import TOKENIZER, open_tokenizer
from onnx_snn.errors import ConfigError, ModelError
from onnx_snn.json_files import read_object

CONFIG = "tokenizer_config.json"

CONTEXT = 8
"""Number of tokens before new ones with which these are decoded: white space at a seam depends on what stands there."""

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""What tokens that hold only a part of a character are decoded to."""


class Tokenizer:
    """The tokenizer of a decoder.

    Args:
        folders: folders that may hold a tokenizer.json.

    Raises:
        ConfigError: none does, or the library is not installed.
        ModelError: the file cannot be read.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        folder = next((folder for folder in folders if (folder / TOKENIZER).is_file()), None)
        if folder is None:
            places = " or ".join(f"'{folder}'" for folder in folders)
            raise ConfigError(
                f"text needs a tokenizer, and {places} holds no {TOKENIZER}; name its folder (--tokenizer), or give "
                "prompts as lists of tokens"
            )
        self._folder = folder
        self._library = open_tokenizer(folder / TOKENIZER, "text generation", "text", ModelError)
        self._library.no_padding()
        self._library.no_truncation()

    @property
    def end(self) -> int | None:
        """The token that ends texts by tokenizer_config.json; None where it names none."""
        file = self._folder / CONFIG
        try:
            named = read_object(file).get("eos_token") if file.is_file() else None
        except (OSError, ValueError) as error:
            raise ModelError(f"cannot read '{file}' as a JSON object: {error}") from error
        content = named.get("content") if isinstance(named, dict) else named
        found: int | None = self._library.token_to_id(content) if isinstance(content, str) else None
        return found

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, with those that the tokenizer puts around it."""
        return list(self._library.encode(text).ids)

    def text(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones left out."""
        return str(self._library.decode(list(tokens), skip_special_tokens=True))


class TextOfTokens:
    """The text of tokens that come one by one, told as soon as its characters are complete.

    Args:
        tokenizer: turns tokens into text.
        prompt: tokens before them.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._tokens = list(prompt)
        self._told = len(self._tokens)

    def add(self, token: int) -> str:
        """What another token adds to the text; nothing while a character is incomplete."""
        self._tokens.append(token)
        new = self._new()
        if not new or new.endswith(INCOMPLETE):
            return ""
        self._told = len(self._tokens)
        return new

    def rest(self) -> str:
        """What has not been told, an incomplete character, when no token follows."""
        new = self._new()
        self._told = len(self._tokens)
        return new

    def _new(self) -> str:
        begin = max(self._told - CONTEXT, 0)
        before = self._tokenizer.text(self._tokens[begin : self._told])
        return self._tokenizer.text(self._tokens[begin:])[len(before) :]
