# SPDX-License-Identifier: Apache-2.0
"""Multiply-accumulates of products: of ones they are the sum of the output."""

from __future__ import annotations

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import graph
from hypothesis import assume, given
from hypothesis import strategies as st

from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.graph.product_operators import is_product, multiplies_activations, multiply_accumulates, operands_of
from onnx_snn.graph.shapes import Shapes
from onnx_snn.rules import recognise


def counted(operator: str, attributes: str, *shapes: tuple[int, ...]) -> tuple[int, int]:
    """What is counted for a node with operands of these shapes, and the sum of its output for operands of ones."""
    names = "abc"[: len(shapes)]
    inputs = ", ".join(f"float[{', '.join(map(str, shape))}] {name}" for name, shape in zip(names, shapes, strict=True))
    text = f"""<ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]>
        main ({inputs}) => (float[] y) {{ y = {operator} {attributes} ({", ".join(names)}) }}"""
    model = onnx.parser.parse_model(text)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    y = networks.run(model, {name: np.ones(shape, np.float32) for name, shape in zip(names, shapes, strict=True)})["y"]
    (node,) = ir.from_proto(model).graph
    known = Shapes({**dict(zip(names, shapes, strict=True)), "y": y.shape})
    return multiply_accumulates(node, known), int(y.sum())


@pytest.mark.parametrize(
    ("operator", "attributes", "shapes"),
    [
        ("MatMul", "", [(2, 3, 4, 5), (5, 6)]),
        ("MatMul", "", [(3, 4, 5), (2, 1, 5, 6)]),
        ("MatMul", "", [(5,), (5, 6)]),
        ("MatMul", "", [(4, 5), (5,)]),
        ("MatMul", "", [(5,), (5,)]),
        ("Gemm", "", [(4, 5), (5, 6)]),
        ("Gemm", "<transA = 1, transB = 1>", [(5, 4), (6, 5)]),
        ("Mul", "", [(2, 1, 4), (3, 1)]),
        ("Einsum", '<equation = "bid, bjd -> bij">', [(2, 3, 5), (2, 4, 5)]),
        ("Einsum", '<equation = "...ij, jk -> ...ik">', [(2, 3, 4, 5), (5, 6)]),
        ("Einsum", '<equation = "...ij, ...jk -> ...ik">', [(2, 1, 4, 5), (1, 3, 5, 6)]),
        ("Einsum", '<equation = "i, j, k -> ijk">', [(2,), (3,), (4,)]),
        ("Conv", "", [(2, 3, 7, 8), (4, 3, 3, 2)]),
        ("Conv", '<auto_pad = "SAME_UPPER", strides = [2, 2]>', [(1, 2, 7, 8), (3, 2, 3, 4)]),
        ("Conv", '<auto_pad = "SAME_LOWER", strides = [2, 3]>', [(1, 2, 7, 8), (3, 2, 2, 4)]),
        ("Conv", '<auto_pad = "VALID">', [(1, 2, 7), (3, 2, 3)]),
        ("Conv", "<group = 2, pads = [1, 0, 2, 1]>", [(1, 4, 5, 6), (6, 2, 3, 3)]),
        ("ConvTranspose", "<strides = [2, 3], pads = [1, 0, 0, 2]>", [(2, 3, 4, 5), (3, 2, 3, 3)]),
        ("ConvTranspose", "<strides = [2], group = 2, output_padding = [1]>", [(1, 4, 5), (4, 3, 3)]),
        ("ConvTranspose", "<strides = [2], output_shape = [9]>", [(1, 2, 5), (2, 3, 4)]),
        ("ConvTranspose", '<strides = [2], auto_pad = "SAME_UPPER">', [(1, 2, 5), (2, 3, 3)]),
        ("com.microsoft.FusedMatMul", "", [(2, 3, 4, 5), (5, 6)]),
        ("com.microsoft.FusedMatMul", "<transA = 1, transB = 1>", [(2, 5, 4), (2, 6, 5)]),
        ("com.microsoft.FusedMatMul", "<transBatchA = 1>", [(4, 2, 5), (2, 5, 6)]),
        ("com.microsoft.FusedMatMul", "<transA = 1, transBatchA = 1>", [(5, 2, 4), (2, 5, 6)]),
        ("com.microsoft.FusedMatMul", "<transA = 1>", [(5,), (5, 6)]),
        ("com.microsoft.FusedGemm", '<transA = 1, activation = "Relu">', [(5, 4), (5, 6)]),
        ("com.microsoft.FusedConv", '<activation = "Relu", pads = [1, 0]>', [(1, 2, 7), (3, 2, 3)]),
    ],
)
def test_products_are_counted(operator: str, attributes: str, shapes: list[tuple[int, ...]]) -> None:
    found, expected = counted(operator, attributes, *shapes)
    assert found == expected


@given(
    sides=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
)
def test_what_falls_on_padding_does_not_count(
    sides: tuple[int, int],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    pads: tuple[int, int, int, int],
) -> None:
    for axis in (0, 1):
        assume(sides[axis] + pads[axis] + pads[axis + 2] >= (kernel[axis] - 1) * dilations[axis] + 1)
    attributes = f"<strides = {list(strides)}, dilations = {list(dilations)}, pads = {list(pads)}>"
    found, expected = counted("Conv", attributes, (1, 2, *sides), (3, 2, *kernel))
    assert found == expected


@pytest.mark.parametrize("operator", ["FusedMatMul", "FusedGemm", "FusedConv", "MatMulIntegerToFloat"])
def test_operators_that_are_counted_but_not_coded_are_no_site(operator: str) -> None:
    """A conversion writes them out before it looks for sites; one that stays whole stays as it is."""
    model = graph(f"y = com.microsoft.{operator} (x, x)")
    assert recognise(model).sites == []
    assert [node.op_type for node, _ in recognise(model).unmatched] == [operator]


@pytest.mark.parametrize("operator", ["MatMulNBits", "MatMulBnb4"])
def test_packed_weights_are_no_operand(operator: str) -> None:
    """The shape of packed weights does not count what they hold; they are weights wherever they come from."""
    model = graph(f"y = com.microsoft.{operator} <K = 8, N = 8, block_size = 16> (x, packed, scales)")
    (node,) = model.graph
    flow = ActivationFlow(model)
    assert operands_of(node) == [node.inputs[0]]
    assert is_product(node, flow)
    assert not multiplies_activations(node, flow)


def test_only_activations_make_a_product_of_activations() -> None:
    model = graph("t = Transpose<perm = [0, 2, 1]>(x) p = MatMul(x, t) q = MatMul(p, weight) m = Mul(q, q)")
    flow = ActivationFlow(model)
    matmuls = [node for node in model.graph if node.op_type == "MatMul"]
    assert [multiplies_activations(node, flow) for node in matmuls] == [True, False]
    assert [is_product(node, flow) for node in model.graph] == [False, True, True, False]
