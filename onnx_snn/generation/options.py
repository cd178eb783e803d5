# SPDX-License-Identifier: Apache-2.0
"""Options of a generation."""

from __future__ import annotations

from dataclasses import dataclass

from onnx_snn.errors import ConfigError
from onnx_snn.generation.sampling import Sampling

NEW_TOKENS = 128
"""Number of new tokens by default."""


@dataclass(frozen=True)
class GenerationOptions:
    """How texts are generated.

    Attributes:
        max_new_tokens: largest number of new tokens of a text, 1 or more.
        stop: texts before which a text ends.
        stop_tokens: tokens that end a text; those of the network's configuration, else of its tokenizer, where None.
        temperature: divisor of the logits; 0 takes the likeliest token.
        top_k: number of tokens to draw from, the likeliest ones; 0 for all.
        top_p: probability of the tokens to draw from, the likeliest ones; 1 for all.
        repetition_penalty: divisor of the positive logits, and factor of the others, of tokens that the text has; that
            of the network's configuration where None.
        seed: start of the random numbers.

    Raises:
        ConfigError: an option is out of its range.
    """

    max_new_tokens: int = NEW_TOKENS
    stop: tuple[str, ...] = ()
    stop_tokens: tuple[int, ...] | None = None
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens is {self.max_new_tokens}; expected 1 or more")
        if "" in self.stop:
            raise ConfigError("a stop text is empty, at which every text would end; give characters, or leave it out")
        self.sampling(1.0)

    def sampling(self, repetition_penalty: float) -> Sampling:
        """How a token is chosen; `repetition_penalty` is that of the network's configuration."""
        penalty = repetition_penalty if self.repetition_penalty is None else self.repetition_penalty
        return Sampling(self.temperature, self.top_k, self.top_p, penalty, self.seed)
