# SPDX-License-Identifier: Apache-2.0
"""The load of a neuron follows from the shapes of what it feeds."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from graphs import graph
from networks import normal

from onnx_snn.allocation.cost_model import Load, load_of, observed_shapes
from onnx_snn.graph.product_operators import multiply_accumulates
from onnx_snn.rules import recognise


@pytest.mark.parametrize(
    ("body", "initializers", "expected"),
    [
        ("y = MatMul(x, w)", "float[8,6] w", {"operand 0": Load(32, 6, True)}),
        (
            "t = Transpose<perm = [0, 2, 1]>(x) y = MatMul(x, t)",
            "",
            {"operand 0": Load(32, 4, True), "operand 1": Load(32, 4, True)},
        ),
        ("n = Neg(x) y = Mul(x, n)", "", {"operand 0": Load(32, 1, True), "operand 1": Load(32, 1, True)}),
        ('y = Einsum<equation = "bij,jk->bik">(x, w)', "float[8,6] w", {"operand 0": Load(32, 6, True)}),
        ('y = Einsum<equation = "...j,jk->...k">(x, w)', "float[8,6] w", {"operand 0": Load(32, 6, True)}),
        ("y = Conv(x, w)", "float[5,4,3] w", {"operand 0": Load(32, 5 * 3 * 6 / 8, True)}),
        ("y = ConvTranspose(x, w)", "float[4,5,3] w", {"operand 0": Load(32, 5 * 3, True)}),
        ("y = Softmax<axis = -1>(x)", "", {"exp2": Load(32, 1), "reciprocal": Load(4, 1)}),
        ("y = Relu(x)", "", {"function": Load(32, 1)}),
    ],
)
def test_loads_are_counted_from_shapes(body: str, initializers: str, expected: dict[str, Load]) -> None:
    model = graph(body, outputs="float[a,b,c] y")
    if initializers:
        sizes = [int(size) for size in initializers[initializers.index("[") + 1 : initializers.index("]")].split(",")]
        weight = ir.val("w", const_value=ir.tensor(normal(*sizes), name="w"))
        model = with_weight(body, weight)
    (site,) = (site for site in recognise(model).sites)
    feed = {"x": normal(3, 4, 8)}
    shapes = observed_shapes(model, [site], [feed])
    assert {role.value: load_of(site, role, shapes, 3) for role in site.roles} == expected
    if "operand 0" in expected:
        assert (
            multiply_accumulates(site.nodes[-1], shapes)
            == 3 * expected["operand 0"].elements * expected["operand 0"].fan_out
        )


def with_weight(body: str, weight: ir.Value) -> ir.Model:
    """A graph of `body` that reads the initializer `weight`."""
    assert weight.shape is not None
    shape = ",".join(str(size) for size in weight.shape)
    values = ",".join(str(float(value)) for value in weight.const_value.numpy().ravel())  # type: ignore[union-attr]
    return graph(body, outputs="float[a,b,c] y", initializers=f"float[{shape}] w = {{{values}}}")


def test_a_code_with_several_readers_feeds_them_all() -> None:
    assert Load(32, 6, True).joined(Load(32, 2, True)) == Load(32, 8, True)
