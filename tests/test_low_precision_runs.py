# SPDX-License-Identifier: Apache-2.0
"""Whatever runs a network takes and gives tensors of bfloat16, float16 and float8 at its ends and within."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from networks import FULL_BASES, normal

import onnx_snn
from onnx_snn import CalibrationError, ModelError
from onnx_snn.data.specs import session_specs
from onnx_snn.runtime.execution import run
from onnx_snn.runtime.tap_session import Observer

CAST_TO = {"bfloat16": 16, "float16": 10}
FEW_BITS = {"bfloat16": 2**-7, "float16": 2**-10}
"""Relative distance of neighbouring numbers."""


def network(dtype: str) -> onnx.ModelProto:
    """A network whose input, weights and output are of `dtype`, which computes in float32: onnxruntime runs it."""
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        main ({dtype}[N, 8] x) => ({dtype}[N, 6] y) {{
            a = Cast <to = 1> (x)
            w = Cast <to = 1> (weight)
            [first] p = MatMul (a, w)
            [gelu] g = Gelu (p)
            narrow = Cast <to = {CAST_TO[dtype]}> (g)
            wide = Cast <to = 1> (narrow)
            v = Cast <to = 1> (out)
            [second] q = MatMul (wide, v)
            y = Cast <to = {CAST_TO[dtype]}> (q)
        }}
    """)
    for name, array in {"weight": normal(8, 16), "out": normal(16, 6, seed=2)}.items():
        tensor = ir.Tensor(array.astype(ir.DataType(CAST_TO[dtype]).numpy()), name=name)
        model.graph.initializer.append(ir.to_proto(tensor))
    return model


class Files(NamedTuple):
    """A network, its conversion, and its data."""

    dtype: str
    original: Path
    spiking: Path
    data: dict[str, Any]


@pytest.fixture(scope="module", params=CAST_TO)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder, dtype = tmp_path_factory.mktemp(request.param), request.param
    onnx.save(network(dtype), folder / "model.onnx")
    data = {"x": normal(32, 8).astype(ir.DataType(CAST_TO[dtype]).numpy())}
    onnx_snn.convert(folder / "model.onnx", folder / "spiking.onnx", data, progress=False, **FULL_BASES)
    return Files(dtype, folder / "model.onnx", folder / "spiking.onnx", data)


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "functions"])
def test_profile(files: Files, kernels: bool) -> None:
    profile = onnx_snn.profile(files.spiking, files.data, progress=False, kernels=kernels)
    assert [product.multiply_accumulates for product in profile.products] == [32 * 8 * 16, 32 * 16 * 6]
    assert all(product.synaptic_operations > 0 for product in profile.products)
    assert profile.uncounted == ()


def test_compare(files: Files) -> None:
    evaluation = onnx_snn.compare(files.original, files.spiking, files.data, progress=False, labels=np.arange(32) % 6)
    assert evaluation.output == "y"
    assert 0.0 <= evaluation.relative_error < 2 * FEW_BITS[files.dtype]
    assert evaluation.agreement > 0.9
    assert evaluation.metric == "accuracy"


def test_sensitivity(files: Files) -> None:
    found = onnx_snn.sensitivity(files.original, files.spiking, files.data, progress=False)
    assert len(found.nodes) == 3
    assert all(np.isfinite(node.sqnr_db) and node.sqnr_db > 20 for node in found.nodes)
    assert found.whole.relative_error < 2 * FEW_BITS[files.dtype]


def test_survey(files: Files) -> None:
    survey = onnx_snn.survey(files.original, files.spiking, files.data, progress=False)
    assert survey.spiking.profile.products[0].multiply_accumulates == 32 * 8 * 16
    assert all(view.accumulated is not None for view in survey.nodes)


@pytest.mark.slow
def test_tune(files: Files, tmp_path: Path) -> None:
    result = tmp_path / "tuned.onnx"
    report = onnx_snn.tune(files.original, result, files.data, max_spikes=3.0, max_timesteps=4, progress=False)
    assert report.chosen.spikes <= 3.0
    assert 0.0 < report.chosen.energy < 1.0
    assert onnx_snn.compare(files.original, result, files.data, progress=False).relative_error < 0.2


# --- the one function that runs a session --------------------------------------------------------


def session_of(body: str, inputs: str, outputs: str) -> ort.InferenceSession:
    text = f'<ir_version: 10, opset_import: ["" : 21]> main ({inputs}) => ({outputs}) {{ {body} }}'
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(
        onnx.parser.parse_model(text).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("name", ["bfloat16", "float8e4m3fn", "float8e5m2", "float16", "int8", "double"])
@pytest.mark.parametrize("shape", [(2, 3), (), (0, 4)])
def test_tensors_of_every_type_pass(name: str, shape: tuple[int, ...]) -> None:
    dtype = ir.DataType[name.upper()].numpy()
    axes = f"[{', '.join(map(str, shape))}]" if shape else "[]"
    session = session_of("y = Identity (x) z = Cast <to = 1> (x)", f"{name}{axes} x", f"{name}{axes} y, float{axes} z")
    (spec,) = session_specs(session)
    assert spec.dtype == dtype
    x = np.arange(6).astype(dtype)[: int(np.prod(shape))].reshape(shape)
    outputs = run(session, ["z", "y"], {"x": x})
    assert list(outputs) == ["z", "y"]
    assert outputs["y"].dtype == dtype
    np.testing.assert_array_equal(outputs["y"], x)
    np.testing.assert_array_equal(outputs["z"], x.astype(np.float32))


def test_outputs_of_four_bits_are_unpacked() -> None:
    body = "zero = Constant <value = int4 {0}> () y = QuantizeLinear (x, scale, zero)"
    session = session_of(body, "float[N] x, float scale", "int4[N] y")
    x = np.float32([-8, 3, 7])
    y = run(session, ["y"], {"x": x, "scale": np.array(1, np.float32)})["y"]
    assert y.dtype == ml_dtypes.int4
    np.testing.assert_array_equal(y.astype(np.int8), [-8, 3, 7])


def test_a_run_that_fails_names_the_shapes() -> None:
    for dtype, cast in (("float", np.float32), ("bfloat16", ml_dtypes.bfloat16)):
        session = session_of("y = Identity (x)", f"{dtype}[N, 3] x", f"{dtype}[N, 3] y")
        with pytest.raises(CalibrationError, match=r"onnxruntime fails on inputs of shapes \{'x': \(2, 4\)\}"):
            run(session, ["y"], {"x": np.zeros((2, 4), cast)})


def test_inner_tensors_whose_type_is_not_declared_come_in_float32() -> None:
    model = ir.from_proto(network("bfloat16"))
    for node in model.graph:
        node.outputs[0].type = None if node.outputs[0] not in model.graph.outputs else node.outputs[0].type
    x = normal(4, 8).astype(ml_dtypes.bfloat16)
    found = Observer(model, ["narrow", "g", "y"])({"x": x})
    assert {name: array.dtype for name, array in found.items()} == dict.fromkeys(found, np.dtype(np.float32))
    np.testing.assert_array_equal(found["narrow"], found["g"].astype(ml_dtypes.bfloat16).astype(np.float32))


def test_inputs_that_are_no_tensors_are_refused() -> None:
    session = session_of("y = SequenceLength (x)", "seq(float[N]) x", "int64 y")
    with pytest.raises(ModelError, match="input 'x' is seq"):
        session_specs(session)
