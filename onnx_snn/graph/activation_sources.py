# SPDX-License-Identifier: Apache-2.0
"""Which of the numbers that a model computes from its inputs are activations, decided by where they go.

A *source* is where a number starts: a float input, a row of a table that an integer chooses, an integer or truth value
that is cast to a float, noise. Masks and positions start in the same ways as images and tokens. They differ in where
they go: what only steers is added to, multiplied with or compared beside activations, and computes nothing by itself.

So a source is an activation if a sink takes it by itself. Sinks are contractions with more than one product a sum,
nonlinear functions, and the outputs of the model. Where a sink takes values of several sources, those of the
highest rank are its activations, unless one of the others is an activation already: of a table of embeddings times a
mask the embeddings. What is concatenated with activations is one.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import onnx_ir as ir

from onnx_snn.graph.contracted_size import contracted_size
from onnx_snn.graph.operator_lists import CONTRACTIONS, MOVEMENT, SELECTION, SHAPES, SUMS, TRUTH, operators

_PASSING = (
    MOVEMENT | SUMS | SELECTION | SHAPES | TRUTH
    | operators("Mul Div Reciprocal Sin Cos Floor Ceil Round Sign Abs Range NonZero")
)  # fmt: skip
"""Operators that are no sinks: they hand on their data, or are of those that positions and masks go through."""

_STEPS = operators("Log Exp Sqrt Pow Mod")
"""Further operators that are no sinks of casts: biases by distance and logarithms of masks are computed by them."""

_BESIDE = operators("Concat Scatter ScatterElements ScatterND TensorScatter ConcatFromSequence SequenceInsert")
"""Operators that put their operands beside each other in one tensor."""


class Rank(enum.IntEnum):
    """How a source starts, the likelier to be an activation the higher."""

    CAST = enum.auto()
    """An integer or truth value as a number, or noise."""
    ROW = enum.auto()
    """A row of a table, a one-hot vector, or what an operator of another domain computes of integers."""
    INPUT = enum.auto()
    """A float input of the model."""


@dataclass(frozen=True)
class _Sink:
    """An operand of a sink: its sources, and those of the other operands. Sets of sources are bits of integers."""

    operand: int
    others: int
    is_output: bool = False


@dataclass
class Sources:
    """The sources of a model and the sinks that take them. Each source is one bit; a set of sources is an integer."""

    _bits: dict[Hashable, int] = field(default_factory=dict)
    _ranks: dict[int, Rank] = field(default_factory=dict)
    _behind: dict[int, int] = field(default_factory=dict)
    _sinks: dict[_Sink, None] = field(default_factory=dict)
    _beside: list[tuple[int, ...]] = field(default_factory=list)

    def start(self, where: Hashable, rank: Rank, behind: int = 0) -> int:
        """The source that starts at `where`, from indices or truth values that `behind` were computed from."""
        bit = self._bits.setdefault(where, 1 << len(self._bits))
        self._ranks[bit] = rank
        self._behind[bit] = self._behind.get(bit, 0) | behind
        return bit

    def take(self, node: ir.Node, operands: list[int]) -> None:
        """Record what `node` does with the sources of each of its inputs."""
        if node.domain == "" and node.op_type in _BESIDE:
            self._beside.append(tuple(operands))
        if not _is_sink(node):
            return
        for index, operand in enumerate(operands):
            others = 0
            for other in (*operands[:index], *operands[index + 1 :]):
                others |= other
            if operand and not (node.domain == "" and node.op_type in _STEPS and self._best(operand)[0] is Rank.CAST):
                self._sinks[_Sink(operand, others)] = None

    def leave(self, sources: int) -> None:
        """Record an output of the model."""
        if sources:
            self._sinks[_Sink(sources, 0, is_output=True)] = None

    def activations(self) -> int:
        """The set of the sources that are activations."""
        found = 0
        for sink in sorted(self._sinks, key=self._order):
            rank, best = self._best(sink.operand)
            if not sink.operand & found and not (rank is Rank.CAST and sink.others & found):
                found |= best
        return self._completed(found)

    def _order(self, sink: _Sink) -> tuple[bool, bool, int]:
        """What is certain first: sinks of one source, and outputs and casts beside other values last."""
        beside = bool(sink.others) and self._best(sink.operand)[0] is Rank.CAST
        return sink.is_output, beside, sink.operand.bit_count()

    def _best(self, sources: int) -> tuple[Rank, int]:
        """The highest rank in a set of sources, and the sources of that rank."""
        ranks = {bit: self._ranks[bit] for bit in _bits_of(sources)}
        highest = max(ranks.values())
        return highest, sum(bit for bit, rank in ranks.items() if rank is highest)

    def _completed(self, found: int) -> int:
        """`found` and the activations that they show: what is put beside them, and what indices were computed from."""
        while True:
            before = found
            for operands in self._beside:
                if any(operand & found for operand in operands):
                    for operand in operands:
                        found |= self._new(operand, found)
            for bit in _bits_of(found):
                found |= self._new(self._behind[bit], found)
            if found == before:
                return found

    def _new(self, sources: int, found: int) -> int:
        """The sources of the highest rank in a set that has none of those in `found`."""
        return self._best(sources)[1] if sources and not sources & found else 0


def _is_sink(node: ir.Node) -> bool:
    if node.domain != "":
        return True
    if node.op_type in CONTRACTIONS:
        return contracted_size(node) != 1
    return node.op_type not in _PASSING


def _bits_of(sources: int) -> Iterable[int]:
    """The sources of a set, each by itself."""
    while sources:
        bit = sources & -sources
        yield bit
        sources ^= bit
