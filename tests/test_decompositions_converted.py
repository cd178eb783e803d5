# SPDX-License-Identifier: Apache-2.0
"""Fused attention becomes spiking as a whole, and what cannot be written out exactly stays in one piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from fused_operators import BHSD, NEWEST, PROJECTED, Array, declare, grouped, int32, model, run
from networks import normal, relative_error

import onnx_snn
from onnx_snn import Status
from onnx_snn.decompositions.decomposer import decompose

SAMPLES = 8
CONVERTED: dict[str, tuple[str, dict[str, Array], int]] = {
    "Attention": ("y = com.microsoft.Attention <num_heads = 2, unidirectional = 1> (x, w, b, m)", {
        "x": normal(SAMPLES, 4, 16), "m": int32(np.ones((SAMPLES, 4))),
    }, 17),
    "MultiHeadAttention": ("y = com.microsoft.MultiHeadAttention <num_heads = 2> (q, k, v)", {
        name: normal(SAMPLES, 5, 16, seed=seed) for seed, name in enumerate("qkv")
    }, 20),
    "GroupQueryAttention": (
        *grouped(", do_rotary = 1, softcap = 20.0", batch=SAMPLES, buffer=4, lengths=[5] * SAMPLES), 20,
    ),
    "Attention of opset 23": ("y = Attention <is_causal = 1> (q, k, v)", {
        name: normal(SAMPLES, 2, 5, 8, seed=seed) for seed, name in enumerate("qkv")
    }, 23),
    "Attention of the newest opset": ("y = Attention <softcap = 20.0> (q, k, v)", {
        name: normal(SAMPLES, 2, 5, 8, seed=seed) for seed, name in enumerate("qkv")
    }, NEWEST),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("body", "feeds", "opset"), CONVERTED.values(), ids=CONVERTED.keys())
def test_attention_becomes_spiking(body: str, feeds: dict[str, Array], opset: int, tmp_path: Path) -> None:
    outputs = " ".join(body.split(" = ")[0].split(", "))
    fixed = {name: PROJECTED[name] for name in "wb"} if "(x, w, b" in body else {}
    fixed |= {name: feeds[name] for name in ("c", "s") if name in feeds}
    proto = model(body, {**feeds, **fixed}, outputs, opset=opset)
    given = {name: array for name, array in feeds.items() if name not in fixed}
    kept = [value for value in proto.graph.input if value.name in given]
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in fixed.items())
    expected = run(proto, given)
    declare(proto, expected)
    path = tmp_path / "spiking.onnx"
    report = onnx_snn.convert(proto, path, [given], progress=False, body="closed", fast=True)
    assert {node.status for node in report.nodes} == {Status.CONVERTED}
    attended = [node.kind for node in report.nodes if node.kind not in ("function", "synapse")]
    assert attended == ["product", "softmax", "product"]
    result = onnx.load(path)
    assert {node.domain for node in result.graph.node} == {"", "onnx_snn"}
    got = run(result, given)
    for name in expected:
        assert relative_error(expected[name], got[name]) < 0.005


KEPT: dict[str, tuple[str, dict[str, Array], str]] = {
    "scores of grouped queries": (
        """y, k2, v2, z = com.microsoft.GroupQueryAttention <num_heads = 4, kv_num_heads = 2, qk_output = 1>
            (q, k, v, , , seqlens_k, total_sequence_length)""",
        grouped("", new=4, buffer=None, lengths=[4, 4])[1],
        "GroupQueryAttention with qk_output 1",
    ),
    "packed heads": (
        "y = com.microsoft.MultiHeadAttention <num_heads = 2> (q)",
        {"q": normal(2, 4, 2, 3, 8)},
        "MultiHeadAttention with packed queries",
    ),
    "rotation in attention": (
        "y = com.microsoft.Attention <num_heads = 2, do_rotary = 1> (x, w, b)",
        PROJECTED,
        "Attention with do_rotary",
    ),
    "mask of four axes": (
        "y = com.microsoft.Attention <num_heads = 2> (x, w, b, m)",
        PROJECTED | {"m": int32(np.ones((2, 1, 8, 8)))},
        "a mask of 4 axes",
    ),
    "masked scores": (
        "y, , , z = Attention <qk_matmul_output_mode = 2, is_causal = 1> (q, k, v)",
        BHSD,
        "Attention that returns its masked scores",
    ),
    "unknown activation": (
        'y = com.microsoft.FusedGemm <activation = "Elu"> (a, b, c)',
        {"a": normal(3, 8), "b": normal(8, 5), "c": normal(5)},
        "FusedGemm with activation 'Elu'",
    ),
}


@pytest.mark.parametrize(("body", "feeds", "reason"), KEPT.values(), ids=KEPT.keys())
def test_what_cannot_be_written_out_exactly_stays_with_the_reason(
    body: str, feeds: dict[str, Array], reason: str
) -> None:
    opset = 20 if "com.microsoft" in body else 23
    proto = model(body, feeds, " ".join(body.split(" = ")[0].replace(",", "").split()), opset=opset)
    apart = ir.from_proto(proto)
    (why,) = decompose(apart).undecomposed.values()
    assert reason in why
    assert [node.name for node in apart.graph] == ["fused"]
