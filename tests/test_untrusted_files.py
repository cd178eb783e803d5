# SPDX-License-Identifier: Apache-2.0
"""Models, archives and configurations of unknown origin: refused in words, within bounds of time and memory."""

from __future__ import annotations

import io
import itertools
import json
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import normal
from onnx import TensorProto, helper

import onnx_snn
from onnx_snn.data.npz import npz_names, read_npz
from onnx_snn.errors import CalibrationError, ConfigError, ModelError, OnnxSnnError
from onnx_snn.graph.model_reader import load_model
from onnx_snn.json_files import parse_object
from onnx_snn.limits import ARRAY_BYTES, NODES, Limit

# --- models --------------------------------------------------------------------------------------


def nested(levels: int, calls: int) -> onnx.ModelProto:
    """A model of `levels` functions, each of which calls the one below `calls` times."""
    functions = []
    for level in range(levels):
        values = ["a", *(f"v{i}" for i in range(calls))]
        op, domain = (f"F{level - 1}", "deep") if level else ("Tanh", "")
        nodes = [helper.make_node(op, [before], [after], domain=domain) for before, after in itertools.pairwise(values)]
        imports = [helper.make_opsetid("", 20), helper.make_opsetid("deep", 1)]
        functions.append(helper.make_function("deep", f"F{level}", ["a"], [values[-1]], nodes, imports))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 8]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node(f"F{levels - 1}", ["x"], ["y"], domain="deep")], "g", [x], [y])
    return helper.make_model(graph, functions=functions, opset_imports=imports, ir_version=9)


def test_functions_that_ask_for_a_billion_nodes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"has 1e\+09 nodes .*, more than 1000000; .*ONNX_SNN_MAX_NODES"):
        load_model(nested(9, 10))
    monkeypatch.setenv(NODES.variable, "80")
    assert len(load_model(nested(2, 8)).functions) == 2
    with pytest.raises(ModelError, match="has 81 nodes"):
        load_model(nested(2, 9))


def test_many_levels_of_functions_are_refused() -> None:
    with pytest.raises(ModelError, match=r"Function call chain depth|nodes when its functions are written out"):
        load_model(nested(300, 2))


@pytest.mark.parametrize("value", ["0", "-1", "1e6", "many", "²"])
def test_a_limit_that_is_no_number_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Limit("ONNX_SNN_MAX_THINGS", 7)
    assert limit.value == 7
    monkeypatch.setenv(limit.variable, value)
    with pytest.raises(ConfigError, match=r"ONNX_SNN_MAX_THINGS is .*; expected a whole number above 0"):
        _ = limit.value


def external(folder: Path, **entries: str) -> Path:
    """A model whose weights have the given entries of external data."""
    onnx.save(networks.classifier(), folder / "m.onnx", save_as_external_data=True, location="w", size_threshold=0)
    model = onnx.load(folder / "m.onnx", load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = entries.get(entry.key, entry.value)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"offset": "-256"}, "offset of the external data of tensor .* is '-256'"),
        ({"offset": "abc"}, "offset of the external data of tensor .* is 'abc'"),
        ({"length": "1.5"}, "length of the external data"),
        ({"length": "4"}, "of which it has 4 bytes and needs"),
        ({"length": str(2**63)}, "fetch it again"),
        ({"offset": str(2**70)}, "fetch it again"),
        ({"location": "a\0b"}, "location of the external data"),
        ({"location": "../../../../../../etc/passwd"}, "cannot be mapped|does not exist"),
        ({"location": "/etc/passwd"}, "cannot be mapped|does not exist"),
        ({"location": ""}, "does not exist"),
    ],
    ids=str,
)
def test_external_data_that_cannot_be_one_is_named(entries: dict[str, str], says: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=says):
        load_model(external(tmp_path, **entries))


def test_a_pipe_is_no_external_data(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="does not exist"):
        load_model(external(tmp_path, location="pipe"))


def test_a_negative_size_is_named(tmp_path: Path) -> None:
    model = networks.classifier()
    model.graph.initializer[0].dims[:] = [-32, -32]
    model.graph.initializer[0].raw_data = bytes(4096)
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"tensor '.*' has the shape \[-32, -32\]"):
        load_model(tmp_path / "m.onnx")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(["cut", "drop", "flip", "noise"]))
def test_a_damaged_model_is_converted_or_refused_in_words(seed: int, kind: str, tmp_path: Path) -> None:
    """No error but our own, whatever bytes are changed."""
    random, content = np.random.default_rng(seed), bytearray(networks.classifier().SerializeToString())
    place = int(random.integers(len(content)))
    if kind == "cut":
        del content[place:]
    elif kind == "drop":
        del content[place : place + int(random.integers(1, 40))]
    elif kind == "flip":
        for at in random.integers(len(content), size=int(random.choice([1, 2, 4, 16]))):
            content[at] ^= 1 << int(random.integers(8))
    else:
        content = bytearray(random.bytes(int(random.integers(1, 400))))
    (tmp_path / "m.onnx").write_bytes(content)
    try:
        onnx_snn.convert(tmp_path / "m.onnx", dry_run=True, progress=False)
    except OnnxSnnError as error:
        assert str(error)  # noqa: PT017 - a model that is still one is no error


# --- archives ------------------------------------------------------------------------------------


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def archive(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", content)


def patched(path: Path, local: int, central: int, value: int) -> None:
    """Change a byte of the headers of the first member of a good archive."""
    np.savez(path, x=normal(4, 8))
    content = bytearray(path.read_bytes())
    content[content.find(b"PK\x03\x04") + local] = content[content.find(b"PK\x01\x02") + central] = value
    path.write_bytes(content)


def damaged(path: Path) -> None:
    np.savez_compressed(path, x=normal(100, 8))
    content = bytearray(path.read_bytes())
    for place in range(100, len(content) - 200, 37):
        content[place] ^= 0x55
    path.write_bytes(content)


OPEN_BRACKETS = b"\x93NUMPY\x01\x00" + (9001).to_bytes(2, "little") + b"(" * 9000 + b"\n"
"""A header on which the tokenizer of Python fails."""

ARCHIVES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "announces 64 GiB": (lambda path: archive(path, header((2**31, 8)) + bytes(64)), "announces 68719476736 bytes"),
    "negative size": (lambda path: archive(path, header((-1, 8))), "announces -32 bytes"),
    "encrypted": (lambda path: patched(path, 6, 8, 1), "is encrypted"),
    "unknown compression": (lambda path: patched(path, 8, 10, 99), "compression method is not supported"),
    "damaged": (damaged, "cannot read"),
    "cut": (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(100)), "not a zip file"),
    "empty": (lambda path: path.touch(), "not a zip file"),
    "text": (lambda path: path.write_text("hello"), "not a zip file"),
    "no array": (lambda path: archive(path, b"not an array"), "magic string"),
    "no header": (lambda path: archive(path, OPEN_BRACKETS), "cannot read"),
    "objects": (lambda path: np.savez(path, x=np.array([{}], object)), "holds Python objects"),
    "one array": (lambda path: archive_of_one(path), "holds one array"),
}  # fmt: skip


def archive_of_one(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones(3))


@pytest.mark.parametrize(("make", "says"), ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_that_holds_no_arrays_is_refused(make: Callable[[Path], Any], says: str, tmp_path: Path) -> None:
    make(tmp_path / "data.npz")
    with pytest.raises(CalibrationError, match=says):
        read_npz(tmp_path / "data.npz")


def test_what_numpy_saves_is_read(tmp_path: Path) -> None:
    arrays = {
        "x": normal(3, 4),
        "fortran": np.asfortranarray(normal(3, 4)),
        "none": np.zeros((0, 3)),
        "one": np.array(7),
    }
    np.savez_compressed(tmp_path / "data.npz", **arrays)
    assert npz_names(tmp_path / "data.npz") == list(arrays)
    for name, array in read_npz(tmp_path / "data.npz").items():
        np.testing.assert_array_equal(array, arrays[name])
    assert list(read_npz(tmp_path / "data.npz", ["one"])) == ["one"]


def test_an_array_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "data.npz", x=normal(3, 4))
    monkeypatch.setenv(ARRAY_BYTES.variable, "47")
    with pytest.raises(CalibrationError, match=r"has 48 bytes, more than 47; .*ONNX_SNN_MAX_ARRAY_BYTES"):
        read_npz(tmp_path / "data.npz")


def test_errors_of_the_decompression_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise zlib.error("Error -3")

    np.savez(tmp_path / "data.npz", x=normal(3, 4))
    monkeypatch.setattr("onnx_snn.data.npz.npy.read_array", fail)
    monkeypatch.setattr("onnx_snn.data.npz.npy.read_magic", fail)
    with pytest.raises(CalibrationError, match=r"cannot read .*Error -3"):
        read_npz(tmp_path / "data.npz")


# --- configurations ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 20_000, "nested too deeply"),
        ("[1]", "it is a list; expected an object"),
        ("null", "it is a NoneType"),
        ('{"timesteps": 4, "timesteps": 8}', "the key 'timesteps' is there twice"),
        ('{"a": {"b": 1, "b": 1}}', "the key 'b' is there twice"),
        ("{", "Expecting"),
    ],
)
def test_json_that_is_no_object_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_object(text)


def test_an_object_is_read() -> None:
    assert parse_object(json.dumps({"a": [1, {"b": None}]})) == {"a": [1, {"b": None}]}


@pytest.mark.parametrize("headroom", [True, "4", None])
def test_a_headroom_that_is_no_number_is_refused(headroom: Any) -> None:
    with pytest.raises(ConfigError, match="headroom is"):
        onnx_snn.ConvertConfig(headroom=headroom)


@pytest.mark.parametrize("op", ["LayerNormalization", "RMSNormalization"])
def test_an_axis_that_no_tensor_has_is_no_axis(op: str, tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 8]) for name in ("x", "y"))
    scale = helper.make_tensor("s", TensorProto.FLOAT, [8], [1.0] * 8)
    node = helper.make_node(op, ["x", "s"], ["y"], axis=-(2**62))
    graph = helper.make_graph([node], "g", [x], [y], [scale])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10), tmp_path / "m.onnx")
    with pytest.raises(ModelError):
        onnx_snn.convert(tmp_path / "m.onnx", dry_run=True, progress=False)
