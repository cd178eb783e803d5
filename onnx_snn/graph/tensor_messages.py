# SPDX-License-Identifier: Apache-2.0
"""The tensors of a model as protobuf messages, and checks of what a message says before anything is made of it."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from onnx_snn.errors import ModelError

NUMBERS = ("offset", "length")
"""Entries of external data that are numbers of bytes."""


def tensors_of(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """The initializers of a graph and the tensors in attributes of its nodes, subgraphs included."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for subgraph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from tensors_of(subgraph)


def check_tensors(model: onnx.ModelProto, where: str) -> None:
    """Refuse a model with a tensor of negative size, or external data that cannot be one.

    Args:
        model: the model.
        where: name of the model in error messages.

    Raises:
        ModelError: it has one; the message names it.
    """
    for tensor in tensors_of(model.graph):
        if any(size < 0 for size in tensor.dims):
            raise ModelError(f"{where} is not valid ONNX: tensor {tensor.name!r} has the shape {list(tensor.dims)}")
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        for entry in tensor.external_data:
            number = entry.key in NUMBERS and not (entry.value.isascii() and entry.value.isdigit())
            if number or (entry.key == "location" and "\0" in entry.value):
                raise ModelError(
                    f"{where} is not valid ONNX: {entry.key} of the external data of tensor {tensor.name!r} is "
                    f"{entry.value!r}"
                )
