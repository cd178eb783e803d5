# SPDX-License-Identifier: Apache-2.0
"""The choice of tokens, and texts that grow: what is told of them is the text of their tokens up to its end."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn import ConfigError
from onnx_snn.generation.growing_text import Ending, GrowingText
from onnx_snn.generation.sampling import Sampling
from onnx_snn.generation.tokenizer import Tokenizer

GPT2 = Path(__file__).parents[1] / "models" / "gpt2-war-and-peace"
VOCABULARY = 2048

LOGITS = st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=30).map(lambda row: np.array(row, np.float32))


@given(LOGITS)
def test_without_temperature_the_likeliest_token_is_taken(logits: np.ndarray) -> None:
    assert Sampling().choose(logits, [], np.random.default_rng(0)) == int(logits.argmax())


@given(LOGITS, st.integers(0, 40), st.floats(0.01, 1), st.integers(0, 5))
def test_tokens_are_drawn_from_those_that_are_left(logits: np.ndarray, top_k: int, top_p: float, seed: int) -> None:
    sampling = Sampling(0.7, top_k, top_p, seed=seed)
    left = sampling.probabilities(logits)
    assert left.sum() == pytest.approx(1)
    assert left[logits == logits.max()].max() == left.max() > 0
    assert left[sampling.choose(logits, [], sampling.generator(0))] > 0
    assert logits[left > 0].min() >= logits[left == 0].max(initial=-np.inf)
    if top_k == 1 and np.count_nonzero(logits == logits.max()) == 1:
        assert np.count_nonzero(left) == 1


def test_draws_have_their_probabilities_and_depend_on_the_seed_and_the_text() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))

    def draws(seed: int, index: int) -> list[int]:
        sampling = Sampling(1.0, seed=seed)
        random = sampling.generator(index)
        return [sampling.choose(logits, [], random) for _ in range(2000)]

    shares = np.bincount(draws(0, 0), minlength=4) / 2000
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.15, 0.05], atol=0.04)
    assert draws(0, 0) == draws(0, 0)
    assert len({tuple(draws(seed, index)) for seed in (0, 1) for index in (0, 1)}) == 4


def test_a_penalty_makes_a_repetition_unlikelier() -> None:
    logits = np.array([2.0, 1.9, -1.0], np.float32)
    random = np.random.default_rng(0)
    assert Sampling(repetition_penalty=1.5).choose(logits, [0], random) == 1
    assert Sampling(repetition_penalty=1.5).choose(logits, [2], random) == 0
    assert Sampling().choose(logits, [0], random) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_p": 0},
        {"top_p": 1.5},
        {"repetition_penalty": 0},
        {"seed": -1},
    ],
)
def test_values_out_of_range_are_named(options: dict[str, float]) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=f"{name} is .*; expected"):
        Sampling(**options)  # type: ignore[arg-type]


# --- text ------------------------------------------------------------------------------------------


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer([GPT2])


def grown(tokens: list[int], stop: list[str], prompt: str) -> tuple[str, GrowingText]:
    """The pieces that are told for `tokens`, joined, and the text."""
    limits = {Ending.LENGTH: len(tokens)}
    text = GrowingText(tokenizer().tokens(prompt), tokenizer(), ends=frozenset([0]), stop=stop, limits=limits)
    return "".join(text.add(token) for token in tokens if text.ending is None), text


@given(
    st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=12),
    st.lists(st.text("ae t.", min_size=1, max_size=3), max_size=2),
    st.sampled_from(["", "Prince", "d\u00e9j\u00e0 "]),
)
def test_what_is_told_is_the_text_up_to_its_end(tokens: list[int], stop: list[str], prompt: str) -> None:
    whole = tokenizer().text([*tokenizer().tokens(prompt), *tokens])[len(prompt) :]
    told, text = grown(tokens, stop, prompt)
    places = [place for place in map(whole.find, stop) if place >= 0]
    assert told == text.text == whole[: min(places, default=None)]
    assert text.ending is (Ending.STOP if places else Ending.LENGTH)


def test_a_character_of_several_tokens_is_told_whole() -> None:
    tokens = tokenizer().tokens("a \U0001f600 b")
    limits = {Ending.LENGTH: 99}
    text = GrowingText([5], tokenizer(), ends=frozenset([0]), stop=[], limits=limits)
    pieces = [text.add(token) for token in tokens]
    assert "".join(pieces) == "a \U0001f600 b"
    assert "" in pieces
    cut = GrowingText([5], tokenizer(), ends=frozenset([0]), stop=[], limits=limits)
    for token in tokens[: pieces.index("") + 1]:
        cut.add(token)
    assert cut.add(0).endswith("\N{REPLACEMENT CHARACTER}")
    assert cut.ending is Ending.STOP
