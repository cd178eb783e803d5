# SPDX-License-Identifier: Apache-2.0
"""The files that a model lies in, which nothing may be written to."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from onnx_snn.errors import ModelError
from onnx_snn.graph.external_weights import external_tensors
from onnx_snn.graph.map_types import from_proto
from onnx_snn.graph.model_reader import ModelSource
from onnx_snn.graph.protobuf_weights import read_model
from onnx_snn.graph.tensor_messages import check_tensors


def source_files(source: ModelSource) -> list[Path]:
    """The file of a model and those of its external data; of a folder, all files in it.

    A model in memory has only external data. What cannot be read as a model is returned as it is: the error belongs to
    those who load it.
    """
    if isinstance(source, ir.Model):
        return _external_data(source)
    if isinstance(source, onnx.ModelProto):
        return []
    path = Path(source)
    if not path.is_dir():
        return [path, *_external_data_of_file(path)]
    files = [file for file in path.iterdir() if file.is_file()]
    return [*files, *(data for file in files if file.suffix == ".onnx" for data in _external_data_of_file(file))]


def _external_data_of_file(path: Path) -> list[Path]:
    try:
        message = read_model(path)[0]
        check_tensors(message, str(path))
        model = from_proto(message)
    except (DecodeError, OSError, ValueError, ModelError, ir.serde.SerdeError):
        return []
    for tensor in external_tensors(model):
        tensor.base_dir = os.fspath(path.absolute().parent)
    return _external_data(model)


def _external_data(model: ir.Model) -> list[Path]:
    return [Path(name) for name in dict.fromkeys(os.fspath(tensor.path) for tensor in external_tensors(model))]
