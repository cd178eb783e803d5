# SPDX-License-Identifier: Apache-2.0
"""A text while it is generated: its tokens, the characters that are certain, and why it ended."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from onnx_snn.generation.tokenizer import TextOfTokens, Tokenizer


class Ending(enum.Enum):
    """Why a text ended."""

    STOP = "stop"
    """A token that ends texts, or a stop text."""

    LENGTH = "length"
    """It has as many tokens as were asked for."""

    CONTEXT = "context"
    """The network has no further positions."""


class GrowingText:
    """What follows one prompt.

    Args:
        prompt: its tokens.
        tokenizer: turns tokens into text; None for tokens alone.
        ends: tokens that end the text.
        stop: texts before which it ends.
        limits: number of new tokens at which it ends, for each of the two reasons.

    Attributes:
        tokens: the new tokens, with the one that ended the text.
        text: the characters that were told.
        ending: why it ended; None while it has not.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        tokenizer: Tokenizer | None,
        *,
        ends: frozenset[int],
        stop: Sequence[str],
        limits: dict[Ending, int],
    ) -> None:
        self.prompt = tuple(prompt)
        self.tokens: list[int] = []
        self.text = ""
        self._decoded = None if tokenizer is None else TextOfTokens(tokenizer, prompt)
        self._ends, self._stop, self._limits = ends, [text for text in stop if text], limits
        self._held = ""
        self.ending = self._limit()

    def add(self, token: int) -> str:
        """Another token; the text that has become certain by it."""
        self.tokens.append(token)
        if token in self._ends:
            self.ending = Ending.STOP
            return self._tell(self._rest())
        self._held += "" if self._decoded is None else self._decoded.add(token)
        found = [place for text in self._stop if (place := self._held.find(text)) >= 0]
        if found:
            self.ending = Ending.STOP
            return self._tell(self._held[: min(found)])
        self.ending = self._limit()
        return self._tell(self._rest() if self.ending else self._held[: len(self._held) - self._doubtful()])

    def _limit(self) -> Ending | None:
        """The limit that is reached, the first one of several."""
        reached = [ending for ending, limit in self._limits.items() if len(self.tokens) >= limit]
        return next(iter(reached), None)

    def _rest(self) -> str:
        """All that is held back, when the text ends."""
        return self._held + ("" if self._decoded is None else self._decoded.rest())

    def _doubtful(self) -> int:
        """Number of last characters that may be the beginning of a stop text."""
        sizes = range(min(len(self._held), max(map(len, self._stop), default=1) - 1), 0, -1)
        return next((size for size in sizes if any(text.startswith(self._held[-size:]) for text in self._stop)), 0)

    def _tell(self, new: str) -> str:
        self._held = self._held[len(new) :]
        self.text += new
        return new
