# SPDX-License-Identifier: Apache-2.0
"""Inputs and outputs of map types, such as the class probabilities of a ZipMap, which onnx-ir does not know.

In memory such a value has no type: the serialized type lies in its metadata, which copies keep and `to_proto` reads.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx
import onnx_ir as ir

MAP_TYPE = "onnx_snn.map_type"
"""Key of the serialized `TypeProto` in the metadata of an input or output."""


def from_proto(proto: onnx.ModelProto) -> ir.Model:
    """`proto` as a graph, in which values of map types have no type; `proto` is not changed.

    Raises:
        ir.serde.SerdeError: it is not valid.
    """
    graph = proto.graph
    types = {info.name: info.type.SerializeToString() for info in _maps([*graph.input, *graph.output])}
    if not types and not _maps(graph.value_info):
        return ir.from_proto(proto)
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for info in _maps([*copy.graph.input, *copy.graph.output, *copy.graph.value_info]):
        info.ClearField("type")
    model = ir.from_proto(copy)
    for value in (*model.graph.inputs, *model.graph.outputs):
        if value.name in types:
            value.meta[MAP_TYPE] = types[value.name]
    return model


def to_proto(model: ir.Model) -> onnx.ModelProto:
    """`model` as a message, with the types of maps."""
    proto = ir.to_proto(model)
    restore_map_types(model, proto)
    return proto


def restore_map_types(model: ir.Model, proto: onnx.ModelProto) -> bool:
    """Give the inputs and outputs of `proto`, a message of `model`, the types of maps; whether there are any."""
    types = {v.name: v.meta[MAP_TYPE] for v in (*model.graph.inputs, *model.graph.outputs) if MAP_TYPE in v.meta}
    for info in (*proto.graph.input, *proto.graph.output):
        if info.name in types:
            info.type.ParseFromString(types[info.name])
    return bool(types)


def _maps(infos: Iterable[onnx.ValueInfoProto]) -> list[onnx.ValueInfoProto]:
    """Those of `infos` whose type is a map, or holds one."""
    return [info for info in infos if _holds_map(info.type)]


def _holds_map(proto: onnx.TypeProto) -> bool:
    match proto.WhichOneof("value"):
        case "map_type":
            return True
        case "sequence_type":
            return _holds_map(proto.sequence_type.elem_type)
        case "optional_type":
            return _holds_map(proto.optional_type.elem_type)
        case _:
            return False
