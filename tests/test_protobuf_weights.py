# SPDX-License-Identifier: Apache-2.0
"""Weights leave an .onnx file and come back to it byte for byte, around a message that never holds them."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError

from onnx_snn.graph.protobuf_weights import INLINE_BYTES, read_model, write_model

LARGE = INLINE_BYTES + 4


def model(*initializers: onnx.TensorProto) -> onnx.ModelProto:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "main",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N"])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N"])],
        initializers,
    )
    return onnx.helper.make_model(graph)


def raw(name: str, size: int, dtype: object = np.uint8, **fields: str) -> onnx.TensorProto:
    array = np.random.default_rng(size).integers(0, 256, size, np.uint8).view(dtype)
    tensor = onnx.numpy_helper.from_array(array, name)
    for field, value in fields.items():
        setattr(tensor, field, value)
    return tensor


def saved(proto: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_weights_go_out_and_come_back(tmp_path: Path) -> None:
    tensors = [
        raw("first", LARGE, np.float32),
        raw("small", INLINE_BYTES),
        raw("half", 70_000, ml_dtypes.bfloat16, doc_string="fields may follow the data"),
        raw("last", 3_000_000, np.int64),
    ]
    path = saved(model(*tensors), tmp_path)
    content = path.read_bytes()
    hollow, spans = read_model(path)
    assert list(spans) == ["first", "half", "last"]
    assert hollow.ByteSize() < 2 * INLINE_BYTES
    weights = {}
    for tensor in tensors:
        if tensor.name in spans:
            offset, length = spans[tensor.name]
            assert content[offset : offset + length] == tensor.raw_data
            weights[tensor.name] = onnx.numpy_helper.to_array(tensor)
    write_model(hollow, weights, tmp_path / "copy.onnx")
    assert (tmp_path / "copy.onnx").read_bytes() == content


def test_what_is_not_stored_byte_by_byte_stays(tmp_path: Path) -> None:
    packed = onnx.helper.make_tensor("packed", onnx.TensorProto.INT4, [2 * LARGE], bytes(LARGE), raw=True)
    typed = onnx.helper.make_tensor("typed", onnx.TensorProto.FLOAT, [LARGE], np.zeros(LARGE))
    wrong = raw("wrong", LARGE)
    wrong.dims[:] = [LARGE - 1]
    proto = model(packed, typed, wrong)
    assert read_model(saved(proto, tmp_path)) == (proto, {})


def test_a_message_cut_anywhere_is_refused_or_has_lost_whole_fields(tmp_path: Path) -> None:
    content = saved(model(raw("w", LARGE)), tmp_path).read_bytes()
    path = tmp_path / "cut.onnx"
    for end in range(1, len(content)):
        path.write_bytes(content[:end])
        try:
            expected = onnx.ModelProto.FromString(content[:end])
        except DecodeError:
            with pytest.raises(DecodeError):
                read_model(path)
        else:
            assert read_model(path)[0].ByteSize() <= expected.ByteSize()
