# SPDX-License-Identifier: Apache-2.0
"""Products of two activations, products with weights, and which operand is which."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import pytest
from graphs import graph, kinds, unmatched

from onnx_snn.rules import Kind, Site, recognise
from onnx_snn.rules.site import ActivationMatmulSite, WeightMatmulSite

SQUARE = "float[8,8] w = {" + ",".join("1" * 64) + "}"
CODES = "int8[8,8] codes = {" + ",".join("1" * 64) + "}"
KERNEL = "float[4,4,3] k = {" + ",".join("1" * 48) + "}"


def only_site(body: str, **options: Any) -> Site:
    (site,) = recognise(graph(body, **options)).sites
    return site


def probabilities(site: Site) -> tuple[bool, ...]:
    assert isinstance(site, ActivationMatmulSite)
    return tuple(operand.is_probability for operand in site.operands)


def contraction_axes(site: Site) -> tuple[int | None, ...]:
    assert isinstance(site, ActivationMatmulSite)
    return tuple(operand.contraction_axis for operand in site.operands)


@pytest.mark.parametrize(
    ("body", "axes"),
    [
        ("y = MatMul(x, z)", (-1, -2)),
        ("y = Gemm(x, z)", (-1, -2)),
        ("y = Gemm<transA = 1, transB = 1>(x, z, w)", (-2, -1)),
        ('y = Einsum<equation = "bqd,bdk->bqk">(x, z)', (-1, -2)),
        ('y = Einsum<equation = "b q d, b k d -> b q k">(x, z)', (-1, -1)),
        ('y = Einsum<equation = "...qd,...kd->...qk">(x, z)', (-1, -1)),
        ('y = Einsum<equation = "d...,d...->...">(x, z)', (None, None)),
        ('y = Einsum<equation = "bqd,bqd->b">(x, z)', (None, None)),
        ('y = Einsum<equation = "bqd,bdk">(x, z)', (None, None)),
        ("y = Mul(x, z)", (None, None)),
    ],
)
def test_product_of_two_activations(body: str, axes: tuple[int | None, int | None]) -> None:
    site = only_site(body, inputs="float[N,8,8] x, float[N,8,8] z", initializers=SQUARE)
    assert site.kind is Kind.PRODUCT
    assert [value.name for value in site.inputs] == ["x", "z"]
    assert isinstance(site, ActivationMatmulSite)
    assert (probabilities(site), contraction_axes(site)) == ((False, False), axes)
    assert site.readers == ((site.node, 0), (site.node, 1))
    assert [node.outputs[0].name for node in site.nodes] == ["y"]


def test_product_with_a_vector_sums_over_its_only_axis() -> None:
    site = only_site("y = MatMul(x, z)", inputs="float[N,4,8] x, float[8] z", outputs="float[N,4] y")
    assert contraction_axes(site) == (-1, -1)


def test_product_of_an_activation_with_itself_has_it_twice() -> None:
    site = only_site("y = MatMul(x, x)", inputs="float[N,8,8] x", outputs="float[N,8,8] y")
    assert (site.kind, site.inputs[0]) == (Kind.PRODUCT, site.inputs[1])


REPEATED = "u = Unsqueeze(k, two) e = Expand(u, repeats) r = Reshape(e, joined)"
SHARED = "int64[1] two = {2}, int64[5] repeats = {1,1,2,1,1}, int64[4] joined = {0,4,0,8}"
QUERIES = "float[N,4,8,8] x, float[N,2,8,8] k"


@pytest.mark.parametrize(
    ("body", "axes"),
    [
        (f"{REPEATED} y = MatMul(x, r)", (-1, -2)),
        (f"{REPEATED} t = Transpose<perm = [0, 1, 3, 2]>(r) y = MatMul(x, t)", (-1, -1)),
        (f"{REPEATED} s = Shape(r) q = Reshape(x, s) y = MatMul(q, r)", (-1, -2)),
        (f"{REPEATED.replace('two', 'third_last')} y = MatMul(x, r)", (-1, -2)),
    ],
)
def test_what_heads_share_is_coded_before_it_is_repeated(body: str, axes: tuple[int, int]) -> None:
    (site,) = recognise(shared(body)).sites
    assert site.inputs[1].name == "k"
    assert isinstance(site, ActivationMatmulSite)
    assert site.readers[1] == (site.inputs[1].uses()[0].node, 0)
    assert site.readers[1].node.op_type == "Unsqueeze"
    assert contraction_axes(site) == axes


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f"{REPEATED} n = Relu(r) y = MatMul(x, n)", id="another node between"),
        pytest.param(f"{REPEATED} a = Add(r, r) b = MatMul(x, r) y = Add(a, b)", id="read elsewhere"),
        pytest.param(f"{REPEATED} a = Neg(e) y = MatMul(x, r)", id="read elsewhere on the way"),
        pytest.param(f"{REPEATED.replace('two', 'last')} y = MatMul(x, r)", id="another axis"),
        pytest.param(f"c = Cast<to = 7>(k) {REPEATED.replace('two', 'c')} y = MatMul(x, r)", id="an axis not known"),
        pytest.param(f"{REPEATED} t = Transpose<perm = [0, 3, 1, 2]>(r) y = MatMul(x, t)", id="heads are summed over"),
        pytest.param("r = Reshape(k, joined) y = MatMul(x, r)", id="not repeated"),
    ],
)
def test_what_is_not_repeated_for_the_product_alone_is_coded_where_it_is_read(body: str) -> None:
    product = next(site for site in recognise(shared(body)).sites if site.kind is Kind.PRODUCT)
    assert product.inputs == tuple(product.nodes[0].inputs)
    assert isinstance(product, ActivationMatmulSite)
    assert product.readers == ((product.node, 0), (product.node, 1))


def shared(body: str) -> ir.Model:
    """A model of four heads of queries x and two of keys k."""
    axes = ", int64[1] third_last = {-3}"
    return graph(body, inputs=QUERIES, outputs="float[N,4,8,8] y", initializers=SHARED + axes)


@pytest.mark.parametrize(
    ("moves", "is_probability"),
    [
        ("q = Identity(p)", True),
        ("n = IsNaN(p) q = Where(n, zero, p)", True),
        ("n = IsNaN(p) q = Where(n, p, half)", True),
        ("t = Transpose<perm = [0, 2, 1]>(p) q = Cast<to = 1>(t)", True),
        ("s = Shape(p) t = Reshape(p, s) q = Dropout(t)", True),
        ("n = IsNaN(p) q = Where(n, two, p)", False),
        ("n = IsNaN(p) q = Where(n, z, p)", False),
        ("n = IsNaN(z) q = Where(n, half, one)", None),
        ("q = Mul(p, two)", False),
        ("q = Add(p, half)", False),
        ("q = Concat<axis = 1>(z, p)", False),
        ("q = Sigmoid(p)", False),
    ],
)
def test_probabilities_are_softmax_outputs_moved_about(moves: str, is_probability: bool | None) -> None:
    model = graph(f"p = Softmax(x) {moves} y = MatMul(q, z)", inputs="float[N,8,8] x, float[N,8,8] z")
    products = [site for site in recognise(model).sites if site.kind is Kind.PRODUCT]
    expected = [] if is_probability is None else [(is_probability, False)]
    assert [probabilities(site) for site in products] == expected


def test_probabilities_of_a_softmax_that_is_written_out() -> None:
    model = graph(
        "e = Exp(x) s = ReduceSum(e, last) p = Div(e, s) y = MatMul(z, p)",
        inputs="float[8,8] x, float[8,8] z",
    )
    assert probabilities(recognise(model).sites[-1]) == (False, True)


@pytest.mark.parametrize(
    ("body", "initializers", "operand", "axis"),
    [
        ("y = MatMul(x, w)", SQUARE, 0, -1),
        ("y = MatMul(w, x)", SQUARE, 1, -2),
        ("y = Gemm(x, w)", SQUARE, 0, -1),
        ("y = Gemm<transA = 1>(x, w)", SQUARE, 0, -2),
        ("y = Gemm<transB = 1>(w, x)", SQUARE, 1, -1),
        ('y = Einsum<equation = "bqd,dk->bqk">(x, w)', SQUARE, 0, -1),
        ("y = Conv(x, k)", KERNEL, 0, 1),
        ("y = ConvTranspose(x, k)", KERNEL, 0, 1),
        ("t = Transpose(w) y = MatMul(x, t)", SQUARE, 0, -1),
        ("t = Constant<value = float[1,1] {2.0}>() y = MatMul(x, t)", "", 0, -1),
        ("d = DequantizeLinear(codes, half) t = Transpose(d) y = MatMul(x, t)", CODES, 0, -1),
    ],
)
def test_synapse(body: str, initializers: str, operand: int, axis: int) -> None:
    site = only_site(body, initializers=initializers)
    assert (site.kind, site.inputs[0].name) == (Kind.SYNAPSE, "x")
    assert isinstance(site, WeightMatmulSite)
    assert (site.operand, site.contraction_axis, site.contraction_is_fixed) == (operand, axis, True)
    assert site.readers == ((site.node, operand),)
    assert [node.outputs[0].name for node in site.nodes] == ["y"]


@pytest.mark.parametrize(
    ("body", "operand", "axis"),
    [
        pytest.param("f = Cast<to = 1>(position_ids) c = Cos(f) y = MatMul(x, c)", 0, -1, id="of positions"),
        pytest.param("s = Shape(x) e = Expand(half, s) y = MatMul(e, x)", 1, -2, id="repeated for each sample"),
        pytest.param("i = Shape(x) g = Gather(w, i) t = Transpose(g) y = MatMul(x, t)", 0, -1, id="gathered"),
        pytest.param("f = Cast<to = 1>(attention_mask) y = MatMul(x, f)", 0, -1, id="a mask"),
    ],
)
def test_weights_may_depend_on_what_is_no_activation(body: str, operand: int, axis: int) -> None:
    inputs = "float[N,4,8] x, int64[8,8] position_ids, int64[8,8] attention_mask"
    site = only_site(body, inputs=inputs, initializers=SQUARE)
    assert (site.kind, site.inputs[0].name) == (Kind.SYNAPSE, "x")
    assert isinstance(site, WeightMatmulSite)
    assert (site.operand, site.contraction_axis, site.contraction_is_fixed) == (operand, axis, False)


def test_product_without_an_activation_is_no_site() -> None:
    model = graph(
        "s = Shape(x) f = Cast<to = 1>(s) e = Expand(f, shape) p = MatMul(e, w) y = Add(x, p)",
        inputs="float[N,8,8] x, int64[2] shape",
        initializers=SQUARE,
    )
    assert (kinds(model), unmatched(model)) == ([], {})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("y = Mul(x, gamma)", id="scale by a weight"),
        pytest.param("f = Cast<to = 1>(position_ids) c = Cos(f) y = Mul(x, c)", id="rotary embedding"),
        pytest.param("s = Shape(x) f = Cast<to = 1>(s) r = Sqrt(f) y = Mul(x, r)", id="scale from a shape"),
        pytest.param("f = Cast<to = 1>(attention_mask) y = Mul(x, f)", id="integer mask"),
        pytest.param("m = Mul(h, float_mask) y = MatMul(m, w)", id="float mask"),
        pytest.param("b = Greater(x, zero) f = Cast<to = 1>(b) y = Mul(x, f)", id="truth value of an activation"),
    ],
)
def test_scaling_by_what_is_no_activation_is_neither_product_nor_reported(body: str) -> None:
    inputs = "float[N,4,8] x, int64[N,8] position_ids, int64[N,8] attention_mask, float[N,8] float_mask"
    model = graph(body if "float_mask" not in body else f"h = MatMul(x, w) {body}", inputs=inputs, initializers=SQUARE)
    weighted = [Kind.SYNAPSE] * body.count("float_mask") * 2
    assert (kinds(model), unmatched(model)) == (weighted, {})


def test_square_inside_a_norm_is_no_product() -> None:
    body = "p = Mul(x, x) v = ReduceMean(p, last) w = Add(v, eps) s = Sqrt(w) y = Div(x, s)"
    assert kinds(graph(body)) == [Kind.RMS_NORM]


def test_gate_and_product_of_a_gated_network() -> None:
    body = "a = MatMul(x, w) b = MatMul(x, w) g = Sigmoid(a) s = Mul(a, g) y = Mul(s, b)"
    assert kinds(graph(body, initializers=SQUARE)) == [
        Kind.SYNAPSE,
        Kind.SYNAPSE,
        Kind.FUNCTION,
        Kind.PRODUCT,
    ]


def test_shared_weights_behind_identities() -> None:
    model = graph("v = Identity(w) a = MatMul(x, v) y = MatMul(a, w)", initializers=SQUARE)
    assert kinds(model) == [Kind.SYNAPSE, Kind.SYNAPSE]


def test_weights_of_an_old_file_that_lists_them_among_its_inputs() -> None:
    model = graph("y = MatMul(x, w)", initializers=SQUARE)
    model.graph.inputs.append(model.graph.initializers["w"])
    assert kinds(model) == [Kind.SYNAPSE]
