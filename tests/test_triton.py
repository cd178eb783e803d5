# SPDX-License-Identifier: Apache-2.0
"""Model repositories of Triton, whose configuration is read by Triton's own message where it is installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from graphs import graph
from onnx import TensorProto, helper

import onnx_snn
from onnx_snn import DeployError, LibraryError, OutputError
from onnx_snn.deployment.triton_config import triton_config
from onnx_snn.graph.model_writer import save_model

X = {"x": np.random.default_rng(3).normal(size=(8, 4, 8)).astype(np.float32)}


def tensors(*values: tuple[str, int, list[Any] | None]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(*value) for value in values]


def network(inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> ir.Model:
    """A network of these inputs and outputs; nothing computes them."""
    return ir.from_proto(helper.make_model(helper.make_graph([], "network", inputs, outputs)))


def parsed(config: str) -> dict[str, Any]:
    """The fields of a configuration, by Triton's own message or, without it, by what they look like."""
    try:
        from google.protobuf import json_format, text_format
        from tritonclient.grpc import model_config_pb2
    except ImportError:
        return read(config)
    message = text_format.Parse(config, model_config_pb2.ModelConfig())
    fields = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return {
        "max_batch_size": fields.get("max_batch_size", 0),
        "dynamic_batching": "dynamic_batching" in fields,
        "cpu": [group["kind"] for group in fields.get("instance_group", [])] == ["KIND_CPU"],
        "libraries": fields.get("model_operations", {}).get("op_library_filename", []),
        **{
            field: {
                tensor["name"]: (tensor["data_type"], [int(size) for size in tensor["dims"]], "reshape" in tensor)
                for tensor in fields[field]
            }
            for field in ("input", "output")
        },
    }


TENSOR = re.compile(
    r'(input|output) \[ \{ name: "(.*)" data_type: (\w+) dims: \[ (.*) \]( reshape \{ shape: \[ \] \})? \} \]'
)


def read(config: str) -> dict[str, Any]:
    libraries = re.search(r"^model_operations \{ op_library_filename: \[ (.*) \] \}$", config, re.MULTILINE)
    fields: dict[str, Any] = {
        "max_batch_size": int(re.findall(r"^max_batch_size: (\d+)$", config, re.MULTILINE)[0]),
        "dynamic_batching": "\ndynamic_batching { }\n" in config,
        "cpu": "\ninstance_group [ { kind: KIND_CPU } ]\n" in config,
        "libraries": [name.strip('"') for name in libraries[1].split(", ")] if libraries else [],
        "input": {},
        "output": {},
    }
    for field, name, data_type, dims, reshape in TENSOR.findall(config):
        fields[field][name] = (data_type, [int(size) for size in dims.split(", ")], bool(reshape))
    return fields


def test_requests_are_batched_along_a_free_axis_that_all_share() -> None:
    inputs = tensors(("ids", TensorProto.INT64, ["batch", "length"]), ("text", TensorProto.STRING, ["batch"]))
    outputs = tensors(("y", TensorProto.FLOAT16, ["batch", 3, "length + 1"]))
    fields = parsed(triton_config(network(inputs, outputs), "n", ["/m/n/libonnx_snn_ops.so"], 4))
    assert fields == {
        "max_batch_size": 4,
        "dynamic_batching": True,
        "cpu": True,
        "libraries": ["/m/n/libonnx_snn_ops.so"],
        "input": {"ids": ("TYPE_INT64", [-1], False), "text": ("TYPE_STRING", [1], True)},
        "output": {"y": ("TYPE_FP16", [3, -1], False)},
    }


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([["batch", 2]], [["other", 2]]),
        ([["batch", 2], [4, 2]], [["batch", 2]]),
        ([["batch", 2], []], [["batch", 2]]),
        ([[8, 2]], [[8, 2]]),
        ([["batch", 2]], [[None, 2]]),
    ],
)
def test_requests_of_other_networks_are_not_batched(inputs: list[list[Any]], outputs: list[list[Any]]) -> None:
    """All axes are sizes of a request then."""
    model = network(
        tensors(*((f"x{index}", TensorProto.FLOAT, shape) for index, shape in enumerate(inputs))),
        tensors(*((f"y{index}", TensorProto.BOOL, shape) for index, shape in enumerate(outputs))),
    )
    fields = parsed(triton_config(model, "n", [], 8))
    assert (fields["max_batch_size"], fields["dynamic_batching"], fields["cpu"]) == (0, False, False)
    shapes = {
        f"x{index}": [size if isinstance(size, int) else -1 for size in shape] for index, shape in enumerate(inputs)
    }
    assert {name: sizes for name, (_, sizes, _) in fields["input"].items()} == {
        name: sizes or [1] for name, sizes in shapes.items()
    }
    assert {data_type for data_type, _, _ in fields["output"].values()} == {"TYPE_BOOL"}


def test_no_batching_may_be_asked_for() -> None:
    model = network(tensors(("x", TensorProto.FLOAT, ["n", 2])), tensors(("y", TensorProto.FLOAT, ["n"])))
    assert parsed(triton_config(model, "n", [], 0))["input"] == {"x": ("TYPE_FP32", [-1, 2], False)}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (helper.make_tensor_value_info("x", TensorProto.FLOAT8E4M3FN, ["n"]), "Triton has tensors of"),
        (helper.make_tensor_value_info("x", TensorProto.FLOAT, None), "number of axes of 'x' is not declared"),
        (helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, ["n"]), "Triton has tensors of"),
    ],
)
def test_what_triton_has_no_type_for_is_refused(value: onnx.ValueInfoProto, reason: str) -> None:
    with pytest.raises(DeployError, match=reason):
        triton_config(network([value], []), "n", [], 8)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted network with a range guard and weights in a file of their own."""
    folder = tmp_path_factory.mktemp("converted")
    options: dict[str, Any] = {"guard": True, "body": "closed", "fast": True, "timesteps": 4}
    onnx_snn.convert(ir.to_proto(graph("y = Gelu (x)")), folder / "inline.onnx", X, progress=False, **options)
    save_model(ir.load(folder / "inline.onnx"), folder / "snn.onnx", external_data=True)
    return folder / "snn.onnx"


def test_a_repository_holds_all_that_the_network_needs(converted: Path, tmp_path: Path) -> None:
    folder = onnx_snn.deploy_triton(converted, tmp_path / "models", served_from="/models")
    library = onnx_snn.get_library_path()
    files = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
    weights = [file.name for file in converted.parent.glob("*.data")]
    names = ["config.pbtxt", "1/model.onnx", library.name, *(f"1/{name}" for name in weights)]
    assert folder == tmp_path / "models" / "snn"
    assert sorted(files) == sorted(f"models/snn/{name}" for name in names)
    fields = parsed((folder / "config.pbtxt").read_text())
    assert fields["libraries"] == [f"/models/snn/{library.name}"]
    assert fields["output"] == {"y": ("TYPE_FP32", [4, 8], False)}
    options = ort.SessionOptions()
    options.register_custom_ops_library(str(folder / library.name))
    [y] = ort.InferenceSession(str(folder / "1" / "model.onnx"), options).run(["y"], X)
    [expected] = onnx_snn.session(converted).run(["y"], X)
    np.testing.assert_array_equal(y, expected)


def test_a_network_of_standard_operators_needs_no_library(tmp_path: Path) -> None:
    (tmp_path / "gelu").mkdir()
    onnx.save(ir.to_proto(graph("y = Gelu (x)")), tmp_path / "gelu" / "model.onnx")
    for _ in range(2):
        folder = onnx_snn.deploy_triton(tmp_path / "gelu", tmp_path / "models")
    assert folder == tmp_path / "models" / "gelu"
    assert parsed((folder / "config.pbtxt").read_text())["libraries"] == []
    assert {path.name for path in folder.iterdir()} == {"1", "config.pbtxt"}


def test_bad_requests_write_nothing(converted: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    with pytest.raises(DeployError, match=r"'\.\./x' is no name of a model"):
        onnx_snn.deploy_triton(converted, models, name="../x")
    with pytest.raises(DeployError, match="max_batch_size is -1"):
        onnx_snn.deploy_triton(converted, models, max_batch_size=-1)
    with pytest.raises(LibraryError, match=r"libmine\.so' does not exist"):
        onnx_snn.deploy_triton(converted, models, custom_ops=["libmine.so"])
    with pytest.raises(OutputError, match=r"repository '.*deeper' cannot be written"):
        onnx_snn.deploy_triton(converted, models / "deeper")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="is the source folder"):
        onnx_snn.deploy_triton(converted, converted.parent.parent, name=converted.parent.name)
