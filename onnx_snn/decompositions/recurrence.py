# SPDX-License-Identifier: Apache-2.0
"""Recurrent operators as a Loop over the sequence, whose body is one step of the cell in standard operators.

A Loop and no Scan for the reason that `onnx_snn.decompositions.scan` gives.

The product of the whole sequence with the input weights W comes first, as in onnxruntime; the product of the state with
the recurrent weights R is in the body. Each direction is a loop of its own, and the backward one goes from the end.
Where the sequences of a batch have lengths, the state of a sequence stays as it is in steps beyond its end, and the
output there is 0.

    X [sequence, batch, input]   W [directions, gates * hidden, input]    R [directions, gates * hidden, hidden]
    B [directions, 2 * gates * hidden]: biases of the input products, then of the recurrent ones
    states [directions, batch, hidden]     Y [sequence, directions, batch, hidden]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TypeAlias

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Step, Unsupported
from onnx_snn.decompositions.cell_activations import Activation, activations_of

DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""Whether each direction goes backward, by the attribute `direction`."""

BEFORE_FIRST = 1 - 2**63
"""End of a Slice that goes backward to the first element, whatever the length."""

INITIAL = 5
"""Index of the input that holds the first state; further states follow."""


@dataclass(frozen=True)
class Weights:
    """The weights of one direction.

    Attributes:
        hidden: size of a state.
        recurrent: transposed recurrent weights [hidden, gates * hidden] for each product in a step.
        bias: biases [gates * hidden] of these products; empty where they are added before the loop.
        further: other inputs of the operator for this direction, by name, such as "peepholes".
        activations: the activations of the cell.
    """

    hidden: int
    recurrent: Sequence[ir.Value]
    bias: Sequence[ir.Value]
    further: Mapping[str, ir.Value]
    activations: Sequence[Activation]

    def product(self, op: FormulaBuilder, index: int, state: ir.Value) -> ir.Value:
        """The product of `state` with the recurrent weights of index `index`, with its bias."""
        product = op.MatMul(state, self.recurrent[index])
        return op.Add(product, self.bias[index]) if self.bias else product


CellStep: TypeAlias = "Callable[[FormulaBuilder, Weights, Sequence[ir.Value], ir.Value], Sequence[ir.Value]]"
"""The new states of a cell, its output first, from the old ones and the input products [batch, gates * hidden]."""


@dataclass(frozen=True)
class Cell:
    """A kind of recurrent cell.

    Attributes:
        parts: number of gates in each product with the state in a step.
        states: number of states.
        activations: names of the default activations.
        step: writes one step.
        own_bias: whether the products with the state have biases of their own in a step.
        further: names of further inputs with a first axis of directions, by index.
    """

    parts: Sequence[int]
    states: int
    activations: Sequence[str]
    step: CellStep
    own_bias: bool = False
    further: Mapping[int, str] = field(default_factory=dict)


class Operands:
    """The inputs of a recurrent operator, in the layout and the number format of the standard ones.

    Attributes:
        op: the builder that replaces the operator.
        cell: its cell.
        x: input sequence.
        lengths: lengths of the sequences, int32 [batch]; None where all are full.
        hidden: size of a state.
    """

    def __init__(self, op: FormulaBuilder, cell: Cell) -> None:
        if op.node.attributes.get_int("layout", 0):
            raise Unsupported(f"{op.node.op_type} with layout 1, which onnxruntime does not run, is not supported")
        self.op, self.cell = op, cell
        self.x, self.lengths = op.required(0), op.input(4)
        self.hidden = op.node.attributes.get_int("hidden_size", 0) or op.size(op.required(2), -1)

    def input_products(self, direction: int) -> ir.Value:
        """Products of the sequence with the input weights, with the biases [sequence, batch, gates * hidden]."""
        products = self.op.MatMul(self.x, self.transposed(1, direction))
        biases = self._biases(direction)
        added = biases[:1] if self.cell.own_bias else biases
        return reduce(self.op.Add, added, products)

    def weights(self, direction: int, activations: Sequence[Activation]) -> Weights:
        """The weights of `direction`."""
        further = {
            name: self.op.Gather(value, direction, axis=0)
            for index, name in self.cell.further.items()
            if (value := self.op.input(index)) is not None
        }
        biases = self._biases(direction) if self.cell.own_bias else ()
        recurrent = self._in_parts(self.transposed(2, direction), axis=1)
        return Weights(
            self.hidden, recurrent, self._in_parts(biases[1], axis=0) if biases else (), further, activations
        )

    def transposed(self, index: int, direction: int) -> ir.Value:
        """The weights of input `index` and `direction`, with the gates last."""
        return self.op.Transpose(self.op.Gather(self.op.required(index), direction, axis=0), perm=[1, 0])

    def _biases(self, direction: int) -> Sequence[ir.Value]:
        """The biases of the input products and of the recurrent ones, [gates * hidden]; none without biases."""
        bias = self.op.input(3)
        size = self.hidden * sum(self.cell.parts)
        return () if bias is None else self.op.split(self.op.Gather(bias, direction, axis=0), [size, size], axis=0)

    def _in_parts(self, value: ir.Value, axis: int) -> Sequence[ir.Value]:
        """The parts of `value` for the products in a step."""
        sizes = [gates * self.hidden for gates in self.cell.parts]
        return self.op.split(value, sizes, axis=axis) if len(sizes) > 1 else [value]

    def initial_states(self, direction: int) -> list[ir.Value]:
        """The first states [batch, hidden], zero where they are not given."""
        given = [self.op.input(INITIAL + i) for i in range(self.cell.states)]
        return [self._zeros() if one is None else self.op.Gather(one, direction, axis=0) for one in given]

    def _zeros(self) -> ir.Value:
        batch = self.op.Gather(self.op.Shape(self.x), [1], axis=0)
        zero = self.op.constant(0.0, self.op.float_type(self.x))
        return self.op.Expand(zero, self.op.Concat(batch, [self.hidden], axis=0))

    def length(self) -> ir.Value:
        """Number of steps, int64."""
        return self.op.Gather(self.op.Shape(self.x), 0, axis=0)

    def running(self) -> ir.Value | None:
        """Whether a step lies within a sequence, bool [sequence, batch, 1]; None where all are full."""
        if self.lengths is None:
            return None
        start, step = (self.op.constant(number, ir.DataType.INT64) for number in (0, 1))
        each = self.op.Range(start, self.length(), step)
        lengths = self.op.Cast(self.lengths, to=ir.DataType.INT64)
        return self.op.Less(self.op.Unsqueeze(each, [1, 2]), self.op.Unsqueeze(lengths, [0, 2]))


class QuantizedOperands(Operands):
    """The inputs of DynamicQuantizeLSTM, with weights of 8 bits [directions, input or hidden, gates * hidden].

    These become floats again, by the scale and zero point of their tensor or of each of their columns.
    """

    def transposed(self, index: int, direction: int) -> ir.Value:
        """The weights of input `index` and `direction` as floats, with the gates last."""
        scale_index = {1: 8, 2: 10}[index]
        weights, scale, zero = (
            self.op.Gather(self.op.required(i), direction, axis=0) for i in (index, scale_index, scale_index + 1)
        )
        steps = self.op.Sub(*(self.op.Cast(value, to=ir.DataType.INT32) for value in (weights, zero)))
        return self.op.Mul(self.op.Cast(steps, to=self.op.float_type(scale)), scale)


def recurrence(operands: Operands) -> Outputs:
    """Outputs Y and the last states of the recurrent operator that has `operands`.

    Raises:
        Unsupported: an option that onnxruntime does not run, or an unknown activation.
    """
    op, cell = operands.op, operands.cell
    backward = DIRECTIONS[op.node.attributes.get_string("direction", "forward")]
    activations = activations_of(op.node, cell.activations, len(backward))
    running, length = operands.running(), operands.length()
    sequences, states = [], []
    for direction, each in enumerate(backward):
        weights = operands.weights(direction, activations[direction])
        read = [operands.input_products(direction), *([] if running is None else [running])]
        if each:
            read = [reversed_sequence(op, value) for value in read]
        *last, outputs = op.loop(_step(cell, weights, read), operands.initial_states(direction), length)
        sequences.append(op.Unsqueeze(reversed_sequence(op, outputs) if each else outputs, [1]))
        states.append([op.Unsqueeze(state, [0]) for state in last])
    joined = [op.Concat(*parts, axis=0) if len(parts) > 1 else parts[0] for parts in zip(*states, strict=True)]
    return [op.Concat(*sequences, axis=1) if len(sequences) > 1 else sequences[0], *joined]


def reversed_sequence(op: FormulaBuilder, sequence: ir.Value) -> ir.Value:
    """The elements along the first axis from the last one to the first."""
    return op.Slice(sequence, [-1], [BEFORE_FIRST], [0], [-1])


def _step(cell: Cell, weights: Weights, sequences: Sequence[ir.Value]) -> Step:
    """One iteration of the loop: a step of the cell, and beyond the end of a sequence none.

    Args:
        cell: the cell.
        weights: its weights.
        sequences: input products [sequence, batch, gates * hidden] in the order of the steps, and, where sequences have
            lengths, whether a step lies within one, bool [sequence, batch, 1].
    """

    def step(op: FormulaBuilder, states: Sequence[ir.Value], index: ir.Value) -> tuple[Sequence[ir.Value], ir.Value]:
        products, *running = (op.Gather(value, index, axis=0) for value in sequences)
        new = cell.step(op, weights, states, products)
        if not running:
            return new, op.Identity(new[0])  # a value is at most one output of a graph
        kept = [op.Where(running[0], value, state) for value, state in zip(new, states, strict=True)]
        return kept, op.Where(running[0], new[0], op.Mul(new[0], 0.0))

    return step
