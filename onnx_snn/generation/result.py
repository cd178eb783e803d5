# SPDX-License-Identifier: Apache-2.0
"""Generated texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onnx_snn.formatting import json_values
from onnx_snn.generation.growing_text import GrowingText
from onnx_snn.generation.loop import Speed


@dataclass(frozen=True)
class Generation:
    """Generated texts.

    Attributes:
        prompts: tokens of each prompt.
        tokens: new tokens of each text, with the one that ended it.
        texts: what follows each prompt, without special tokens and stop texts; empty without a tokenizer.
        endings: why each ended: "stop" at a token or a text that ends it, "length" at `max_new_tokens`, "context" where
            the network has no further positions; empty where it has not.
        prompt_rate: tokens of the prompts read in a second.
        rate: tokens generated in a second, after the first ones; 0 where there are none.
    """

    prompts: tuple[tuple[int, ...], ...]
    tokens: tuple[tuple[int, ...], ...]
    texts: tuple[str, ...]
    endings: tuple[str, ...]
    prompt_rate: float
    rate: float

    @classmethod
    def of(cls, texts: Sequence[GrowingText], speed: Speed) -> Generation:
        """What `texts` have become."""
        return cls(
            tuple(text.prompt for text in texts),
            tuple(tuple(text.tokens) for text in texts),
            tuple(text.text for text in texts),
            tuple("" if text.ending is None else text.ending.value for text in texts),
            speed.prompt_tokens / speed.prompt_seconds if speed.prompt_seconds else 0.0,
            speed.tokens / speed.seconds if speed.seconds else 0.0,
        )

    def speed_text(self) -> str:
        """Numbers of tokens and rates, in one line."""
        read, made = (sum(map(len, tokens)) for tokens in (self.prompts, self.tokens))
        return (
            f"prompt: {read:,} tokens, {self.prompt_rate:,.1f} tokens/s; "
            f"generation: {made:,} tokens, {self.rate:,.1f} tokens/s"
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return json_values(self)
