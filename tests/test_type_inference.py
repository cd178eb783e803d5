# SPDX-License-Identifier: Apache-2.0
"""Types and ranks of a model's tensors as onnxruntime infers them."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from graphs import graph

from onnx_snn.decompositions.type_inference import annotate, has_cast_types


def inferred(model: ir.Model) -> dict[str, tuple[ir.DataType | None, list[int | None] | None]]:
    """Type and sizes of every tensor that a node computes."""
    return {
        str(value.name): (
            value.dtype,
            None if value.shape is None else [size if isinstance(size, int) else None for size in value.shape],
        )
        for node in model.graph
        for value in node.outputs
    }


def test_types_are_inferred_behind_operators_of_other_domains() -> None:
    model = graph("g = com.microsoft.BiasGelu (x, beta) h = Cast <to = 10> (g) s = Shape (h) y = Cast <to = 1> (h)")
    annotate(model)
    assert inferred(model) == {
        "g": (ir.DataType.FLOAT, [None, 4, 8]),
        "h": (ir.DataType.FLOAT16, [None, 4, 8]),
        "s": (ir.DataType.INT64, [3]),
        "y": (ir.DataType.FLOAT, [None, 4, 8]),
    }


def test_an_unknown_rank_stays_unknown() -> None:
    model = graph("h = Reshape (x, shape) y = Tanh (h)", inputs="float[N,4,8] x, int64[R] shape", outputs="float[M] y")
    annotate(model)
    assert inferred(model)["h"] == (ir.DataType.FLOAT, None)


def test_what_is_declared_stays() -> None:
    model = graph("h = Tanh (x) y = Tanh (h)")
    (first, _) = model.graph
    first.outputs[0].type, first.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(["batch", 4, 8])
    annotate(model)
    assert first.outputs[0].shape == ir.Shape(["batch", 4, 8])


def test_nothing_is_inferred_of_a_model_that_does_not_run() -> None:
    model = graph("h = acme.Mystery (x) y = Tanh (h)")
    annotate(model)
    assert inferred(model) == {"h": (None, None), "y": (ir.DataType.FLOAT, [None, 4, 8])}


@pytest.mark.parametrize(
    ("body", "options", "expected"),
    [
        ("y = Tanh (x)", {}, False),
        ("y = Tanh (x)", {"inputs": "float16[N,4,8] x", "outputs": "float16[N,4,8] y"}, True),
        ("h = Cast <to = 16> (x) y = Cast <to = 1> (h)", {}, True),
        ("h = Cast <to = 1> (w) y = Add (x, h)", {"initializers": "float16[1] w = {1}"}, True),
        ("h = Cast <to = 11> (x) y = Cast <to = 1> (h)", {}, True),
        ("h = Cast <to = 7> (x) y = Cast <to = 1> (h)", {}, False),
    ],
)
def test_types_that_are_cast_for_neurons_are_noticed(body: str, options: dict[str, str], expected: bool) -> None:
    assert has_cast_types(graph(body, **options)) is expected
