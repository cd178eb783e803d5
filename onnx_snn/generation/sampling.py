# SPDX-License-Identifier: Apache-2.0
"""The choice of the next token by its logits: the likeliest one, or one at random.

    z' = z / r where z > 0, else z r     for tokens that the text has: repetition penalty r (Keskar et al. 2019)
    p = softmax(z' / temperature)        over the top_k largest z', and of these over the nucleus, the likeliest ones
                                         that have top_p of the probability (Holtzman et al. 2020)

In the order of Transformers: penalty, temperature, top-k, top-p.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_snn.errors import ConfigError


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: divisor of the logits; 0 takes the likeliest token.
        top_k: number of tokens to draw from, the likeliest ones; 0 for all.
        top_p: probability of the tokens to draw from, the likeliest ones; 1 for all.
        repetition_penalty: divisor of the positive logits, and factor of the others, of tokens that the text has; 1 for
            none.
        seed: start of the random numbers; each text of a batch has its own ones.

    Raises:
        ConfigError: a value is out of its range.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        allowed = {
            "temperature": (0 <= self.temperature < np.inf, "0 or more"),
            "top_k": (self.top_k >= 0, "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0, and 1 at most"),
            "repetition_penalty": (0 < self.repetition_penalty < np.inf, "above 0"),
            "seed": (self.seed >= 0, "0 or more"),
        }
        for name, (holds, range_) in allowed.items():
            if not holds:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected {range_}")

    def generator(self, index: int) -> np.random.Generator:
        """Random numbers of text `index`."""
        return np.random.default_rng((self.seed, index))

    def choose(self, logits: NDArray[np.float32], text: Sequence[int], random: np.random.Generator) -> int:
        """The next token.

        Args:
            logits: [vocabulary].
            text: the tokens before it.
            random: random numbers of this text.
        """
        if self.repetition_penalty != 1:
            logits = penalized(logits, text, self.repetition_penalty)
        if self.temperature == 0:
            return int(logits.argmax())
        cumulated = np.cumsum(self.probabilities(logits))
        return int(np.searchsorted(cumulated, random.random() * cumulated[-1], side="right"))

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability with which each token is drawn [vocabulary], at a temperature above 0."""
        scaled = logits.astype(np.float64) / self.temperature
        if 0 < self.top_k < len(scaled):
            scaled = np.where(scaled < np.partition(scaled, -self.top_k)[-self.top_k], -np.inf, scaled)
        probabilities = softmax(scaled)
        if self.top_p < 1:
            probabilities = nucleus(probabilities, self.top_p)
        return probabilities


def penalized(logits: NDArray[np.float32], text: Sequence[int], penalty: float) -> NDArray[np.float32]:
    """Logits [vocabulary] with those of the tokens in `text` lowered."""
    lowered = logits.copy()
    seen = np.unique(np.asarray(text, np.int64))
    found = logits[seen]
    lowered[seen] = np.where(found < 0, found * np.float32(penalty), found / np.float32(penalty))
    return np.asarray(lowered)


def nucleus(probabilities: NDArray[np.float64], top_p: float) -> NDArray[np.float64]:
    """The distribution [vocabulary] without the unlikeliest tokens that have at most 1 - `top_p` together."""
    order = np.argsort(probabilities, kind="stable")
    dropped = order[:-1][np.cumsum(probabilities[order])[:-1] <= 1 - top_p]
    kept = probabilities.copy()
    kept[dropped] = 0
    return np.asarray(kept / kept.sum())


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of the classes [classes]."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())
