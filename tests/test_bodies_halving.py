# SPDX-License-Identifier: Apache-2.0
"""Statements on parameters alone, in bodies of halving neurons, run once, at the creation of a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from composites import COARSE, COARSE_DEVIATION, EVERYTHING
from portable import OPSET, model_of, neuron_feeds, with_constants

from onnx_snn.neurons.function_bodies import function_protos
from onnx_snn.neurons.opset import MBE_NEURON, Body

X = np.zeros((2, 3), np.float32)

FEEDS = {name: (composite.operator, composite.feeds(X)) for name, composite in COARSE.items()}
FEEDS["neuron"] = (MBE_NEURON, neuron_feeds(COARSE_DEVIATION, X))


@pytest.mark.parametrize("opset", [13, OPSET, 28])
@pytest.mark.parametrize("name", FEEDS)
def test_runs_compute_nothing_on_parameters(name: str, opset: int, tmp_path: Path) -> None:
    operator, feeds = FEEDS[name]
    model = model_of(operator, body=Body.CLOSED, metered=False, polarity=1, opset=opset)
    del model.functions[:]
    model.functions.extend(function_protos([operator.name], opset=opset, body=Body.CLOSED, guarantees=EVERYTHING))
    constants = {parameter: value for parameter, value in feeds.items() if parameter != "x"}
    graph = _optimized(with_constants(model, constants), tmp_path)
    assert [node.op_type for node in _on_constants(graph, set())] == []


def _optimized(model: onnx.ModelProto, folder: Path) -> onnx.GraphProto:
    """The graph of `model` that an onnxruntime session of it runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath).graph


def _on_constants(graph: onnx.GraphProto, outer: set[str]) -> Iterator[onnx.NodeProto]:
    """The nodes of `graph` and of its subgraphs that read constants only; `outer` are those around it."""
    constants = outer | {initializer.name for initializer in graph.initializer}
    for node in graph.node:
        if all(name in constants for name in node.input if name):
            yield node
        for attribute in node.attribute:
            yield from _on_constants(attribute.g, constants)
