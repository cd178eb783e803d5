# SPDX-License-Identifier: Apache-2.0
"""Normalizations of sums and embeddings, written out, compute what onnxruntime computes for them."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from fused_operators import BETA, BIAS, GAMMA, OPSETS, SKIP, Array, X, assert_same, int32, kinds
from networks import normal

from onnx_snn.rules import Kind


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("body", "outputs", "kind"),
    [
        ("y = com.microsoft.SkipLayerNormalization (x, s, g)", "y", Kind.LAYER_NORM),
        ("y, , , z = com.microsoft.SkipLayerNormalization <epsilon = 0.1> (x, s, g, h, b)", "y z", Kind.LAYER_NORM),
        ("y = com.microsoft.SkipSimplifiedLayerNormalization (x, s, g)", "y", Kind.RMS_NORM),
        (
            "y, , , z = com.microsoft.SkipSimplifiedLayerNormalization <epsilon = 0.1> (x, s, g, b)",
            "y z",
            Kind.RMS_NORM,
        ),
    ],
)
def test_a_normalization_of_a_sum(body: str, outputs: str, kind: Kind, opset: int) -> None:
    feeds = {"x": X, "s": SKIP, "g": GAMMA, "h": BETA, "b": BIAS}
    used = body[body.rindex("(") + 1 : -1].split(", ")
    apart = assert_same(body, {name: feeds[name] for name in used}, outputs, opset=opset)
    # Scale and shift are inputs here, which would be no constants to a normalization.
    for name in ("g", "h"):
        if name in used:
            value = next(value for value in apart.graph.inputs if value.name == name)
            apart.graph.inputs.remove(value)
            value.const_value = ir.tensor(feeds[name], name=name)
            apart.graph.register_initializer(value)
    assert kinds(apart) == [kind]


def test_the_skipped_sum_may_lack_leading_axes() -> None:
    assert_same("y = com.microsoft.SkipLayerNormalization (x, s, g)", {"x": X, "s": SKIP[0], "g": GAMMA})


IDS, TABLES = int32([[1, 5, 2, 0], [3, 3, 1, 4]]), {name: normal(9, 8, seed=ord(name)) for name in "wpt"}


@pytest.mark.parametrize(
    "arguments",
    [
        "(i, k, w, p, t, g, h, m)",
        "(i, k, w, p, t, g, h, m, o)",
        "(i, , w, p, , g, h)",
    ],
)
@pytest.mark.parametrize("opset", [13, 20])
def test_embeddings_and_their_normalization(arguments: str, opset: int) -> None:
    feeds: dict[str, Array] = {"i": IDS, "k": IDS % 2, **TABLES, "g": GAMMA, "h": BETA}
    feeds |= {"m": int32([[1, 1, 1, 0], [1, 1, 1, 1]]), "o": IDS[:, ::-1].copy()}
    used = [name for name in arguments[1:-1].split(", ") if name.strip()]
    body = f"y, index, z = com.microsoft.EmbedLayerNormalization <epsilon = 0.01> {arguments}"
    assert_same(body, {name: feeds[name] for name in used}, "y index z", opset=opset)
