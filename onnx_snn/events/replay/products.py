# SPDX-License-Identifier: Apache-2.0
"""Products that are replayed: what they read, and how their sums by spikes are held against those of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.arrays import Float64
from onnx_snn.events.coded_operands import CodedOperand
from onnx_snn.events.replay.accumulation import of_activations, with_weights
from onnx_snn.events.replay.bilinear import Bilinear, Gemm, MatMul, Mul
from onnx_snn.events.replay.convolution import Convolution
from onnx_snn.events.spike_events import SpikeEvents
from onnx_snn.graph.node_builder import NodeBuilder
from onnx_snn.graph.product_operators import operands_of
from onnx_snn.neurons.sum_factors import factors_of_product

BILINEAR: dict[str, Callable[[ir.Node], Bilinear]] = {
    "MatMul": lambda _: MatMul(),
    "Mul": lambda _: Mul(),
    "Gemm": Gemm,
    "Conv": Convolution,
}
"""The standard operators that are replayed, with the synapses of a node."""


@dataclass(frozen=True, eq=False)
class ReplayableProduct:
    """A product of the main graph with coded operands.

    Attributes:
        node: the product.
        bilinear: its synapses.
        codes: the code of each of its two operands; None for one that is not coded.
    """

    node: ir.Node
    bilinear: Bilinear
    codes: tuple[CodedOperand | None, CodedOperand | None]

    @classmethod
    def of(cls, node: ir.Node, builder: NodeBuilder) -> ReplayableProduct | None:
        """The product `node`; None where its operator is not replayed or no operand is coded."""
        if node.domain != "" or node.op_type not in BILINEAR:
            return None
        first, second = (CodedOperand.of(operand, builder) for operand in operands_of(node))
        if (first is None and second is None) or (node.op_type == "Conv" and second is not None):
            return None
        return cls(node, BILINEAR[node.op_type](node), (first, second))

    @property
    def observed(self) -> list[str]:
        """Names of the tensors of a run that a replay reads."""
        values = [*operands_of(self.node), *self.node.inputs[2:3], self.node.outputs[0]]
        names = [str(value.name) for value in values if value is not None and value.const_value is None]
        return [*names, *(name for code in self.codes if code is not None for name in code.observed)]

    def replay(self, tensors: Mapping[str, NDArray[Any]]) -> Outcome:
        """Accumulate the product of a run from its tensors by name."""
        a, b = (_array(operand, tensors) for operand in operands_of(self.node))
        first, second = (None if code is None else code.events(tensors) for code in self.codes)
        accumulated = self._accumulated(first, second, a, b)
        summands = _summands(self.node, tensors, accumulated.ndim)
        written = _array(self.node.outputs[0], tensors)
        expected = self.bilinear.dense(a if first is None else first.value, b if second is None else second.value)
        magnitude = np.abs(self.bilinear.dense(np.abs(a), np.abs(b)))
        spikes, made = [], 0
        for place, (events, other) in enumerate(((first, b), (second, a))):
            spikes.append(0 if events is None else events.spikes)
            made += 0 if events is None else self._synapses(place, events, other.shape)
        return Outcome(
            accumulated=_largest_ratio(accumulated - expected, magnitude),
            written=_largest_ratio(written - (accumulated + summands), magnitude + np.abs(summands))
            / _roundoff(self.node.outputs[0], tensors),
            decoded=all(
                np.array_equal(_rounded(events, value, tensors), operand)
                for events, value, operand in zip((first, second), operands_of(self.node), (a, b), strict=True)
                if events is not None
            ),
            spikes=tuple(spikes),
            accumulations=made,
            outputs=accumulated.size,
        )

    @property
    def factors(self) -> int:
        """Number of multiplications of a sum, for each output."""
        return factors_of_product([code.neuron for code in self.codes if code is not None])

    def _accumulated(self, first: SpikeEvents | None, second: SpikeEvents | None, a: Float64, b: Float64) -> Float64:
        if first is not None and second is not None:
            return of_activations(self.bilinear, first, second)
        if first is not None:
            return with_weights(self.bilinear, first, b, place=0)
        assert second is not None, "one operand at least is coded"
        return with_weights(self.bilinear, second, a, place=1)

    def _synapses(self, place: int, events: SpikeEvents, other: tuple[int, ...]) -> int:
        slots = ((step, basis) for step in range(events.neuron.timesteps) for basis in range(events.neuron.bases))
        return sum(self.bilinear.synapses(place, events.at(*slot), events.shape, other) for slot in slots)


@dataclass(frozen=True)
class Outcome:
    """The replay of one product in one run, or the worst of several.

    Attributes:
        accumulated: largest difference of the sums by spikes from the product of the decoded operands, both float64,
            relative to the product of their magnitudes.
        written: largest difference of the file's result from the sums by spikes, relative to the same, in units of the
            roundoff of the file's result.
        decoded: whether the spikes of every operand decode to the bits that the file computes.
        spikes: spikes of each operand.
        accumulations: accumulations that the spikes cause.
        outputs: outputs of the product.
    """

    accumulated: float
    written: float
    decoded: bool
    spikes: tuple[int, ...]
    accumulations: int
    outputs: int

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            max(self.accumulated, other.accumulated),
            max(self.written, other.written),
            self.decoded and other.decoded,
            tuple(own + more for own, more in zip(self.spikes, other.spikes, strict=True)),
            self.accumulations + other.accumulations,
            self.outputs + other.outputs,
        )


def _array(value: ir.Value, tensors: Mapping[str, NDArray[Any]]) -> Float64:
    stored = value.const_value
    return np.asarray(tensors[str(value.name)] if stored is None else stored.numpy(), np.float64)


def _summands(node: ir.Node, tensors: Mapping[str, NDArray[Any]], rank: int) -> Float64:
    """What the node adds to its product: the bias of a convolution, or beta C of a Gemm."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return np.zeros(1)
    summands = _array(value, tensors)
    if node.op_type == "Conv":
        return summands.reshape(-1, *[1] * (rank - 2))
    return node.attributes.get_float("beta", 1.0) * summands


def _largest_ratio(difference: Float64, magnitude: Float64) -> float:
    """The largest |difference| relative to the magnitude of its element; 0 where both are 0."""
    error = np.abs(difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0.0, 0.0, error / magnitude)
    return float(ratio.max(initial=0.0))


def _rounded(events: SpikeEvents, operand: ir.Value, tensors: Mapping[str, NDArray[Any]]) -> Float64:
    """What the spikes decode to, rounded to float32 by the neuron and to the type of `operand` behind it."""
    return events.value.astype(np.float32).astype(_type_of(operand, tensors)).astype(np.float64)


def _roundoff(value: ir.Value, tensors: Mapping[str, NDArray[Any]]) -> float:
    """Unit roundoff of the type of `value`."""
    return float(ml_dtypes.finfo(_type_of(value, tensors)).eps) / 2.0  # type: ignore[no-untyped-call]


def _type_of(value: ir.Value, tensors: Mapping[str, NDArray[Any]]) -> np.dtype[Any]:
    """Type of the elements of `value`, which a run may have widened."""
    return np.dtype(value.dtype.numpy() if value.dtype is not None else tensors[str(value.name)].dtype)
