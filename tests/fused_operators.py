# SPDX-License-Identifier: Apache-2.0
"""Models of one fused operator, and whether what is written out for it computes the same.

Both models run without onnxruntime's optimizer, which would fuse again what was taken apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from networks import normal
from numpy.typing import NDArray

from onnx_snn.decompositions.decomposer import decompose
from onnx_snn.rules import Kind, recognise

Array = NDArray[Any]

TOLERANCE = {"rtol": 1e-5, "atol": 2e-6}
"""Both sides round sums of some tens of float32 in other orders."""

_TYPES = {"float32": "float", "int32": "int32", "int64": "int64", "bool": "bool"}


def model(body: str, feeds: Mapping[str, Array], outputs: str = "y", *, opset: int = 20) -> onnx.ModelProto:
    """A model from `feeds` to the float tensors `outputs`; only last axes have a fixed size."""
    inputs = ", ".join(f"{_TYPES[array.dtype.name]}{_shape(name, array)} {name}" for name, array in feeds.items())
    results = ", ".join(f"{'int32' if name == 'index' else 'float'}[] {name}" for name in outputs.split())
    header = f'<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1]>'
    return onnx.parser.parse_model(f"{header} main ({inputs}) => ({results}) {{ [fused] {body} }}")


def _shape(name: str, array: Array) -> str:
    sizes = [f"{name}_{axis}" for axis in range(array.ndim - 1)] + [str(size) for size in array.shape[-1:]]
    return f"[{', '.join(sizes)}]" if sizes else ""


def run(proto: onnx.ModelProto | ir.Model, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Every output by its name, each node by its own kernel."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto = ir.to_proto(proto) if isinstance(proto, ir.Model) else proto
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, dict(feeds)), strict=True))


def declare(proto: onnx.ModelProto, outputs: Mapping[str, Array]) -> None:
    """Declare the ranks of the outputs, which a valid model must."""
    for output in proto.graph.output:
        for axis in range(outputs[output.name].ndim):
            output.type.tensor_type.shape.dim.add(dim_param=f"{output.name}_{axis}")


def written_out(proto: onnx.ModelProto) -> ir.Model:
    """The model after decomposition, which must have left no fused operator."""
    apart = ir.from_proto(proto)
    assert decompose(apart).undecomposed == {}
    assert "fused" not in [node.name for node in apart.graph]
    onnx.checker.check_model(ir.to_proto(apart))
    return apart


def assert_same(
    body: str, feeds: Mapping[str, Array], outputs: str = "y", *, opset: int = 20, **tolerance: float
) -> ir.Model:
    """The fused model and the one that was taken apart agree on `feeds`; returns the latter."""
    fused = model(body, feeds, outputs, opset=opset)
    expected = run(fused, feeds)
    declare(fused, expected)
    apart = written_out(fused)
    got = run(apart, feeds)
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, **(TOLERANCE | tolerance), err_msg=name)
    return apart


def kinds(apart: ir.Model) -> list[Kind]:
    return [site.kind for site in recognise(apart).sites]


def int32(values: Any) -> NDArray[np.int32]:
    return np.array(values, np.int32)


NEWEST = 28
OPSETS = [13, 16, 17, 18, 20, 23]
X, SKIP, GAMMA, BETA, BIAS = normal(2, 4, 8), normal(2, 4, 8, seed=2), *(normal(8, seed=seed) for seed in (3, 4, 5))
PROJECTED = {"x": normal(2, 4, 16), "w": normal(16, 48) / 4, "b": normal(48)}
FILTERS = ["", ", mask_filter_value = -3.0"]
SITES = [Kind.PRODUCT, Kind.SOFTMAX, Kind.PRODUCT]
ANGLES = normal(32, 8)
ROTARY = {"c": np.cos(ANGLES), "s": np.sin(ANGLES)}
BHSD = {"q": normal(2, 4, 3, 8), "k": normal(2, 4, 5, 8, seed=2), "v": normal(2, 4, 5, 8, seed=3)}


def grouped(
    attributes: str, *, batch: int = 2, new: int = 1, buffer: int | None = 5, lengths: list[int], packed: bool = False
) -> tuple[str, dict[str, Array]]:
    """A node with 4 heads of queries and 2 of keys, and its inputs; `lengths` count the past and the new tokens."""
    feeds: dict[str, Array] = {"q": normal(batch, new, 64)}
    if packed:
        feeds["q"] = normal(batch, new, 128)
    else:
        feeds |= {"k": normal(batch, new, 32, seed=2), "v": normal(batch, new, 32, seed=3)}
    if buffer is not None:
        feeds |= {"pk": normal(batch, 2, buffer, 16, seed=4), "pv": normal(batch, 2, buffer, 16, seed=5)}
    feeds |= {"seqlens_k": int32(lengths) - 1, "total_sequence_length": int32(max(lengths))}
    arguments = ["q", *("k", "v")] if not packed else ["q", "", ""]
    arguments += ["", ""] if buffer is None else ["pk", "pv"]
    arguments += ["seqlens_k", "total_sequence_length"]
    if "do_rotary" in attributes:
        feeds |= ROTARY
        arguments += ["c", "s"]
    given = ", ".join(arguments)
    body = f"y, k2, v2 = com.microsoft.GroupQueryAttention <num_heads = 4, kv_num_heads = 2{attributes}> ({given})"
    return body, feeds
