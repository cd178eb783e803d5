# SPDX-License-Identifier: Apache-2.0
"""What the statements of all bodies have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnx_snn.neurons.opset import Precision

ALLOWZERO_OPSET = 14
"""First opset whose Reshape has the attribute `allowzero`, which empty tensors need."""

REDUCE_AXES_INPUT_OPSET = 18
"""First opset whose ReduceMax and ReduceSumSquare take their axes as an input."""


SINGLE_PASS = "single_pass"
"""Name of the body of a `Loop` that runs once."""


@dataclass(frozen=True)
class Target:
    """What bodies are written for.

    Attributes:
        opset: version of the standard operators.
        precision: type in which rows are added up and mantissas are split.
    """

    opset: int
    precision: Precision = Precision.DOUBLE

    @property
    def wide(self) -> str:
        """That type in ONNX text."""
        return "double" if self.precision is Precision.DOUBLE else "float"

    @property
    def wide_type(self) -> int:
        """That type as the attribute of a Cast."""
        return 11 if self.precision is Precision.DOUBLE else 1

    @property
    def bits(self) -> int:
        """Bits of its significand."""
        return SIGNIFICANDS[self.wide]


SIGNIFICANDS = {"float": 24, "double": 53}
"""Bits of the significands of both types."""


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
        <body = {SINGLE_PASS} (int64 pass_number, bool passing, {entering}) => (bool passing, {leaving}) {{
            {statements}
        }}>
    """


def allowzero(target: Target) -> str:
    """The attribute of a Reshape to a given shape."""
    return "<allowzero = 1>" if target.opset >= ALLOWZERO_OPSET else ""


def reduced(operator: str, x: str, axis: str, target: Target) -> str:
    """A reduction of `x` over its last axis, which stays; `axis` holds -1, int64 [1]."""
    if target.opset >= REDUCE_AXES_INPUT_OPSET:
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
    bits = SIGNIFICANDS[kind]
    return f"""
    {result}_share = Constant <value = {kind} {{{2.0**-bits + 2.0 ** (1 - 2 * bits)!r}}}> ()
    {result}_step = Mul ({a}, {result}_share)
    {result}_next = Add ({a}, {result}_step)
    {result} = Sub ({result}_next, {a})
    """


def root_power(result: str, v: str, target: Target) -> str:
    """result = the power of two, of the wide type, for which `v` / result**2 lies in [0.5, 2).

    It is the unit in the last place of 2**(bits - 1) * sqrt(2 * v): that root is at least the power and below twice
    that, also after its rounding, as it is exact where 2 * v is a power of four, and `v` has only 24 bits. A runtime
    that rounds roots of float32 otherwise can miss the power by a factor of 2, next to an end of the interval.

    The factor is taken under the root in float64; in float32 the product would be infinite from 2**81 on.
    """
    if target.precision is Precision.DOUBLE:
        root = f"""
    {result}_v = Cast <to = 11> ({v})
    two_to_105 = Constant <value = double {{{2.0**105!r}}}> ()
    v_shifted = Mul ({result}_v, two_to_105)
    root = Sqrt (v_shifted)
    """
    else:
        root = f"""
    two = Constant <value = float {{2}}> ()
    two_to_23 = Constant <value = float {{{2.0**23!r}}}> ()
    v_doubled = Mul ({v}, two)
    root_of_doubled = Sqrt (v_doubled)
    root = Mul (root_of_doubled, two_to_23)
    """
    return root + unit_of_last_place(result, "root", target.wide)


def _type(result: str) -> str:
    return "int64[]" if result.endswith("spikes") else "float[]"
