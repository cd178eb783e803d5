# SPDX-License-Identifier: Apache-2.0
"""Networks of opsets before 13: upgraded in memory, computing the same, with their weights where they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from conversions import statuses
from networks import normal, run

import onnx_snn
from onnx_snn import ModelError, Status
from onnx_snn.conversion import upgrade_check
from onnx_snn.graph.model_checks import MIN_OPSET
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.opset_upgrade import upgraded_from

BODIES = {
    "clip": ("y = Clip <min = -0.5, max = 0.5> (x)", (7, 10)),
    "softmax": ("y = Softmax <axis = 1> (x)", (7, 12)),
    "softmax of the last axis": ("y = Softmax <axis = 3> (x)", (7, 12)),
    "squeeze": ("u = Unsqueeze <axes = [0]> (x) y = Squeeze <axes = [0]> (u)", (7, 12)),
    "slice": ("s = Slice <axes = [1], starts = [0], ends = [2]> (x) y = Concat <axis = 1> (s, s)", (7, 9)),
    "sum": ("s = ReduceSum <axes = [3], keepdims = 1> (x) y = Add (x, s)", (7, 12)),
    "split": ("a, b = Split <axis = 1, split = [1, 3]> (x) y = Concat <axis = 1> (b, a)", (7, 12)),
    "pad": (
        'p = Pad <mode = "constant", pads = [0,0,0,1,0,0,0,0]> (x) y = MaxPool <kernel_shape = [1,2]> (p)',
        (7, 10),
    ),
    "upsample": ("u = Upsample (x, sizes) y = MaxPool <kernel_shape = [2,2], strides = [2,2]> (u)", (9, 9)),
    "resize": ("u = Resize (x, sizes) y = MaxPool <kernel_shape = [2,2], strides = [2,2]> (u)", (10, 10)),
    "dropout": ("y, mask = Dropout <ratio = 0.5> (x)", (7, 11)),
    "batch norm": ("y = BatchNormalization (x, four, four, four, four)", (7, 12)),
    "in a branch": (
        """s = ReduceSum <keepdims = 0> (x) c = Greater (s, zero) y = If (c) <
            then_branch = yes () => (float[N,4,4,4] t) { t = Clip <min = 0.0, max = 1.0> (x) },
            else_branch = no () => (float[N,4,4,4] e) { e = Neg (x) } >""",
        (9, 10),
    ),
    "operator of onnxruntime": ("g = com.microsoft.Gelu (x) y = Clip <min = -0.5, max = 0.5> (g)", (9, 10)),
}
INITIALIZERS = "float[4] sizes = {1,1,2,2}, float[4] four = {1,2,3,4}, float zero = {0}"
X = {"x": normal(2, 4, 4, 4)}


def old(body: str, opset: int, initializers: str = INITIALIZERS) -> onnx.ModelProto:
    used = [text for text in initializers.split(", ") if text.split()[1] in body]
    return onnx.parser.parse_model(f"""
        <ir_version: 4, opset_import: ["" : {opset}, "com.microsoft" : 1]>
        main (float[N,4,4,4] x) => (float[N,4,4,4] y) <{", ".join(used)}> {{ {body} }}
    """)


@pytest.mark.parametrize(
    ("body", "opset"), [(body, opset) for body, (first, last) in BODIES.values() for opset in {first, last}]
)
def test_an_upgraded_network_computes_the_same(body: str, opset: int) -> None:
    before = old(body, opset)
    after = load_model(before)
    assert after.opset_imports[""] == MIN_OPSET
    assert upgraded_from(after) == opset
    np.testing.assert_array_equal(run(before, X)["y"], run(ir.to_proto(after), X)["y"])


def test_new_networks_stay_as_they_are() -> None:
    assert upgraded_from(load_model(old("y = Relu (x)", MIN_OPSET))) is None


def with_weights(folder: Path, *, declared: bool = False, external: bool = False) -> tuple[Path, np.ndarray[Any, Any]]:
    """A network with one large weight: inside the file or beside it, as an input as well or not."""
    weights = normal(4, 400, seed=5)
    model = old(
        "m = MatMul (x, w) c = Clip <min = -1.0, max = 1.0> (m) y = Slice <axes=[3], starts=[0], ends=[4]> (c)", 9
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    if declared:
        model.graph.input.append(onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [4, 400]))
        model.ir_version = 3
    onnx.save(model, folder / "model.onnx", save_as_external_data=external, location="weights", size_threshold=0)
    return folder / "model.onnx", weights


@pytest.mark.parametrize("source", ["path", "message", "graph"])
@pytest.mark.parametrize(("declared", "external"), [(False, False), (True, False), (False, True)])
def test_weights_stay_what_and_where_they_were(source: str, declared: bool, external: bool, tmp_path: Path) -> None:
    path, weights = with_weights(tmp_path, declared=declared, external=external)
    given = {"path": lambda: path, "message": lambda: onnx.load(path), "graph": lambda: ir.load(path)}[source]()
    model = load_model(given)
    value = model.graph.initializers["w"]
    assert value.const_value is not None
    np.testing.assert_array_equal(value.const_value.numpy(), weights)
    assert [each.name for each in model.graph.inputs] == (["x", "w"] if declared else ["x"])
    assert isinstance(value.const_value, ir.ExternalTensor) is (external and source != "message")
    names = {node.op_type for node in model.graph}
    assert {"MatMul", "Clip", "Slice"} <= names


def test_the_report_says_what_was_upgraded(tmp_path: Path) -> None:
    path, _ = with_weights(tmp_path)
    report = onnx_snn.convert(path, tmp_path / "spiking.onnx", X, fast=True, progress=False)
    assert statuses(report) == {"m": Status.CONVERTED, "c": Status.EXACT}
    assert report.upgrade == "upgraded from opset 9 to 13; equal outputs on calibration samples"
    assert report.upgrade in report.text()
    assert report.to_json()["upgrade"] == report.upgrade
    assert onnx_snn.convert(path, dry_run=True).upgrade == "upgraded from opset 9 to 13"
    assert onnx.load(tmp_path / "spiking.onnx").opset_import[0].version == MIN_OPSET


def test_an_upgrade_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(_: Any, *, upgrade: bool = True) -> ir.Model:
        return load_model(old("d = Add (x, x) y = Clip <min = -1.0, max = 1.0> (d)", 9), upgrade=upgrade)

    network = load_model(old("y = Clip <min = -1.0, max = 1.0> (x)", 9))
    assert upgrade_check.checked_upgrade("", load_model(old("y = Relu (x)", 13)), [X]) is None
    monkeypatch.setattr(upgrade_check, "load_model", spoilt)
    with pytest.raises(ModelError, match=r"changes output 'y' .* from opset 9 to 13: .* error is .*e-01, above 1e-05"):
        upgrade_check.checked_upgrade("", network, [X])


def test_what_cannot_be_upgraded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> onnx.ModelProto:
        raise onnx.version_converter.ConvertError("no adapter for Relu")

    monkeypatch.setattr(onnx.version_converter, "convert_version", fails)
    says = "ModelProto has opset 9, and 13 or later is needed; .*: onnx.version_converter cannot upgrade it: no adapter"
    with pytest.raises(ModelError, match=says):
        load_model(old("y = Relu (x)", 9))
