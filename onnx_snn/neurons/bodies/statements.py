# SPDX-License-Identifier: Apache-2.0
"""What the statements of all bodies have in common."""

from __future__ import annotations

from collections.abc import Mapping

ALLOWZERO_OPSET = 14
"""First opset whose Reshape has the attribute `allowzero`, which empty tensors need."""

REDUCE_AXES_INPUT_OPSET = 18
"""First opset whose ReduceMax and ReduceSumSquare take their axes as an input."""


def in_subgraph(statements: str, results: Mapping[str, str]) -> str:
    """`statements` inside a `Loop` that runs once and returns `results`.

    onnxruntime plans the memory of a graph in a time that grows with the square of its nodes (up to version 1.31), and
    copies all names of a graph for each of its subgraphs. What is in a subgraph counts for neither, constants included.

    Args:
        statements: ONNX text.
        results: the names that they define and others read, with a value of the same type that exists before: an input
            or `once`, int64.
    """
    initial = ", ".join(results.values())
    entering = ", ".join(f"{_type(name)} {name}_before" for name in results)
    leaving = ", ".join(f"{_type(name)} {name}" for name in results)
    return f"""
    once = Constant <value = int64 {{1}}> ()
    go_on = Constant <value = bool {{1}}> ()
    {", ".join(results)} = Loop (once, go_on, {initial})
        <body = single_pass (int64 pass_number, bool passing, {entering}) => (bool passing, {leaving}) {{
            {statements}
        }}>
    """


def allowzero(opset: int) -> str:
    """The attribute of a Reshape to a given shape."""
    return "<allowzero = 1>" if opset >= ALLOWZERO_OPSET else ""


def reduced(operator: str, x: str, axis: str, opset: int) -> str:
    """A reduction of `x` over its last axis, which stays; `axis` holds -1, int64 [1]."""
    if opset >= REDUCE_AXES_INPUT_OPSET:
        return f"{operator} <keepdims = 1> ({x}, {axis})"
    return f"{operator} <axes = [-1], keepdims = 1> ({x})"


def positive_zero(result: str, x: str) -> str:
    """result = `x` with +0 in place of -0; reads the constant zero.

    A sum with 0 would do, but onnxruntime (NoopElimination) takes it for nothing.
    """
    return f"""
    {result}_negative = Neg ({x})
    {result} = Sub (zero, {result}_negative)
    """


def unit_of_last_place(result: str, a: str, kind: str) -> str:
    """result = the unit in the last place of `a`, with its sign; 0 for 0, NaN for infinite `a`.

    What is added is a little more than half of that unit, and less than three halves, so that the sum is the next
    number of float32 or float64. It is exact in any runtime, for normal numbers (compare S. M. Rump, T. Ogita,
    S. Oishi, "Accurate floating-point summation, part I", SIAM J. Sci. Comput. 31(1), 2008, algorithm 3.5). No constant
    is 1 as float32: onnxruntime (NoopElimination) takes a product with such a float64 for nothing.

    Args:
        result: name of the unit.
        a: name of the number.
        kind: its type, "float" or "double".
    """
    bits = {"float": 24, "double": 53}[kind]
    return f"""
    {result}_share = Constant <value = {kind} {{{2.0**-bits + 2.0 ** (1 - 2 * bits)!r}}}> ()
    {result}_step = Mul ({a}, {result}_share)
    {result}_next = Add ({a}, {result}_step)
    {result} = Sub ({result}_next, {a})
    """


def _type(result: str) -> str:
    return "int64[]" if result.endswith("spikes") else "float[]"
