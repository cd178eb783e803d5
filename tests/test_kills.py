# SPDX-License-Identifier: Apache-2.0
"""A process that is killed at any moment while it writes leaves the old network or the new one, never a mixture.

`make fuzz` kills 200 times.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

KILLS = int(os.environ.get("ONNX_SNN_KILLS", "6"))

SIDE = 256
"""Rows and columns of a weight: large enough that a kill often falls into the writing of it."""

WRITER = """
import sys
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model
models = [load_model(path) for path in sys.argv[3:]]
print("ready", flush=True)
while True:
    for model in models:
        save_model(model, sys.argv[1], external_data=sys.argv[2] == "True")
"""


def network(path: Path, value: float) -> None:
    """A network that multiplies by matrices of one value, and has this value in its graph too."""
    weights = [
        numpy_helper.from_array(np.full((SIDE, SIDE), value, np.float32), "w"),
        numpy_helper.from_array(np.float32(value), "small"),
    ]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Identity", ["small"], ["inner"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, SIDE])
    outputs = [
        helper.make_tensor_value_info("m", TensorProto.FLOAT, [1, SIDE]),
        helper.make_tensor_value_info("inner", TensorProto.FLOAT, []),
    ]
    graph = helper.make_graph(nodes, "g", [x], outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def value_of(path: Path) -> float:
    """The value of the network in `path`, which must be the same in its graph and in its weights."""
    product, inner = ort.InferenceSession(path).run(None, {"x": np.full((1, SIDE), 1 / SIDE, np.float32)})
    np.testing.assert_array_equal(product, np.full((1, SIDE), inner))
    return float(inner)


@pytest.mark.slow
@pytest.mark.parametrize("external_data", [False, True])
def test_a_killed_writer_leaves_one_whole_network(external_data: bool, tmp_path: Path) -> None:
    moments, output = random.Random(int(external_data)), tmp_path / "out" / "snn.onnx"
    output.parent.mkdir()
    for name, value in (("a.onnx", 1.0), ("b.onnx", 2.0)):
        network(tmp_path / name, value)
    command = [sys.executable, "-c", WRITER, str(output), str(external_data), str(tmp_path / "a.onnx")]
    for _ in range(KILLS):
        with subprocess.Popen([*command, str(tmp_path / "b.onnx")], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            while not output.exists():
                time.sleep(0.001)
            time.sleep(0.05 * moments.random())
            process.kill()
        assert value_of(output) in (1.0, 2.0)
    program = WRITER.replace("while True:", "for _ in range(1):")
    subprocess.run([sys.executable, "-c", program, *command[3:], str(tmp_path / "b.onnx")], check=True)
    assert value_of(output) == 2.0
    assert len(list(output.parent.iterdir())) == 1 + int(external_data), "nothing is left of the killed ones"
