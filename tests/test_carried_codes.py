# SPDX-License-Identifier: Apache-2.0
"""Spikes that are cast or repeated between a code and the product that reads it."""

from __future__ import annotations

from pathlib import Path

from conversions import WEIGHT, converted
from graphs import graph
from networks import normal

import onnx_snn


def test_a_code_that_is_cast_or_repeated_spikes_in_its_product(tmp_path: Path) -> None:
    """Of float16, and of keys that two heads of queries share: each spike of a key reaches the products of both."""
    halves = "h = Cast <to = 10> (x) w = Cast <to = 10> (weight) p = MatMul (h, w) y = Cast <to = 1> (p)"
    cast = graph(halves, initializers=WEIGHT)
    (product,) = onnx_snn.profile(converted(cast, tmp_path)[0], {"x": normal(2, 4, 8)}, progress=False).products
    assert product.spiking
    assert product.multiply_accumulates == 2 * 4 * 8 * 8
    repeats = "int64[1] axis = {2}, int64[5] repeats = {1,1,2,1,1}, int64[4] joined = {0,4,8,8}"
    heads = graph(
        "u = Unsqueeze (k, axis) e = Expand (u, repeats) r = Reshape (e, joined) y = MatMul (x, r)",
        inputs="float[N,4,8,8] x, float[N,2,8,8] k",
        outputs="float[N,4,8,8] y",
        initializers=repeats,
    )
    data = {"x": normal(4, 4, 8, 8), "k": normal(4, 2, 8, 8)}
    (product,) = onnx_snn.profile(converted(heads, tmp_path, data)[0], data, progress=False).products
    queries, keys = product.operands
    assert queries.synaptic_operations == 8 * queries.spikes
    assert keys.synaptic_operations == 16 * keys.spikes
