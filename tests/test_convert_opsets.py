# SPDX-License-Identifier: Apache-2.0
"""Conversion of every version of the operators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conversions import X, converted, statuses
from graphs import graph
from networks import relative_error, run

from onnx_snn import Status


@pytest.mark.slow
@pytest.mark.parametrize("opset", [13, 15, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27, 28])
def test_every_opset_from_13_on_is_converted(opset: int, tmp_path: Path) -> None:
    model = graph("p = Softmax <axis = -1> (x) y = Tanh (p)", opset=opset)
    path, _ = converted(model, tmp_path)
    assert relative_error(run(model, X)["y"], run(path, X)["y"]) < 0.005


@pytest.mark.slow
@pytest.mark.parametrize(("operator", "opset"), [("SimplifiedLayerNormalization", 20), ("LayerNormalization", 14)])
def test_operators_that_onnxruntime_puts_into_the_standard_domain_may_stay(
    operator: str, opset: int, tmp_path: Path
) -> None:
    model = graph(f"[norm] h = {operator} (x, gamma) [act] y = Tanh (h)", opset=opset)
    path, report = converted(model, tmp_path, exclude="norm")
    assert statuses(report) == {"norm": Status.KEPT, "act": Status.CONVERTED}
    assert relative_error(run(model, X)["y"], run(path, X)["y"]) < 0.005
    _, report = converted(model, tmp_path)
    assert statuses(report) == {"norm": Status.CONVERTED, "act": Status.CONVERTED}


NEWEST = 28
ROTATED = """u = Unsqueeze (x, first) t = RotaryEmbedding (u, table, table, position_ids)
             s = Squeeze (t, first) y = Tanh (s)"""
NEWER = [
    ("y = Gelu (x)", (20, NEWEST), ["function"]),
    ('y = Gelu <approximate = "tanh"> (x)', (20, NEWEST), ["function"]),
    ("y = RMSNormalization (x, gamma)", (23, NEWEST), ["rms_norm"]),
    ("y = Swish (x)", (24, NEWEST), ["function"]),
    ("y = Swish <alpha = 0.5> (x)", (24, NEWEST), ["function", "product"]),
    (ROTATED, (23, NEWEST), ["function"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "opset", "kinds"), [(body, opset, kinds) for body, opsets, kinds in NEWER for opset in opsets]
)
def test_newer_operators_are_converted(body: str, opset: int, kinds: list[str], tmp_path: Path) -> None:
    table = "float[4,4] table = {" + ", ".join(str(i % 5 / 5) for i in range(16)) + "}, int64[1] first = {1}"
    inputs, feeds = "float[N,4,8] x", dict(X)
    if "position_ids" in body:
        inputs, feeds = f"{inputs}, int64[N,4] position_ids", feeds | {"position_ids": np.tile(np.arange(4), (8, 1))}
    model = graph(body, inputs=inputs, initializers=table, opset=opset)
    path, report = converted(model, tmp_path, feeds)
    assert [(node.kind, node.status) for node in report.nodes] == [(kind, Status.CONVERTED) for kind in kinds]
    assert report.outputs[0].relative_error < 0.005
    assert np.isfinite(run(path, feeds)["y"]).all()
