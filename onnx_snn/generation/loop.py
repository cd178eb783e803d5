# SPDX-License-Identifier: Apache-2.0
"""The loop of generation: read, choose a token for each text of a batch, read on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onnx_snn.generation.decoder import Reading
from onnx_snn.generation.growing_text import GrowingText
from onnx_snn.generation.sampling import Sampling


@dataclass
class Speed:
    """Tokens and the seconds that they took, without those of whoever reads a stream.

    Attributes:
        prompt_tokens: tokens of the prompts, without padding.
        prompt_seconds: until the first new tokens are known.
        tokens: new tokens after the first ones.
        seconds: of these.
    """

    prompt_tokens: int = 0
    prompt_seconds: float = 0.0
    tokens: int = 0
    seconds: float = 0.0


def grow(
    reading: Reading, texts: Sequence[GrowingText], indices: Sequence[int], sampling: Sampling, speed: Speed
) -> Iterator[tuple[int, str]]:
    """Let the texts of a batch grow until all have ended.

    Args:
        reading: reads them.
        texts: the texts.
        indices: number of each of them among all texts, which its random numbers depend on.
        sampling: how a token is chosen.
        speed: counts tokens and seconds.

    Yields:
        Number of a text and what is added to it; it may be empty.

    Raises:
        ModelError: a network fails.
    """
    random = [sampling.generator(index) for index in indices]
    speed.prompt_tokens += sum(len(text.prompt) for text in texts)
    first = True
    while any(text.ending is None for text in texts):
        start = time.perf_counter()
        logits = reading.logits([(*text.prompt, *text.tokens) for text in texts])
        told = []
        for row, text in enumerate(texts):
            if text.ending is None:
                token = sampling.choose(logits[row], (*text.prompt, *text.tokens), random[row])
                told.append((indices[row], text.add(token)))
        seconds = time.perf_counter() - start
        if first:
            speed.prompt_seconds += seconds
        else:
            speed.seconds += seconds
            speed.tokens += len(told)
        first = False
        yield from told
