# SPDX-License-Identifier: Apache-2.0
"""A model with weights in its graph and in a branch, and its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

TEXT = """<ir_version: 8, opset_import: ["": 17], metadata_props: ["author": "me"]>
    main (float[N, 64] x, bool flag) => (float[N, 64] y) <float[64, 64] w, float[2] small = {1, 2}> {
        h = MatMul(x, w)
        s = ReduceSum<keepdims = 0>(small)
        y = If(flag) <
            then_branch = yes () => (float[N, 64] a) <float[64] inner> { a = Add(h, inner) },
            else_branch = no () => (float[N, 64] b) { b = Mul(h, s) }
        >
    }"""
WEIGHTS = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
INNER = np.arange(64, dtype=np.float32)


def proto() -> onnx.ModelProto:
    model = onnx.parser.parse_model(TEXT)
    inner = next(attr.g for node in model.graph.node for attr in node.attribute if attr.name == "then_branch")
    for graph, name, array in ((model.graph, "w", WEIGHTS), (inner, "inner", INNER)):
        tensor = next((t for t in graph.initializer if t.name == name), None)
        if tensor is None:
            tensor = graph.initializer.add()
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, name))
    return model


def run(path: Path) -> list[np.ndarray]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal((3, 64)).astype(np.float32)
    return [session.run(None, {"x": x, "flag": np.array(flag)})[0] for flag in (True, False)]


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.fixture
def inline(tmp_path: Path) -> Path:
    """The file of the model, its weights inside."""
    path = tmp_path / "model.onnx"
    onnx.save(proto(), path)
    return path


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """The file of the model, its weights beside it."""
    path = tmp_path / "model.onnx"
    ir.save(ir.from_proto(proto()), path, external_data="model.onnx.data")
    assert (tmp_path / "model.onnx.data").stat().st_size >= WEIGHTS.nbytes
    return path
