# SPDX-License-Identifier: Apache-2.0
"""Files without functions and float64 in OpenVINO, where it is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conversions import converted
from graphs import graph
from networks import normal, relative_error, run

openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install openvino")

pytestmark = [pytest.mark.host, pytest.mark.slow]

BLOCK = """
    l = LayerNormalization <axis = -1> (x, gamma, beta)
    t = Transpose <perm = [0, 2, 1]> (l)
    s = MatMul (l, t)
    p = Softmax <axis = -1> (s)
    m = MatMul (p, l)
    y = Gelu <approximate = "tanh"> (m)
"""


@pytest.mark.parametrize("body", ["loop", "closed"])
def test_answers_are_those_of_onnxruntime(body: str, tmp_path: Path) -> None:
    """Products with weights are summed in another order, by which a level of a neuron may tip over."""
    path, _ = converted(graph(BLOCK), tmp_path, body=body, inline=True, precision="single")
    x = normal(8, 4, 8, seed=2)
    core = openvino.Core()
    request = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    y = np.array(request.create_infer_request().infer({"x": x})[0])
    expected = run(path, {"x": x})["y"]
    assert relative_error(expected, y) < 1e-2
    assert (y.argmax(axis=-1) == expected.argmax(axis=-1)).mean() > 0.95
