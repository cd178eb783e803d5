# SPDX-License-Identifier: Apache-2.0
"""Attention with grouped queries, written out, computes what onnxruntime computes for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fused_operators import TOLERANCE, assert_same, declare, grouped, kinds, model, run, written_out
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import normal

from onnx_snn.rules import Kind

GROUPED = ["", ", scale = 0.3", ", softcap = 2.0", ", local_window_size = 2", ", smooth_softmax = 1"]
GROUPED += [", do_rotary = 1", ", do_rotary = 1, rotary_interleaved = 1"]


@pytest.mark.parametrize("attributes", GROUPED)
@pytest.mark.parametrize(
    "situation",
    [
        pytest.param({"new": 4, "buffer": None, "lengths": [4, 4]}, id="prompt without cache"),
        pytest.param({"new": 4, "buffer": 0, "lengths": [4, 4]}, id="prompt with an empty cache"),
        pytest.param({"new": 4, "buffer": 9, "lengths": [4, 4]}, id="prompt with a buffer"),
        pytest.param({"buffer": 5, "lengths": [6, 6]}, id="one token"),
        pytest.param({"buffer": 5, "lengths": [6, 4]}, id="sequences of different lengths"),
        pytest.param({"buffer": 9, "lengths": [6, 4]}, id="buffer longer than the sequences"),
        pytest.param({"batch": 1, "new": 3, "buffer": 5, "lengths": [8]}, id="several tokens"),
        pytest.param({"new": 1, "lengths": [6, 6], "packed": True}, id="packed"),
    ],
)
def test_grouped_queries(attributes: str, situation: dict[str, Any]) -> None:
    body, feeds = grouped(attributes, **situation)
    assert Kind.SOFTMAX in kinds(assert_same(body, feeds, "y k2 v2"))


def test_a_padded_prompt_agrees_wherever_it_is_not_padded() -> None:
    body, feeds = grouped(", do_rotary = 1", new=4, buffer=None, lengths=[4, 2])
    fused = model(body, feeds, "y k2 v2")
    expected = run(fused, feeds)
    declare(fused, expected)
    got = run(written_out(fused), feeds)
    for row, length in enumerate([4, 2]):
        np.testing.assert_allclose(got["y"][row, :length], expected["y"][row, :length], **TOLERANCE)


@pytest.mark.parametrize(
    ("situation", "places"),
    [
        ({"new": 4, "buffer": None, "lengths": [4, 4]}, [[3, 5, 6, 9], [1, 2, 7, 8]]),
        ({"batch": 1, "new": 4, "buffer": 0, "lengths": [4]}, [[3, 5, 6, 9]]),
        ({"lengths": [6, 6]}, [[3], [9]]),
        ({"batch": 1, "new": 3, "lengths": [8]}, [[2, 9, 4]]),
    ],
    ids=["prompt", "prompt with an empty cache", "one token", "several tokens"],
)
def test_grouped_queries_with_positions(situation: dict[str, Any], places: list[list[int]]) -> None:
    body, feeds = grouped(", do_rotary = 1", **situation)
    assert_same(f"{body[:-1]}, position_ids)", feeds | {"position_ids": np.array(places)}, "y k2 v2")


@pytest.mark.parametrize("attributes", [", do_rotary = 1", ", softcap = 1.0, local_window_size = 3"])
@pytest.mark.parametrize(("index", "extra"), [(10, "a"), (11, "z")])
def test_grouped_queries_with_biases_and_sinks(index: int, extra: str, attributes: str) -> None:
    body, feeds = grouped(attributes, batch=1, new=2, lengths=[7])
    feeds |= {"a": {"a": normal(1, 4, 2, 7)}, "z": {"z": normal(4)}}[extra]
    count = body.count(",", body.rindex("(")) + 1
    assert_same(f"{body[:-1]}, {', '.join([''] * (index - count) + [extra])})", feeds, "y k2 v2")


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(0, 6), st.data())
def test_caches_of_any_lengths(batch: int, spare: int, data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 8), min_size=batch, max_size=batch))
    buffer = max(lengths) - 1 + spare
    if buffer == 0:  # a prompt of one token, which is no continuation
        lengths = [1] * batch
    body, feeds = grouped(", do_rotary = 1", batch=batch, buffer=buffer, lengths=lengths)
    assert_same(body, feeds, "y k2 v2")
