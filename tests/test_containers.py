# SPDX-License-Identifier: Apache-2.0
"""Outputs that are no tensors: sequences, optionals, and the maps of classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from both_runtimes import Checked, checked_conversion
from conversions import statuses
from graphs import graph
from networks import normal
from onnx import TensorProto, helper

import onnx_snn
from onnx_snn import Status
from onnx_snn.errors import CalibrationError, ModelError
from onnx_snn.graph.map_types import from_proto, to_proto
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model
from onnx_snn.runtime.execution import as_array

FLOATS = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
MAP = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
VALUES = ", ".join(str((i % 9 - 4) / 9) for i in range(64))
FEEDS = [{"x": normal(4, 8, seed=seed)} for seed in range(3)]

NODES: dict[str, tuple[onnx.NodeProto, onnx.TypeProto]] = {
    "sequence": (
        helper.make_node("SplitToSequence", ["p"], ["y"], axis=1, keepdims=1),
        helper.make_sequence_type_proto(FLOATS),
    ),
    "optional": (helper.make_node("Optional", ["p"], ["y"]), helper.make_optional_type_proto(FLOATS)),
    "maps": (
        helper.make_node("ZipMap", ["p"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[7, 3, 5, 0, 1, 2, 9, 4]),
        helper.make_sequence_type_proto(MAP),
    ),
}


def network(kind: str) -> onnx.ModelProto:
    """A classifier with the probabilities p in an output y of this kind."""
    node, type_proto = NODES[kind]
    body, initializers = "m = MatMul (x, w) p = Softmax (m)", f"float[8,8] w = {{{VALUES}}}"
    proto = ir.to_proto(graph(body, inputs="float[N,8] x", outputs="float[N,8] p", initializers=initializers))
    proto.graph.node.append(node)
    del proto.graph.output[:]
    proto.graph.output.append(helper.make_value_info("y", type_proto))
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    return proto


@pytest.fixture(scope="module", params=NODES)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checked:
    return checked_conversion(network(request.param), tmp_path_factory.mktemp(request.param), FEEDS, fast=False)


def test_they_are_converted(found: Checked) -> None:
    assert statuses(found.report) == {"m": Status.CONVERTED, "p": Status.CONVERTED}
    assert 0.0 < found.error < 0.02
    assert [output.name for output in found.report.outputs] == ["y"]
    assert 0.0 < found.report.outputs[0].relative_error < 0.02


def test_their_types_stay(found: Checked) -> None:
    before, after = (onnx.load(path).graph.output[0].type for path in (found.original, found.spiking))
    assert before == after


def test_they_are_compared_and_profiled(found: Checked) -> None:
    evaluation = onnx_snn.compare(found.original, found.spiking, FEEDS, progress=False)
    assert 0.0 < evaluation.relative_error < 0.02
    kind = found.original.parent.name.rstrip("0123456789")
    said = {"sequence": "elements of sequences", "maps": "values of maps, in the order of their keys", "optional": ""}
    assert evaluation.compared == said[kind]
    assert said[kind][:20] in evaluation.text()
    assert onnx_snn.profile(found.spiking, FEEDS, progress=False).samples == 12
    assert onnx_snn.sensitivity(found.original, found.spiking, FEEDS, progress=False).whole.relative_error > 0.0


def test_they_are_tuned(found: Checked, tmp_path: Path) -> None:
    report = onnx_snn.tune(
        found.original, tmp_path / "t.onnx", FEEDS, target_loss=0.5, max_timesteps=4, metric="cosine", progress=False
    )
    assert report.conversion.count(Status.CONVERTED) == 2


def test_maps_are_written_beside_external_data(tmp_path: Path) -> None:
    model = load_model(network("maps"))
    save_model(model, tmp_path / "large.onnx", external_data=True)
    assert onnx.load(tmp_path / "large.onnx").graph.output[0].type == network("maps").graph.output[0].type
    assert to_proto(model.clone()).graph.output[0].type == network("maps").graph.output[0].type


def test_a_map_as_an_input_is_a_clear_error(tmp_path: Path) -> None:
    proto = network("maps")
    proto.graph.input.append(helper.make_value_info("scores", MAP))
    with pytest.raises(CalibrationError, match="input 'scores' is not a tensor"):
        onnx_snn.convert(proto, tmp_path / "y.onnx", FEEDS)


def test_models_without_maps_are_read_as_they_are() -> None:
    proto = network("sequence")
    assert to_proto(from_proto(proto)) == ir.to_proto(ir.from_proto(proto))


A, B = np.ones((2, 3), np.float32), np.zeros((4, 3), np.float32)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (A, A),
        ([A, 2 * A], np.stack([A, 2 * A])),
        ([A, B], np.concatenate([A.ravel(), B.ravel()])),
        ([], np.empty(0)),
        (None, np.empty(0)),
        ({3: 1.0, 1: 2.0}, np.array([2.0, 1.0])),
        ([{"b": 1.0, "a": 2.0}, {"a": 3.0, "b": 4.0}], np.array([[2.0, 1.0], [3.0, 4.0]])),
        ([[A], [A]], np.stack([A, A])[:, None]),
    ],
)
def test_values_become_arrays(value: Any, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(as_array(value), expected)


@pytest.mark.slow
def test_a_network_of_sequences_inside_is_converted(tmp_path: Path) -> None:
    body = "t = Tanh (x) s = SplitToSequence <axis = 1> (t) c = ConcatFromSequence <axis = 1> (s) y = Sigmoid (c)"
    found = checked_conversion(graph(body, inputs="float[N,8] x", outputs="float[N,8] y"), tmp_path, FEEDS)
    assert set(statuses(found.report).values()) == {Status.CONVERTED}


def test_spiking_nodes_in_branches_alone_are_not_called_missing(tmp_path: Path) -> None:
    branch = "() => (float[N,8] a) { a = Tanh (x) }"
    body = f"y = If (c) <then_branch = t {branch}, else_branch = e {branch}>"
    feeds = [{**feed, "c": np.array([number % 2 == 0])} for number, feed in enumerate(FEEDS)]
    model = graph(body, inputs="float[N,8] x, bool[1] c", outputs="float[N,8] y")
    found = checked_conversion(model, tmp_path, feeds)
    with pytest.raises(ModelError, match="all lie in branches"):
        onnx_snn.profile(found.spiking, feeds, progress=False)
