# SPDX-License-Identifier: Apache-2.0
"""Networks that have one value in their graph and in their weights, so that a mixture of two of them is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

SIDE = 256
"""Rows and columns of a weight: large enough that a kill often falls into the writing of it."""


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
