# SPDX-License-Identifier: Apache-2.0
"""Networks whose names are those that conversion makes itself."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from both_runtimes import checked_conversion
from conversions import WEIGHT, converted, statuses
from graphs import graph
from networks import normal
from onnx import helper

import onnx_snn
from onnx_snn import Status

FEEDS = [{"x": normal(2, 4, 8, seed=seed)} for seed in range(3)]
BODY = "a = MatMul (x, weight) b = Tanh (a) s = Softmax <axis = 1> (b) y = Gelu (s)"
INTERNAL = ["onnx_snn.switch.0", "onnx_snn.switch.0.node", "onnx_snn.shape_of.a", "b/spiking", "b/exact", "b_replaced",
            "a.u_rest", "onnx_snn.lifted.a", "b/spikes", "x/code/spikes", "onnx_snn.constant_0"]  # fmt: skip
"""Names that stages of a conversion and of what follows it use on the way."""


def renamed(names: list[str]) -> onnx.ModelProto:
    """The network with a chain of Tanh in front, whose nodes and tensors are called `names`."""
    proto = onnx.ModelProto()
    proto.CopyFrom(onnx_snn.graph.map_types.to_proto(graph(BODY, initializers=WEIGHT)))
    chain, last = [], "x"
    for name in names:
        chain.append(helper.make_node("Tanh", [last], [name], name=name))
        last = name
    proto.graph.node[0].input[0] = last
    nodes = [*chain, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return proto


def made_names(folder: Path) -> list[str]:
    """Names of initializers, tensors and nodes that a conversion of the network adds."""
    model = graph(BODY, initializers=WEIGHT)
    path, _ = converted(model, folder)
    written = onnx.load(path).graph
    names = [tensor.name for tensor in written.initializer] + [node.name for node in written.node]
    names += [name for node in written.node for name in node.output]
    return sorted(set(names) - {"", "x", "a", "b", "s", "y", "weight"})


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"fast": False}, {"meter": True}], ids=["by rule", "chosen", "metered"])
def test_names_of_a_conversion_may_be_taken(options: dict[str, bool], tmp_path: Path) -> None:
    names = [*made_names(tmp_path)[::45], *INTERNAL]
    model = renamed(names)
    if options.get("meter"):
        _, report = converted(model, tmp_path, FEEDS, **options)
    else:
        found = checked_conversion(model, tmp_path, FEEDS, **options)
        report = found.report
        onnx_snn.profile(found.spiking, FEEDS, progress=False)
        onnx_snn.compare(found.original, found.spiking, FEEDS, progress=False)
    assert set(statuses(report).values()) == {Status.CONVERTED}
    assert set(names) <= set(statuses(report))
