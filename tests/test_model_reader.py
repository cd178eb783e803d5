# SPDX-License-Identifier: Apache-2.0
"""Loading reads what onnxruntime accepts, and refuses what is not a whole, valid model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from weighted_model import WEIGHTS, proto

from onnx_snn.errors import ModelError
from onnx_snn.graph.external_weights import external_tensors
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model

UNUSUAL = {
    "nodes out of order": ("y = Add (h, x) h = MatMul (x, w)", ["MatMul", "Add"]),
    "operators of onnxruntime's optimizer": (
        "h = LayerNormalization (x, g, g) i = SimplifiedLayerNormalization (h, g) y = MatMul (i, w)",
        ["LayerNormalization", "SimplifiedLayerNormalization", "MatMul"],
    ),
}
"""What onnxruntime accepts and onnx's checker does not."""


@pytest.mark.parametrize(("body", "operators"), UNUSUAL.values(), ids=UNUSUAL.keys())
@pytest.mark.parametrize("form", ["ModelProto", "ir.Model", "file", "file with external data"])
def test_what_onnxruntime_accepts_is_read(body: str, operators: list[str], form: str, tmp_path: Path) -> None:
    header = '<ir_version: 8, opset_import: ["" : 16]> main (float[N, 64] x, float[64] g) => (float[N, 64] y)'
    model = onnx.parser.parse_model(f"{header} {{ {body} }}")
    if form == "ir.Model" and "h = MatMul" in body:
        model.graph.node.reverse()  # an ir.Model out of order cannot even be copied
    model.graph.initializer.append(onnx.numpy_helper.from_array(WEIGHTS, "w"))
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data="external" in form, location="weights", size_threshold=0)
    source = {"ModelProto": model, "ir.Model": ir.from_proto(model)}.get(form, path)
    loaded = load_model(source)
    assert [(node.domain, node.op_type) for node in loaded.graph] == [("", name) for name in operators]
    save_model(loaded, tmp_path / "copy.onnx")
    ort.InferenceSession(tmp_path / "copy.onnx", providers=["CPUExecutionProvider"])


def test_a_cycle_is_refused() -> None:
    header = '<ir_version: 8, opset_import: ["" : 16]> main (float[N, 64] x) => (float[N, 64] y)'
    with pytest.raises(ModelError, match="must be topologically sorted"):
        load_model(onnx.parser.parse_model(f"{header} {{ h = Add (y, x) y = Add (h, x) }}"))


def test_the_source_stays_as_it_is() -> None:
    original = proto()
    model = ir.from_proto(proto())
    for source, serialize in ((original, lambda: original), (model, lambda: ir.to_proto(model))):
        before = serialize().SerializeToString(deterministic=True)
        loaded = load_model(source)
        loaded.graph.remove(loaded.graph[0])
        loaded.graph.initializers.clear()
        loaded.metadata_props.clear()
        assert serialize().SerializeToString(deterministic=True) == before


def test_external_data_is_mapped_and_found_from_anywhere(
    external: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(external.parent)
    model = load_model("model.onnx")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    (tensor,) = (t for t in external_tensors(model) if t.name == "w")
    assert isinstance(tensor.numpy(), np.ndarray)
    np.testing.assert_array_equal(tensor.numpy(), WEIGHTS)


def test_a_folder_stands_for_its_model(inline: Path) -> None:
    assert load_model(inline.parent).graph.name == load_model(str(inline)).graph.name == "main"
    inline.rename(inline.with_name("encoder_model.onnx"))
    with pytest.raises(ModelError, match=r"no model\.onnx; choose one of \['encoder_model\.onnx'\]"):
        load_model(inline.parent)
    (inline.parent / "encoder_model.onnx").unlink()
    with pytest.raises(ModelError, match=r"holds no \.onnx file"):
        load_model(inline.parent)


def garbage(path: Path) -> None:
    path.write_text("this is not a model")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def lfs_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n")


def missing(path: Path) -> None:
    path.unlink()


def unknown_domain(path: Path) -> None:
    model = proto()
    model.graph.node[0].domain = "acme"
    path.write_bytes(model.SerializeToString())


def wrong_attribute(path: Path) -> None:
    model = proto()
    model.graph.node[0].attribute.add(name="nonsense", i=1, type=onnx.AttributeProto.INT)
    path.write_bytes(model.SerializeToString())


def dangling(path: Path) -> None:
    model = proto()
    model.graph.node[0].input[0] = "nowhere"
    path.write_bytes(model.SerializeToString())


def old_opset_with_functions(path: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 12, "acme": 1]> main (float[N] x) => (float[N] y) { y = acme.f(x) }'
        '<domain: "acme", opset_import: ["": 12]> f (a) => (b) { b = Relu(a) }'
    )
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (garbage, "not an ONNX model"),
        (empty, "not an ONNX model"),
        (truncated, "not an ONNX model, or is truncated"),
        (lfs_pointer, "git lfs pull"),
        (missing, "does not exist"),
        (unknown_domain, "acme"),
        (wrong_attribute, "nonsense"),
        (dangling, "nowhere"),
        (old_opset_with_functions, "opset 12, and 13 or later is needed.*functions"),
    ],
)
def test_a_bad_model_is_named(spoil: Callable[[Path], None], message: str, inline: Path) -> None:
    spoil(inline)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(inline)
    assert str(inline) in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (missing, "does not exist"),
        (truncated, r"has \d+ bytes of at least \d+"),
        (lfs_pointer, "git lfs pull"),
    ],
)
def test_bad_external_data_is_named(spoil: Callable[[Path], None], message: str, external: Path) -> None:
    data = external.with_name("model.onnx.data")
    spoil(data)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(external)
    assert str(data) in str(caught.value)


def test_external_data_outside_the_folder_is_refused(external: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = external.with_name("model.onnx.data")
    outside = tmp_path_factory.mktemp("outside") / "weights"
    data.rename(outside)
    data.symlink_to(outside)
    with pytest.raises(ModelError, match=r"cannot be mapped.*outside"):
        load_model(external)


def test_a_proto_without_its_weights_is_refused(external: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    with pytest.raises(ModelError, match=r"given ModelProto.*'w'.*load by path"):
        load_model(onnx.load(external, load_external_data=False))
