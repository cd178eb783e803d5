# SPDX-License-Identifier: Apache-2.0
"""Which axes the scales of a coded tensor run along."""

from __future__ import annotations

import pytest
from graphs import graph

from onnx_snn.passes.observe import coded_tensors
from onnx_snn.rules import recognise

SQUARE = "float[8,8] w = {" + ",".join("1" * 64) + "}"
KERNEL = "float[4,4,3] k = {" + ",".join("1" * 48) + "}"
POSITIONS = "f = Cast<to = 1>(position_ids) y = MatMul(x, f)"


@pytest.mark.parametrize(
    ("body", "sizes", "axes"),
    [
        ("y = MatMul(x, w)", (None, 4, 8), (-1,)),
        ("y = MatMul(x, w)", (None, None, None), (-1,)),
        ("y = Conv(x, k)", (None, 4, 8), (-2,)),
        (POSITIONS, (None, 4, 8), (-1,)),
        (POSITIONS, (None, 4, None), None),
        (POSITIONS, (), None),
    ],
)
def test_scales_need_an_axis_of_one_size(body: str, sizes: tuple[int | None, ...], axes: tuple[int, ...] | None) -> None:
    initializers = f"{SQUARE}, {KERNEL}"
    model = graph(body, inputs="float[N,4,8] x, int64[8,8] position_ids", initializers=initializers)
    (site,) = recognise(model).sites
    (coded,) = coded_tensors(site, {"x": sizes} if sizes else {})
    assert coded.axes == axes
