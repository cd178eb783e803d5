# SPDX-License-Identifier: Apache-2.0
"""Attention and rotary embeddings of ONNX, written out, compute what onnxruntime computes for them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from fused_operators import ANGLES, BHSD, NEWEST, SITES, Array, assert_same, kinds, model
from networks import normal

from onnx_snn.decompositions.decomposer import decompose
from onnx_snn.rules import Kind, recognise
from onnx_snn.rules.site import ActivationMatmulSite

SHARED = BHSD | {name: BHSD[name][:, ::2].copy() for name in "kv"}
FLAT = {"q": normal(2, 3, 32), "k": normal(2, 5, 16, seed=2), "v": normal(2, 5, 16, seed=3)}
PAST = {"pk": normal(2, 2, 2, 8, seed=4), "pv": normal(2, 2, 2, 8, seed=5)}
SEEN = np.random.default_rng(0).integers(0, 2, (2, 1, 3, 5)).astype(bool)
STANDARD: dict[str, tuple[str, dict[str, Array], str]] = {
    "plain": ("(q, k, v)", BHSD, "y"),
    "scaled and capped": ("<scale = 0.3, softcap = 2.0> (q, k, v)", BHSD, "y"),
    "causal": ("<is_causal = 1> (q, k, v)", BHSD, "y"),
    "additive mask": ("(q, k, v, m)", BHSD | {"m": normal(3, 5)}, "y"),
    "boolean mask": ("(q, k, v, m)", BHSD | {"m": SEEN | np.eye(3, 5, dtype=bool)}, "y"),
    "mask that hides all": ("(q, k, v, m)", BHSD | {"m": SEEN & (np.arange(3) > 0)[:, None]}, "y"),
    "shared keys": ("(q, k, v)", SHARED, "y"),
    "three axes": ("<q_num_heads = 4, kv_num_heads = 2> (q, k, v)", FLAT, "y"),
    "past": ("<q_num_heads = 4, kv_num_heads = 2> (q, k, v, , pk, pv)", FLAT | PAST, "y k2 v2"),
    "past, causal": ("<is_causal = 1> (q, k, v, , pk, pv)", SHARED | PAST, "y k2 v2"),
}


@pytest.mark.parametrize("opset", [23, 24, 25, NEWEST])
@pytest.mark.parametrize(("call", "feeds", "outputs"), STANDARD.values(), ids=STANDARD.keys())
def test_standard_attention(call: str, feeds: dict[str, Array], outputs: str, opset: int) -> None:
    left = {"y": "y", "y k2 v2": "y, k2, v2"}[outputs]
    found = kinds(assert_same(f"{left} = Attention {call}", feeds, outputs, opset=opset))
    assert [kind for kind in found if kind is not Kind.FUNCTION] == SITES
    assert found.count(Kind.FUNCTION) == ("softcap" in call)


def test_standard_attention_with_lengths_of_keys() -> None:
    feeds = BHSD | {"n": np.array([3, 5])}
    assert_same("y = Attention (q, k, v, , , , n)", feeds, opset=24)


@pytest.mark.parametrize("mode", [0, 3])
@pytest.mark.parametrize("opset", [23, NEWEST])
def test_standard_attention_that_returns_scores_or_probabilities(mode: int, opset: int) -> None:
    attributes = f"softcap = 2.0, is_causal = 1, qk_matmul_output_mode = {mode}"
    assert_same(f"y, , , z = Attention <{attributes}> (q, k, v, m)", BHSD | {"m": normal(3, 5)}, "y z", opset=opset)


def test_softmax_in_attention_has_probabilities_at_its_product() -> None:
    apart = assert_same("y = Attention <is_causal = 1> (q, k, v)", BHSD, opset=23)
    assert [
        tuple(operand.is_probability for operand in site.operands)
        for site in recognise(apart).sites
        if isinstance(site, ActivationMatmulSite)
    ] == [
        (False, False),
        (True, False),
    ]


@pytest.mark.parametrize("opset", [23, NEWEST])
def test_rotary_embedding_is_a_fixed_rotation(opset: int) -> None:
    feeds = {"x": normal(2, 4, 3, 8), "c": np.cos(ANGLES[:, :4]), "s": np.sin(ANGLES[:, :4])}
    proto = model("y = RotaryEmbedding (x, c, s, position_ids)", feeds | {"position_ids": np.zeros((2, 3), int)})
    proto.opset_import[0].version = opset
    apart = ir.from_proto(proto)
    assert not decompose(apart).origins
    found = recognise(apart)
    assert (found.sites, found.unmatched) == ([], [])
