# SPDX-License-Identifier: Apache-2.0
"""Spikes of a neuron as a boolean tensor [S, N, ...] in a graph, and what the spikes of an element stand for.

    u[0, n] = (magnitude - u_rest[n]) * gain[n]        float32, as the definition of the neuron has it
    S[t, n] = u[t, n] >= threshold[t, n]
    u[t + 1, n] = u[t, n] - reset[t, n] where S[t, n]

    y = sign * (bias + sum over t and n of c[t, n] * S[t, n]) * scale        c[t, n] = weight[n] * intensity[t, n]

The sum of the readout is exact, in float32 where that holds it and else in float64: y has the bits of the neuron.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_snn.arrays import Float32, Float64
from onnx_snn.graph.node_builder import NodeBuilder, SharedInitializers
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.parameter_checks import sums_are_exact_in_float32

FLOAT, DOUBLE = ir.DataType.FLOAT, ir.DataType.DOUBLE


class GraphWriter:
    """Writes nodes, named after the node that they replace, and initializers.

    Args:
        builder: makes the nodes.
        constants: makes the initializers.
        name: name of the replaced node.
    """

    def __init__(self, builder: NodeBuilder, constants: SharedInitializers, name: str) -> None:
        self.builder, self._constants, self.name = builder, constants, name
        self._taken = 0

    def node(self, op_type: str, *inputs: ir.Value | None, dtype: ir.DataType = FLOAT, **attributes: Any) -> ir.Value:
        """The output of a new node of a standard operator."""
        value = self.builder.named(f"{self.name}/{op_type}", op_type, inputs, attributes, dtype=dtype)
        producer = value.producer()
        assert producer is not None, "a node computes it"
        producer.name = value.name
        return value

    def taken(self) -> list[ir.Node]:
        """The nodes since the last call, in the order in which they were made."""
        nodes = list(self.builder.nodes)[self._taken :]
        self._taken += len(nodes)
        return nodes

    def constant(self, number: Any, dtype: ir.DataType = FLOAT) -> ir.Value:
        """An initializer that holds a number or an array."""
        return self._constants.get(number, dtype, f"{self.name}/constant")

    def column(self, values: Float32 | Float64, rank: int, dtype: ir.DataType = FLOAT) -> ir.Value:
        """An initializer that holds `values` with `rank` further axes of length 1."""
        return self.constant(values.reshape(*values.shape, *[1] * rank), dtype)

    def integers(self, numbers: Sequence[int]) -> ir.Value:
        """An initializer of int64 that holds `numbers`."""
        return self.constant(np.array(numbers), ir.DataType.INT64)


@dataclass(frozen=True, eq=False)
class SpikeTensor:
    """The spikes of a neuron on a tensor.

    Attributes:
        neuron: the neuron.
        rank: rank of the tensor that it is evaluated on.
        argument: the tensor, float32.
        scaled: the tensor divided by the scale.
        spikes: bool [S, N, the shape of the tensor].
        mirrored: which elements are those of the mirrored population, bool; None where there is none.
        scale: the channel scale, broadcastable against the tensor; None for 1.
    """

    neuron: MbeNeuron
    rank: int
    argument: ir.Value
    scaled: ir.Value
    spikes: ir.Value
    mirrored: ir.Value | None
    scale: ir.Value | None

    @classmethod
    def of(
        cls, write: GraphWriter, neuron: MbeNeuron, argument: ir.Value, scale: ir.Value | None, rank: int
    ) -> SpikeTensor:
        """The spikes of `neuron` on `argument`, of this rank, with the nodes that compute them."""
        scaled = argument if scale is None else write.node("Div", argument, scale)
        magnitude, mirrored = scaled, None
        if neuron.polarity:
            mirrored = write.node("Less", scaled, write.constant(0.0), dtype=ir.DataType.BOOL)
            magnitude = write.node("Where", mirrored, write.node("Neg", scaled), scaled)
        # One axis more than the tensor, for the bases.
        row = write.node("Unsqueeze", magnitude, write.integers([0]))
        centred = write.node("Sub", row, write.column(neuron.u_rest, rank))
        u = write.node("Mul", centred, write.column(neuron.gain, rank))
        fired = []
        for step in range(neuron.timesteps):
            s = write.node("GreaterOrEqual", u, write.column(neuron.threshold[step], rank), dtype=ir.DataType.BOOL)
            fired.append(write.node("Unsqueeze", s, write.integers([0]), dtype=ir.DataType.BOOL))
            if step + 1 < neuron.timesteps:
                u = write.node("Where", s, write.node("Sub", u, write.column(neuron.reset[step], rank)), u)
        spikes = write.builder.named(f"{write.name}/spikes", "Concat", fired, {"axis": 0}, dtype=ir.DataType.BOOL)
        return cls(neuron, rank, argument, scaled, spikes, mirrored, scale)

    def values(self, write: GraphWriter) -> ir.Value:
        """What each spike stands for in units of c, float32 [S, N, ...]: the signed scale of its element."""
        ones = write.node("Cast", self.spikes, to=FLOAT.value)
        unit = self.unit(write)
        return ones if unit is None else write.node("Mul", ones, unit)

    def unit(self, write: GraphWriter) -> ir.Value | None:
        """Sign and scale of each element, float32 broadcastable against the tensor; None for 1."""
        if self.mirrored is None:
            return self.scale
        sign = write.node("Where", self.mirrored, write.constant(-1.0), write.constant(1.0))
        return sign if self.scale is None else write.node("Mul", sign, self.scale)

    def offset(self, write: GraphWriter) -> ir.Value:
        """What each element stands for without spikes, float32 in the shape of the tensor."""
        shape, unit = write.node("Shape", self.argument, dtype=ir.DataType.INT64), self.unit(write)
        bias = write.constant(float(self.neuron.bias))
        return write.node("Expand", bias if unit is None else write.node("Mul", unit, bias), shape)

    def decoded(self, write: GraphWriter) -> ir.Value:
        """The answer of the neuron, float32, with its bits."""
        c = coefficients(self.neuron)
        narrow = bool((c.astype(np.float32) == c).all()) and sums_are_exact_in_float32(
            self.neuron.intensity, self.neuron.weight, self.neuron.bias
        )
        dtype = FLOAT if narrow else DOUBLE
        ones = write.node("Cast", self.spikes, dtype=dtype, to=dtype.value)
        terms = write.node("Mul", ones, write.column(-c, self.rank, dtype), dtype=dtype)
        negative = write.node("ReduceSum", terms, write.integers([0, 1]), dtype=dtype, keepdims=0)
        # A difference from the bias makes +0 of any zero, which a sum with 0 need not: runtimes take it for nothing.
        y = write.node("Sub", write.constant(float(self.neuron.bias), dtype), negative, dtype=dtype)
        if not narrow:
            y = write.node("Cast", y, to=FLOAT.value)
        if self.mirrored is not None:
            y = write.node("Where", self.mirrored, write.node("Sub", write.constant(0.0), y), y)
        if self.scale is not None:
            y = write.node("Mul", y, self.scale)
        missing = write.node("IsNaN", self.argument, dtype=ir.DataType.BOOL)
        return write.node("Where", missing, self.argument, y)


def coefficients(neuron: MbeNeuron) -> Float64:
    """What a spike adds to the answer, float64 [S, N], exact: products of float32 numbers."""
    return neuron.weight.astype(np.float64) * neuron.intensity.astype(np.float64)
