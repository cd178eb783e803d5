# SPDX-License-Identifier: Apache-2.0
"""Networks of one recurrent operator with random weights, and inputs for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from networks import normal
from onnx import TensorProto, helper, numpy_helper

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
INPUT, HIDDEN, STEPS, BATCH = 4, 5, 6, 3


def directions(direction: str) -> int:
    return 2 if direction == "bidirectional" else 1


def network(
    operator: str,
    direction: str,
    *,
    lengths: bool = False,
    initial: bool = False,
    peepholes: bool = False,
    size: tuple[int, int] = (INPUT, HIDDEN),
    **attributes: Any,
) -> onnx.ModelProto:
    """A network of the recurrent `operator` from x [STEPS, BATCH, input] to all of its outputs."""
    count, gates, (width, hidden) = directions(direction), GATES[operator], size
    states = 2 if operator == "LSTM" else 1
    shapes = {
        "W": (count, gates * hidden, width),
        "R": (count, gates * hidden, hidden),
        "B": (count, 2 * gates * hidden),
    }
    shapes |= {"P": (count, 3 * hidden)} if peepholes else {}
    weights = [
        numpy_helper.from_array(0.6 * normal(*shape, seed=i), name) for i, (name, shape) in enumerate(shapes.items())
    ]
    given = [("x", TensorProto.FLOAT, ["s", "b", width])]
    given += [("lengths", TensorProto.INT32, ["b"])] if lengths else []
    given += [(f"initial_{i}", TensorProto.FLOAT, [count, "b", hidden]) for i in range(states)] if initial else []
    names = ["x", "W", "R", "B", "lengths" if lengths else ""]
    names += [f"initial_{i}" if initial else "" for i in range(2)] + (["P"] if peepholes else [])
    names = names[: 6 if operator != "LSTM" else None]
    outputs = ["y", "last", *(["cell"] if operator == "LSTM" else [])]
    node = helper.make_node(operator, names, outputs, "cell", direction=direction, hidden_size=hidden, **attributes)
    values = [helper.make_tensor_value_info(*each) for each in given]
    states_shape = [count, "b", hidden]
    results = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["s", *states_shape])]
    results += [helper.make_tensor_value_info(name, TensorProto.FLOAT, states_shape) for name in outputs[1:]]
    graph = helper.make_graph([node], "main", values, results, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def feed(model: onnx.ModelProto, *, steps: int = STEPS, batch: int = BATCH, seed: int = 0) -> dict[str, Any]:
    """Random inputs of a network of `network`; sequences of different lengths where it takes lengths."""
    arrays: dict[str, Any] = {}
    for i, value in enumerate(model.graph.input):
        sizes = {"s": steps, "b": batch}
        shape = [sizes.get(dim.dim_param, dim.dim_value) for dim in value.type.tensor_type.shape.dim]
        arrays[value.name] = normal(*shape, seed=seed + i)
        if value.name == "lengths":
            arrays[value.name] = (steps - np.arange(batch) * 2 % steps).astype(np.int32)
    return arrays
