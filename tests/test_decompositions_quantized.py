# SPDX-License-Identifier: Apache-2.0
"""Operators of 8-bit integers, written out, compute what onnxruntime computes for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from fused_operators import run, written_out
from networks import normal
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnx_snn.rules import Kind, recognise

Array = NDArray[Any]

SCALE, ZERO = np.float32(0.03), np.uint8(120)
OUT = {"ys": np.float32(0.05), "yz": np.uint8(131)}
FLOAT_TYPES = {np.dtype(np.float32), np.dtype(np.float16)}


def integers(*shape: int, dtype: str = "uint8", seed: int = 1) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def q(array: Array, name: str, scale: Any = SCALE, zero: Any = ZERO) -> dict[str, Array]:
    """A quantized tensor called `name` with its scale and zero point."""
    return {name: array, f"{name}s": np.asarray(scale, np.float32), f"{name}z": np.asarray(zero, array.dtype)}


def network(
    op_type: str,
    tensors: dict[str, Array],
    inputs: tuple[str, ...],
    order: str,
    *,
    domain: str = "com.microsoft",
    output: type = np.uint8,
    version: int = 20,
    **attributes: Any,
) -> onnx.ModelProto:
    """A network of one operator; `order` names its inputs, of which `inputs` are those of the network."""
    names = ["" if name == "-" else name for name in order.split()]
    node = helper.make_node(op_type, names, ["y"], name="fused", domain=domain, **attributes)
    to_proto = helper.np_dtype_to_tensor_dtype
    given = [helper.make_tensor_value_info(n, to_proto(tensors[n].dtype), tensors[n].shape) for n in inputs]
    weights = [numpy_helper.from_array(np.asarray(a), n) for n, a in tensors.items() if n not in inputs and n in names]
    result = helper.make_tensor_value_info("y", to_proto(np.dtype(output)), None)
    graph = helper.make_graph([node], "main", given, [result], weights)
    opsets = [helper.make_opsetid("", version), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8 if version < 19 else 10)


def assert_same(proto: onnx.ModelProto, tensors: dict[str, Array], steps: float = 1) -> ir.Model:
    """Both forms agree but for `steps` of the output, which some elements may round otherwise; returns the new form."""
    feeds = {value.name: tensors[value.name] for value in proto.graph.input}
    expected = run(proto, feeds)["y"]
    for _ in range(expected.ndim):
        proto.graph.output[0].type.tensor_type.shape.dim.add()
    apart = written_out(proto)
    got = run(apart, feeds)["y"]
    assert got.dtype == expected.dtype
    if expected.dtype in FLOAT_TYPES:
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
        return apart
    difference = np.abs(got.astype(np.int64) - expected.astype(np.int64))
    assert difference.max(initial=0) <= steps
    assert (difference > 0).mean() < 0.05
    return apart


def site_kinds(apart: ir.Model) -> list[Kind]:
    return [site.kind for site in recognise(apart).sites]


COLUMNS = np.linspace(0.01, 0.02, 5, dtype=np.float32)
MATRIX = integers(8, 5, dtype="int8", seed=2)


@pytest.mark.parametrize("opset", [10, 13, 21])
@pytest.mark.parametrize("columns", [False, True], ids=["tensor", "columns"])
def test_a_product_with_static_scales(opset: int, columns: bool) -> None:
    scale, zero = (COLUMNS, np.zeros(5)) if columns else (np.float32(0.01), 3)
    tensors = q(integers(4, 8), "a") | q(MATRIX, "b", scale, zero) | OUT
    proto = network("QLinearMatMul", tensors, ("a",), "a as az b bs bz ys yz", domain="", version=opset)
    assert_same(proto, tensors, steps=0)


@pytest.mark.parametrize("columns", [False, True], ids=["tensor", "columns"])
def test_a_product_with_static_scales_of_half_precision(columns: bool) -> None:
    scale, zero = (COLUMNS, np.zeros(5)) if columns else (np.float32(0.01), 3)
    tensors = q(integers(4, 8), "a") | q(MATRIX, "b", scale, zero) | OUT
    tensors |= {name: tensors[name].astype(np.float16) for name in ("as", "bs", "ys")}
    proto = network("QLinearMatMul", tensors, ("a",), "a as az b bs bz ys yz", domain="", version=21)
    assert_same(proto, tensors, steps=0)


@pytest.mark.parametrize("channels_last", [0, 1])
def test_a_convolution_with_static_scales(channels_last: int) -> None:
    x = integers(2, 3, 6, 6).transpose(0, 2, 3, 1) if channels_last else integers(2, 3, 6, 6)
    weights = q(integers(5, 3, 3, 3, dtype="int8", seed=2), "w", COLUMNS, np.zeros(5))
    tensors = q(np.ascontiguousarray(x), "x") | weights | OUT | {"bias": integers(5, dtype="int16").astype(np.int32)}
    attributes = {"pads": [1, 1, 1, 1], "strides": [2, 2]} | ({"channels_last": 1} if channels_last else {})
    domain = "com.microsoft" if channels_last else ""
    proto = network("QLinearConv", tensors, ("x",), "x xs xz w ws wz ys yz bias", domain=domain, **attributes)
    assert_same(proto, tensors, steps=0)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("rounds", [False, True], ids=["float", "rounded"])
def test_a_linear_layer_with_static_scales(transposed: int, rounds: bool) -> None:
    b = MATRIX.T.copy() if transposed else MATRIX
    bias = {"c": integers(5, dtype="int16").astype(np.int32)}
    tensors = q(integers(4, 8), "a") | q(b, "b", COLUMNS, np.zeros(5)) | bias | OUT
    order, output = "a as az b bs bz c" + " ys yz" * rounds, np.uint8 if rounds else np.float32
    assert_same(network("QGemm", tensors, ("a",), order, output=output, transB=transposed, alpha=0.7), tensors, steps=0)


@pytest.mark.parametrize(
    ("op_type", "order", "attributes"),
    [
        ("QLinearAdd", "a as az b bs bz ys yz", {}),
        ("QLinearMul", "a as az b bs bz ys yz", {}),
        ("QLinearSigmoid", "a as az ys yz", {}),
        ("QLinearLeakyRelu", "a as az ys yz", {"alpha": 0.1}),
        ("QLinearSoftmax", "a as az ys yz", {"axis": -1, "opset": 13}),
        ("QLinearSoftmax", "a as az ys yz", {"axis": 1, "opset": 13}),
        ("QLinearSoftmax", "a as az ys yz", {"axis": 3, "opset": 11}),
        ("QLinearConcat", "ys yz a as az b bs bz", {"axis": 1}),
        ("QLinearAveragePool", "a as az ys yz", {"kernel_shape": [2, 2]}),
        ("QLinearAveragePool", "a as az ys yz", {"kernel_shape": [2, 2], "channels_last": 1}),
        ("QLinearGlobalAveragePool", "a as az ys yz", {"channels_last": 0}),
        ("QLinearGlobalAveragePool", "a as az ys yz", {"channels_last": 1}),
        ("QLinearWhere", "condition a as az b bs bz ys yz", {}),
    ],
)
@pytest.mark.parametrize("opset", [13, 20])
def test_other_operators_with_static_scales(op_type: str, order: str, attributes: dict[str, Any], opset: int) -> None:
    given = q(integers(2, 3, 4, 4), "a") | q(integers(2, 3, 4, 4, seed=2), "b", 0.02, 90)
    tensors = given | OUT | {"condition": np.arange(4) > 1}
    inputs = tuple(name for name in ("a", "b", "condition") if name in order.split())
    assert_same(network(op_type, tensors, inputs, order, version=opset, **attributes), tensors)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("columns", [False, True], ids=["tensor", "columns"])
def test_whole_products_are_exact(dtype: str, columns: bool) -> None:
    zero = np.array([1, 2, 0, 4, 5] if columns else 3, dtype)
    tensors = {"a": integers(4, 8), "az": np.uint8(7), "b": integers(8, 5, dtype=dtype), "bz": zero}
    proto = network("MatMulInteger", tensors, ("a",), "a b az bz", domain="", output=np.int32)
    assert_same(proto, tensors, steps=0)


def test_whole_convolutions_are_exact() -> None:
    tensors = {"x": integers(2, 3, 6, 6), "xz": np.uint8(7), "w": integers(5, 3, 3, 3, seed=2), "wz": np.uint8(9)}
    attributes = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    proto = network("ConvInteger", tensors, ("x",), "x w xz wz", domain="", output=np.int32, **attributes)
    assert_same(proto, tensors, steps=0)


def test_products_that_are_scaled_to_floats() -> None:
    tensors = {"a": normal(4, 8), "b": MATRIX, "bs": COLUMNS, "bias": normal(5)}
    proto = network("DynamicQuantizeMatMul", tensors, ("a",), "a b bs - bias", output=np.float32)
    assert site_kinds(assert_same(proto, tensors)) == [Kind.SYNAPSE]
    tensors |= q(integers(4, 8), "x")
    proto = network("MatMulIntegerToFloat", tensors, ("x",), "x b xs bs xz - bias", output=np.float32)
    assert_same(proto, tensors)


def test_attention_of_integers() -> None:
    tensors = q(integers(2, 4, 16), "x") | {"w": integers(16, 48, dtype="int8"), "ws": np.float32(0.002)}
    tensors |= {"wz": np.int8(0), "bias": normal(48), "mask": np.array([4, 3], np.int32)}
    order = "x w bias xs ws mask xz wz"
    assert_same(network("QAttention", tensors, ("x", "mask"), order, output=np.float32, num_heads=2), tensors)


@pytest.mark.parametrize("segments", [False, True])
def test_an_embedding_of_integers(segments: bool) -> None:
    ids = np.array([[1, 2, 0], [3, 1, 2]], np.int32)
    tensors: dict[str, Array] = {"ids": ids, "types": ids % 2}
    sizes = {"word": (5, 8), "position": (4, 8), "segment": (2, 8), "gamma": (8,), "beta": (8,)}
    for seed, (name, shape) in enumerate(sizes.items()):
        tensors |= q(integers(*shape, seed=seed), name, 0.01 * (1 + seed), 100 + seed)
    names = [name if segments or name != "segment" else "" for name in sizes]
    parts = ["ids", "types" * segments, *names, ""]
    order = " ".join(
        part or "-" for part in parts + [f"{n}s" * bool(n) for n in names] + [f"{n}z" * bool(n) for n in names]
    )
    inputs = ("ids", "types") if segments else ("ids",)
    proto = network("QEmbedLayerNormalization", tensors, inputs, order, output=np.float32, epsilon=1e-5)
    proto.graph.node[0].output.append("lengths")
    assert site_kinds(assert_same(proto, tensors)) == [Kind.LAYER_NORM]


def dynamic(reader: str) -> ir.Model:
    """What onnxruntime's dynamic quantization makes of a product, whose integers `reader` takes."""
    return ir.from_proto(
        onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        main (float[N, 8] x) => (float[N, 5] y, float s)
        <int8[8, 5] w = {{{", ".join(map(str, MATRIX.ravel()))}}}, int8 z = {{0}}>
        {{
            xq, s, xz = DynamicQuantizeLinear (x)
            [product] p = MatMulInteger (xq, w, xz, z)
            {reader}
        }}""")
    )


@pytest.mark.parametrize(
    ("reader", "operators"),
    [
        ("y = Cast <to = 1> (p)", ["MatMul", "Cast"]),
        ("p2 = Neg (p) y = Cast <to = 1> (p2)", ["MatMul", "Round", "Cast", "Neg", "Cast"]),
    ],
    ids=["cast", "otherwise"],
)
def test_whole_numbers_stay_floats_where_all_readers_cast_them(reader: str, operators: list[str]) -> None:
    proto = ir.to_proto(dynamic(reader))
    apart = written_out(proto)
    assert [node.op_type for node in apart.graph][-len(operators) :] == operators
    np.testing.assert_array_equal(run(apart, {"x": normal(3, 8)})["y"], run(proto, {"x": normal(3, 8)})["y"])
    assert TensorProto.INT8 in [tensor.data_type for tensor in ir.to_proto(apart).graph.initializer]


@pytest.mark.parametrize(
    ("tail", "rounded"),
    [
        ("f = Cast <to = 1> (p) y = Mul (f, scale)", False),
        ("s = Add (p, bias) f = Cast <to = 1> (s) y = Mul (f, scale)", False),
        ("s = Add (bias, p) f = Cast <to = 1> (s) g = Cast <to = 1> (p) h = Add (f, g) y = Mul (h, scale)", False),
        ("s = Add (p, p) f = Cast <to = 1> (s) y = Mul (f, scale)", False),
        ("s = Add (p, bias) t = Mul (s, bias) f = Cast <to = 1> (t) y = Mul (f, scale)", True),
        ("s = Add (p, bias) t = Cast <to = 7> (s) f = Cast <to = 1> (t) y = Mul (f, scale)", True),
        ("s = Add (p, bias) f = Cast <to = 1> (s) t = Relu (p) g = Cast <to = 1> (t) y = Add (f, g)", True),
    ],
)
def test_a_product_that_becomes_a_float_after_its_bias_is_not_rounded(tail: str, rounded: bool) -> None:
    proto = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": 17]>
        main (uint8[batch, 4] x) => (float[batch, 3] y)
        <uint8[4, 3] w, int32[3] bias = {{100, -200, 30000}}, float scale = {{0.01}}, uint8 z = {{7}}> {{
            p = MatMulInteger (x, w, z)
            {tail}
        }}"""
    )
    weights = integers(4, 3, seed=2)
    proto.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    apart = written_out(proto)
    feeds = {"x": integers(5, 4)}
    np.testing.assert_allclose(run(apart, feeds)["y"], run(proto, feeds)["y"], rtol=1e-6)
    assert any(node.op_type == "Round" for node in apart.graph) == rounded
