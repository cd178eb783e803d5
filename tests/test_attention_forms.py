# SPDX-License-Identifier: Apache-2.0
"""Attention as exporters and users write it: by Einsum, under every kind of mask, with guards against NaN."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import Feeds, normal, relative_error, run

import onnx_snn
from onnx_snn import Status

HEADS = {name: normal(8, 2, 6, 8, seed=seed) for seed, name in enumerate("qkv")}
SEEN = np.tril(np.ones((8, 1, 6, 6), bool))
SEEN[::2, ..., -1] = False

PRODUCTS = {
    "MatMul": (
        "t = Transpose <perm = [0, 1, 3, 2]> (k) r = MatMul (q, t)",
        "y = MatMul (p, v)",
    ),
    "Einsum": (
        'r = Einsum <equation = "bhqd,bhkd->bhqk"> (q, k)',
        'y = Einsum <equation = "bhqk,bhkd->bhqd"> (p, v)',
    ),
    "Einsum with an ellipsis": (
        'r = Einsum <equation = "...qd,...kd->...qk"> (q, k)',
        'y = Einsum <equation = "...qk,...kd->...qd"> (p, v)',
    ),
    "Einsum over heads in the middle": (
        """a = Transpose <perm = [0, 2, 1, 3]> (q) b = Transpose <perm = [0, 2, 1, 3]> (k)
           r = Einsum <equation = "bqhd,bkhd->bhqk"> (a, b)""",
        """c = Transpose <perm = [0, 2, 1, 3]> (v)
           d = Einsum <equation = "bhqk,bkhd->bqhd"> (p, c) y = Transpose <perm = [0, 2, 1, 3]> (d)""",
    ),
}
MASKS = {
    "none": "s = Identity (r)",
    "additive": "f = Cast <to = 1> (mask) g = Sub (one, f) h = Mul (g, lowest) s = Add (r, h)",
    "additive, of minus infinity": "h = Where (mask, zero, infinity) s = Add (r, h)",
    "boolean": "s = Where (mask, r, lowest)",
    "boolean, of minus infinity": "s = Where (mask, r, infinity)",
    "boolean, inverted": "i = Not (mask) s = Where (i, lowest, r)",
}
GUARDS = {
    "none": "p = Identity (w)",
    "of NaN": "n = IsNaN (w) p = Where (n, zero, w)",
    "of hidden rows": """
        c = Cast <to = 1> (mask) e = ReduceMax <keepdims = 1> (c, last) z = Equal (e, zero) p = Where (z, zero, w)
    """,
}


def attention(products: str, mask: str, guard: str) -> onnx.ModelProto:
    """Softmax(mask(q @ k')) @ v with a guard around the probabilities."""
    scores, context = PRODUCTS[products]
    return onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        main (float[B, 2, S, 8] q, float[B, 2, T, 8] k, float[B, 2, T, 8] v, bool[B, 1, S, T] mask)
            => (float[B, 2, S, 8] y)
        <float zero = {{0}}, float one = {{1}}, float lowest = {{-10000}}, float infinity = {{-inf}},
         int64[1] last = {{-1}}>
        {{ {scores} {MASKS[mask]} w = Softmax <axis = -1> (s) {GUARDS[guard]} {context} }}
    """)


def check(model: onnx.ModelProto, feeds: Feeds, folder: Path) -> None:
    """All of `model` converts: two products, of which the second has probabilities, and a softmax."""
    path = folder / "spiking.onnx"
    report = onnx_snn.convert(model, path, feeds, progress=False, body="closed", fast=True)
    assert [(node.kind, node.status) for node in report.nodes] == [
        (kind, Status.CONVERTED) for kind in ("product", "softmax", "product")
    ]
    codes = [node for node in onnx.load(path).graph.node if node.op_type == "MbeNeuron"]
    assert sorted(node.attribute[0].i for node in codes) == [0, 1, 1, 1]  # that of probabilities has one sign
    expected, got = run(model, feeds)["y"], run(path, feeds)["y"]
    assert relative_error(expected, got) < 0.005


@pytest.mark.parametrize("products", PRODUCTS)
def test_products_in_any_notation(products: str, tmp_path: Path) -> None:
    check(attention(products, "boolean", "none"), HEADS | {"mask": SEEN}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("mask", MASKS)
def test_masks_of_any_kind(mask: str, tmp_path: Path) -> None:
    check(attention("MatMul", mask, "none"), HEADS | {"mask": SEEN}, tmp_path)


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize("mask", ["additive, of minus infinity", "boolean, of minus infinity"])
def test_guards_of_rows_that_see_nothing(mask: str, guard: str, tmp_path: Path) -> None:
    hidden = SEEN.copy()
    if guard != "none":
        hidden[1, :, 2] = False
    check(attention("Einsum", mask, guard), HEADS | {"mask": hidden}, tmp_path)
