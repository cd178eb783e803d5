# SPDX-License-Identifier: Apache-2.0
"""Runs of sessions that write their outputs into arrays that stay."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from graphs import graph

from onnx_snn.errors import CalibrationError
from onnx_snn.runtime.execution import BoundOutputs


def session(model: ir.Model) -> ort.InferenceSession:
    return ort.InferenceSession(ir.serde.serialize_model(model).SerializeToString())


def test_outputs_are_written_into_the_arrays() -> None:
    both = np.zeros(8, np.float32)
    outputs = {"y": both[:4].reshape(2, 2), "z": both[4:].reshape(2, 2)}
    bound = BoundOutputs(
        session(graph("y = Neg (x) z = Abs (x)", inputs="float[2,2] x", outputs="float[2,2] y, float[2,2] z")), outputs
    )
    for x in (np.float32([[1, -2], [3, -4]]), np.asfortranarray(np.float32([[5, -6], [7, -8]]))):
        bound.run({"x": x})
        np.testing.assert_array_equal(both, [*-x.ravel(), *np.abs(x).ravel()])


def test_strings_are_inputs_too() -> None:
    model = graph("y = Neg (x) t = Identity (s)", inputs="float[2] x, string[1] s", outputs="float[2] y, string[1] t")
    y = np.zeros(2, np.float32)
    BoundOutputs(session(model), {"y": y}).run({"x": np.float32([1, 2]), "s": np.array(["a"], object)})
    np.testing.assert_array_equal(y, [-1, -2])


def test_a_failing_run_names_the_shapes() -> None:
    bound = BoundOutputs(
        session(graph("y = Neg (x)", inputs="float[2] x", outputs="float[2] y")), {"y": np.zeros(2, np.float32)}
    )
    with pytest.raises(CalibrationError, match=r"inputs of shapes .*3,"):
        bound.run({"x": np.zeros(3, np.float32)})
