# SPDX-License-Identifier: Apache-2.0
"""Inputs of a network that are computed inside from now on."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from onnx_snn.packing.graph_writer import GraphWriter


def connect(write: GraphWriter, made: Mapping[str, ir.Value]) -> None:
    """Let the network read `made` in place of its inputs of these names, in their element types."""
    graph = write.model.graph
    for value in [value for value in graph.inputs if value.name in made]:
        new = made[str(value.name)]
        new = write.Cast(new, to=value.dtype)
        new.type, new.shape = value.type, value.shape
        ir.convenience.replace_all_uses_with(value, new, replace_graph_outputs=True)
        graph.inputs.remove(value)
