# SPDX-License-Identifier: Apache-2.0
"""Loading refuses what is not a whole, valid model; saving leaves a whole file or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnx_snn.errors import ModelError, OutputError
from onnx_snn.graph import model_writer
from onnx_snn.graph.external_weights import external_tensors
from onnx_snn.graph.model_folder import copy_sidecars, model_files
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import check_output, save_model

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


@pytest.fixture
def inline(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(proto(), path)
    return path


@pytest.fixture
def external(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    save_model(ir.from_proto(proto()), path, external_data=True)
    assert (tmp_path / "model.onnx.data").stat().st_size >= WEIGHTS.nbytes
    return path


def run(path: Path) -> list[np.ndarray]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal((3, 64)).astype(np.float32)
    return [session.run(None, {"x": x, "flag": np.array(flag)})[0] for flag in (True, False)]


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


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


@pytest.mark.parametrize("target", [True, False, None])
@pytest.mark.parametrize("source", ["inline", "external"])
def test_a_saved_model_is_the_same_model(
    source: str, target: bool | None, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path = request.getfixturevalue(source)
    copy = tmp_path / "copy.onnx"
    save_model(load_model(path), copy, external_data=target)
    for actual, expected in zip(run(copy), run(path), strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert load_model(copy).metadata_props == {"author": "me"}
    assert (tmp_path / "copy.onnx.data").exists() == bool(target)
    assert names(tmp_path) <= {"model.onnx", "model.onnx.data", "copy.onnx", "copy.onnx.data"}


def test_weights_beyond_the_limit_go_to_a_file(inline: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(model_writer, "MAX_INLINE_BYTES", WEIGHTS.nbytes)
    save_model(load_model(inline), tmp_path / "copy.onnx")
    assert (tmp_path / "copy.onnx.data").stat().st_size >= WEIGHTS.nbytes
    with pytest.raises(OutputError, match=r"bytes of weights do not fit.*external data"):
        save_model(load_model(inline), tmp_path / "other.onnx", external_data=False)
    assert not (tmp_path / "other.onnx").exists()


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


def test_saving_leaves_the_model_as_it_is(external: Path, tmp_path: Path) -> None:
    model = load_model(external)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    for external_data in (True, False):
        save_model(model, tmp_path / "copy.onnx", external_data=external_data)
        assert ir.to_proto(model).SerializeToString(deterministic=True) == before


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


def old_opset(path: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 7, opset_import: ["": 12]> main (float[N] x) => (float[N] y) { y = Relu(x) }'
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
        (old_opset, "opset 12; 13 or later is needed"),
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


@pytest.mark.usefixtures("inline")
def test_models_and_sidecars_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "decoder_model.onnx").touch()
    (tmp_path / "onnx").mkdir()
    sidecars = {"config.json", "tokenizer.json", "vocab.txt", "spiece.model"}
    for name in [*sidecars, "model.onnx_data", "model.onnx.data", "weights.data"]:
        (tmp_path / name).write_text(name)
    assert [path.name for path in model_files(tmp_path)] == ["decoder_model.onnx", "model.onnx"]
    destination = tmp_path / "out"
    destination.mkdir()
    copied = copy_sidecars(tmp_path, destination)
    assert names(destination) == {path.name for path in copied} == sidecars
    assert (destination / "config.json").read_text() == "config.json"
    with pytest.raises(OutputError, match="nowhere"):
        copy_sidecars(tmp_path, tmp_path / "nowhere")


def test_an_output_that_is_the_input_is_refused(inline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (inline.parent / "sub").mkdir()
    symbolic, hard = inline.with_name("symbolic.onnx"), inline.with_name("hard.onnx")
    symbolic.symlink_to(inline)
    hard.hardlink_to(inline)
    monkeypatch.chdir(inline.parent)
    for output in (inline, inline.parent / "sub" / ".." / "model.onnx", symbolic, hard, Path("model.onnx")):
        with pytest.raises(OutputError, match="is the input"):
            check_output(output, inline)
    with pytest.raises(OutputError, match="is the input"):
        check_output(inline, inline.parent)
    check_output(inline.with_name("new.onnx"), inline)
    check_output(inline, proto())


def test_an_output_that_cannot_be_written_is_refused(
    inline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path, inline)
    with pytest.raises(OutputError, match=r"folder '.*nowhere' does not exist"):
        check_output(tmp_path / "nowhere" / "new.onnx", inline)
    existing = tmp_path / "existing.onnx"
    existing.touch()
    # Permissions do not bind a superuser, so what the system answers is played.
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != existing)
    with pytest.raises(OutputError, match=r"existing\.onnx' exists and is read-only"):
        check_output(existing, inline)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    with pytest.raises(OutputError, match="is not writable"):
        check_output(tmp_path / "new.onnx", inline)


@pytest.mark.parametrize("external_data", [True, False])
def test_a_failed_save_leaves_nothing_and_keeps_what_was(
    external_data: bool, inline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, data = tmp_path / "new.onnx", tmp_path / "new.onnx.data"
    output.write_text("old")
    data.write_text("old weights")
    before = names(tmp_path)

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx, "save", full_disk)
    monkeypatch.setattr(model_writer, "write_model", full_disk)
    with pytest.raises(OutputError, match=r"cannot write '.*new\.onnx'.*No space left"):
        save_model(load_model(inline), output, external_data=external_data)
    assert names(tmp_path) == before
    assert (output.read_text(), data.read_text()) == ("old", "old weights")


def test_saving_does_not_replace_the_weights_that_are_being_read(external: Path) -> None:
    model = load_model(external)
    with pytest.raises(OutputError, match=r"holds weights of the model that is being read"):
        save_model(model, external, external_data=True)
    np.testing.assert_array_equal(run(external)[0], run(external)[0])
