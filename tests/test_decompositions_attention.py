# SPDX-License-Identifier: Apache-2.0
"""Attention of onnxruntime, written out, computes what onnxruntime computes for it."""

from __future__ import annotations

import numpy as np
import pytest
from fused_operators import FILTERS, PROJECTED, SITES, Array, assert_same, int32, kinds
from networks import normal

from onnx_snn.rules import Kind

MASKS = {
    "none": None,
    "of keys": int32([[1, 1, 1, 0], [0, 1, 1, 0]]),
    "of pairs": np.random.default_rng(0).integers(0, 2, (2, 4, 4)).astype(np.int32),
    "of ends": int32([3, 4]),
    "of ends and starts": int32([3, 4, 1, 0]),
    "of nothing": int32([[0, 0, 0, 0], [1, 1, 0, 0]]),
}


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("fill", FILTERS)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
@pytest.mark.parametrize("heads", [1, 4])
def test_attention_with_masks(mask: Array | None, fill: str, causal: int, heads: int) -> None:
    feeds = PROJECTED if mask is None else PROJECTED | {"m": mask}
    attributes = f"num_heads = {heads}, unidirectional = {causal}{fill}"
    body = f"y = com.microsoft.Attention <{attributes}> (x, w, b{'' if mask is None else ', m'})"
    apart = assert_same(body, feeds)
    # The weights are an input here, so that the projection counts as a product.
    assert kinds(apart) == [Kind.PRODUCT, *SITES]


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ("x, w, b, , past", {"past": normal(2, 2, 2, 3, 8)}),
        ("x, w, b, , past", {"past": normal(2, 2, 2, 0, 8)}),
        ("x, w, b, m, past", {"past": normal(2, 2, 2, 1, 8), "m": int32([[1, 0, 1, 1, 1], [0, 1, 1, 1, 0]])}),
        ("x, w, b, , , a", {"a": normal(2, 2, 4, 4, seed=2)}),
        ("x, w, b, , , a", {"a": normal(1, 1, 4, 4, seed=2)}),
    ],
    ids=["past", "empty past", "past and mask", "biases", "one bias for all"],
)
def test_attention_with_past_or_biases(arguments: str, extra: dict[str, Array], causal: int) -> None:
    attributes = f"num_heads = 2, scale = 0.4, unidirectional = {causal}"
    assert_same(f"y, p = com.microsoft.Attention <{attributes}> ({arguments})", PROJECTED | extra, "y p")


def test_attention_whose_values_are_narrower() -> None:
    feeds = PROJECTED | {"w": normal(16, 40) / 4, "b": normal(40)}
    assert_same("y = com.microsoft.Attention <num_heads = 2, qkv_hidden_sizes = [16, 16, 8]> (x, w, b)", feeds)


HEADS = {"q": normal(2, 4, 16), "k": normal(2, 5, 16, seed=2), "v": normal(2, 5, 16, seed=3)}
KEY_MASKS = {
    "of keys": int32([[1, 1, 1, 0, 1], [0, 1, 1, 0, 0]]),
    "of pairs": np.random.default_rng(0).integers(0, 2, (2, 4, 5)).astype(np.int32),
    "of ends": int32([3, 4]),
}


@pytest.mark.parametrize("fill", FILTERS)
@pytest.mark.parametrize("mask", KEY_MASKS.values(), ids=KEY_MASKS.keys())
def test_multi_head_attention_with_masks(mask: Array, fill: str) -> None:
    body = f"y = com.microsoft.MultiHeadAttention <num_heads = 2{fill}> (q, k, v, b, m)"
    assert kinds(assert_same(body, HEADS | {"b": normal(48), "m": mask})) == SITES


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_multi_head_attention_with_past(causal: int, heads: int) -> None:
    cache = {name: normal(2, heads, 3, 16 // heads, seed=seed) for seed, name in enumerate(("pk", "pv"))}
    new = {name: array[:, :4] for name, array in HEADS.items()}
    feeds = new | {"b": normal(48), "a": normal(1, heads, 4, 7)} | cache
    attributes = f"num_heads = {heads}, unidirectional = {causal}"
    body = f"y, k2, v2 = com.microsoft.MultiHeadAttention <{attributes}> (q, k, v, b, , a, pk, pv)"
    assert_same(body, feeds, "y k2 v2")


@pytest.mark.parametrize("arguments", ["(q, k, v)", "(q, k, v, , m, a)"])
def test_multi_head_attention_with_more_keys_than_queries_is_causal_from_the_first(arguments: str) -> None:
    feeds = HEADS | {"m": KEY_MASKS["of keys"], "a": normal(2, 2, 4, 5)}
    used = {name: array for name, array in feeds.items() if name in arguments}
    assert_same(f"y = com.microsoft.MultiHeadAttention <num_heads = 2, unidirectional = 1> {arguments}", used)


@pytest.mark.parametrize("bias", ["", ", b"])
def test_multi_head_attention_over_the_heads_of_an_encoder(bias: str) -> None:
    feeds = {"q": HEADS["q"], "k": normal(2, 2, 5, 8), "v": normal(2, 2, 5, 8, seed=2)}
    feeds |= {"b": normal(48)} if bias else {}
    assert_same(f"y = com.microsoft.MultiHeadAttention <num_heads = 2, scale = 0.5> (q, k, v{bias})", feeds)
