# SPDX-License-Identifier: Apache-2.0
"""Small graphs from ONNX text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import onnx
import onnx_ir as ir

from onnx_snn.rules import Kind, recognise

CONSTANTS = {
    "zero": 0.0,
    "third": 1 / 3,
    "half": 0.5,
    "one": 1.0,
    "two": 2.0,
    "three": 3.0,
    "six": 6.0,
    "sixth": 1 / 6,
    "root2": 2**0.5,
    "invroot2": 2**-0.5,
    "cubic": 0.044715,
    "rootpi": (2 / 3.141592653589793) ** 0.5,
    "quick": 1.702,
    "minushalf": -0.5,
    "eps": 1e-5,
}
"""Scalar initializers that a body may use."""

_VECTORS = "float[8] gamma = {1,2,3,4,5,6,7,8}, float[8] beta = {1,2,3,4,5,6,7,8}, int64[1] last = {-1}"
_COMMUTATIVE = re.compile(r"\b(Add|Mul|Max|Min)\((\w+), (\w+)\)")


def graph(
    body: str,
    *,
    inputs: str = "float[N,4,8] x",
    outputs: str = "float[N,4,8] y",
    initializers: str = "",
    opset: int = 20,
) -> ir.Model:
    """A model whose nodes are `body`, from `x` to `y` unless told otherwise.

    The body may use `CONSTANTS`, the vectors gamma and beta, and last, which holds the last axis.
    """
    scalars = [f"float {name} = {{{value!r}}}" for name, value in CONSTANTS.items()]
    declared = [*scalars, *_VECTORS.split(", "), *re.split(r", (?=\w+\[)", initializers)]
    used = [text for text in declared if text and re.search(rf"\b{text.split()[1]}\b", body)]
    text = f"""
        <ir_version: 10, opset_import: ["": {opset}, "com.microsoft": 1, "com.microsoft.nchwc": 1, "acme": 1]>
        main ({inputs}) => ({outputs}) <{", ".join(used)}> {{ {body} }}
    """
    return ir.serde.deserialize_model(onnx.parser.parse_model(text))


def graph_on_sizes(body: str) -> ir.Model:
    """A model that computes `body`, from `x` to `y`, with sizes in place of activations."""
    sizes = "sizes = Shape(given) floats = Cast<to = 1>(sizes) x = Expand(floats, sizes)"
    return graph(f"{sizes} {body}", inputs="float[N,8,8] given", outputs="float[N,8,8] y")


def operand_orders(body: str) -> Iterator[str]:
    """`body` with the operands of its commutative operators in every order."""
    parts = _COMMUTATIVE.split(body)
    calls = [(index, parts[index + 1], parts[index + 2]) for index in range(1, len(parts), 4)]
    for order in itertools.product((False, True), repeat=len(calls)):
        varied = list(parts)
        for (index, a, b), swapped in zip(calls, order, strict=True):
            varied[index : index + 3] = [f"{parts[index]}(", f"{b}, {a}" if swapped else f"{a}, {b}", ")"]
        yield "".join(varied)


def assert_found_in_every_order(function: str, body: str) -> None:
    """Whatever the order of its operands, all of `body`, from x to y, is one site of `function`."""
    for ordered in operand_orders(body):
        model = graph(ordered)
        found = recognise(model)
        assert [site.function for site in found.sites] == [function], ordered
        assert found.unmatched == []
        (site,) = found.sites
        assert set(site.nodes) == set(model.graph)
        assert (site.inputs[0].name, site.output.name, site.name) == ("x", "y", "y")


def functions(model: ir.Model) -> list[str | None]:
    """The functions that recognition finds, in graph order."""
    return [site.function for site in recognise(model).sites if site.kind is Kind.FUNCTION]


def kinds(model: ir.Model) -> list[Kind]:
    """The kinds of the sites that recognition finds, in graph order."""
    return [site.kind for site in recognise(model).sites]


def unmatched(model: ir.Model) -> dict[str, str]:
    """Reasons by operator of the nodes that recognition finds no site for."""
    found = recognise(model)
    return {node.op_type: reason for node, reason in (*found.unmatched, *found.exact)}
