# SPDX-License-Identifier: Apache-2.0
"""Spoils one neuron of a converted file: it still runs, and answers wrongly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from onnx_snn.neurons.opset import OPERATORS, PARAMETERS

QUARTER = 4.0


def spoiled(source: Path, name: str, path: Path, *, headroom: float = 1.0) -> Path:
    """A copy of `source` at `path`, in which a neuron of node `name` reaches a quarter of its calibrated range.

    That neuron is the one with a scale, the code or the function. All that lies beyond answers what its end does.

    Args:
        source: converted file.
        name: of a spiking node.
        path: file to write.
        headroom: by how much the range was widened when the neuron was fitted.
    """
    model = onnx.load(source)
    (node,) = (node for node in model.graph.node if node.name == name)
    prefix, _ = next(neuron for neuron in OPERATORS[node.op_type].neurons if neuron[1])
    inputs = dict(zip(OPERATORS[node.op_type].inputs, range(len(node.input)), strict=True))
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found = {each: weights[node.input[inputs[prefix + each]]] for each in PARAMETERS}
    changed = _shrunk(found, QUARTER * headroom)
    for each, array in changed.items():
        own = f"spoiled.{each}"
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), own))
        node.input[inputs[prefix + each]] = own
    onnx.save(model, path)
    return path


def _shrunk(neuron: dict[str, np.ndarray], factor: float) -> dict[str, np.ndarray]:
    """Parameters without what the neuron knew beyond its range over `factor`."""
    u_rest, gain, weight = neuron["u_rest"], neuron["gain"], neuron["weight"]
    ends = u_rest + (2.0 - neuron["intensity"][-1, 0]) / gain
    reach = max(np.abs(ends).max(), np.abs(u_rest).max()) / factor
    inside = np.abs(u_rest) < reach
    part = np.clip((np.where(gain > 0, reach, -reach) - u_rest) * gain / 2.0, 0.0, 1.0)
    # A basis that begins inside ends at the limit: it gets shorter and steeper by a power of two, and less weight.
    shift = 2.0 ** np.ceil(-np.log2(np.where(part > 0.0, part, 1.0)))
    return {"gain": np.where(inside, gain * shift, gain), "weight": np.where(inside, weight / shift, 0.0)}
