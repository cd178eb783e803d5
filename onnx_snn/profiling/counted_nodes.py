# SPDX-License-Identifier: Apache-2.0
"""Neurons and products whose activity is counted, with the meaning of their counters and shapes in a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.evaluation.range_guard import range_of
from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.graph.operator_lists import operators
from onnx_snn.graph.product_operators import (
    is_product,
    multiplies_activations,
    multiply_accumulates,
    operands_of,
    product_operator,
)
from onnx_snn.graph.shapes import Shapes
from onnx_snn.metadata import IDENTITY
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import MBE_NEURON
from onnx_snn.neurons.ramps import is_silent_beyond_an_end, outermost
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.profiling.activity import NeuronActivity, ProductKind
from onnx_snn.profiling.spike_outputs import Meter
from onnx_snn.rules.rule import name_of


@dataclass(frozen=True, eq=False)
class CountedNeuron:
    """A neuron of a spiking node whose spikes are counted.

    Attributes:
        meter: the output of the model that holds its counts.
        neuron: parameters of the neuron as the converted model has them, before a saturation spike was added for
            counting.
    """

    meter: Meter
    neuron: MbeNeuron

    @property
    def node(self) -> ir.Node:
        """The spiking node."""
        return self.meter.node

    @property
    def is_code(self) -> bool:
        """Whether it is the identity code of an operand."""
        return self.node.op_type == MBE_NEURON.name and self.meter.source == IDENTITY

    def elements(self, shapes: Shapes) -> int:
        """Number of evaluations of the neuron in one run: one for each element of the input, or one for each row."""
        shape = shapes.of(self.node.outputs[0])
        return math.prod(shape[:-1] if self.meter.role.sees_rows else shape) * shapes.times(self.node.outputs[0])

    def activity(self, elements: int, counts: NDArray[np.int64]) -> NeuronActivity:
        """Activity of the neuron over several runs.

        Args:
            elements: number of evaluations of the neuron over these runs.
            counts: int64 [S, N], its spikes over these runs; the first step is that of the saturation spike, which
                was added for counting to every neuron that has step sizes but no saturation spike.
        """
        sizes, role = self.neuron.sizes, self.meter.role
        return NeuronActivity(
            node=name_of(self.node),
            neuron="" if role is NeuronRole.FUNCTION else role.value,
            source=self.meter.source,
            elements=elements,
            spikes=self.spikes(counts),
            gate=sizes is not None and sizes.gate,
            out_of_range=self._out_of_range(counts),
        )

    def spikes(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Spikes [S, N] of the neuron as the converted model has it.

        Where a saturation spike was added for counting, each one stands for a spike at every step without it.
        """
        return np.asarray(counts[1:] + counts[0], np.int64) if self._has_added_saturation_spike else counts

    @property
    def _has_added_saturation_spike(self) -> bool:
        return self.neuron.sizes is not None and not self.neuron.sizes.gate

    def _out_of_range(self, counts: NDArray[np.int64]) -> int | None:
        """Number of elements at or beyond the outermost levels; None where counts do not show it.

        That is so for a neuron without a saturation spike, and for a code of signed values that is silent beyond one
        end of its range, as in preset "paper". A code that is silent below 0 is one of probabilities. Beyond an end at
        which a function is flat nothing saturates.
        """
        if self.neuron.sizes is None:
            return None
        if self.meter.role.is_primitive:
            return 0  # its arguments are fractions or mantissas, all within the range that it is fitted to
        is_code = self.is_code or self.meter.role.is_code
        if is_code and is_silent_beyond_an_end(self.neuron):
            return None
        limits = range_of(self.neuron, self.meter.source, is_code=is_code)
        if isinstance(limits, str):
            return None
        reached = zip(outermost(self.neuron), limits, strict=True)
        ends = [basis for basis, limit in reached if basis is not None and not math.isinf(limit)]
        return int(counts[0, ends].sum())


@dataclass(frozen=True, eq=False)
class CountedProduct:
    """A product node, with the neurons that code its operands.

    Attributes:
        node: the product node.
        kind: whether it multiplies activations by weights or by other activations.
        codes: index of the neuron, among all counted ones, for the index of each operand that is coded.
    """

    node: ir.Node
    kind: ProductKind
    codes: Mapping[int, int]

    @classmethod
    def of(cls, node: ir.Node, codes: Mapping[ir.Value, int], flow: ActivationFlow) -> CountedProduct | None:
        """`node` as a counted product; None where it is not a product of activations.

        An elementwise operator (Mul) is a product only if an operand is coded.

        Args:
            node: any node that always runs.
            codes: outputs of the neurons that code operands, with the index of each neuron among all counted ones.
            flow: classification of the model's values.
        """
        coded = {place: codes[value] for place, value in enumerate(operands_of(node)) if value in codes}
        if not is_product(node, flow) and (product_operator(node) is None or not coded):
            return None
        kind = ProductKind.ACTIVATIONS if multiplies_activations(node, flow) else ProductKind.WEIGHTS
        return cls(node, kind, coded)

    def multiply_accumulates(self, shapes: Shapes) -> int:
        """Number of multiply-accumulates in one run of the original network."""
        return multiply_accumulates(self.node, shapes)

    def outputs(self, shapes: Shapes) -> int:
        """Number of elements of the output in one run."""
        return shapes.elements(self.node.outputs[0])

    def elements(self, operand: int, shapes: Shapes) -> int:
        """Number of elements of the operand with index `operand` in one run."""
        return shapes.elements(operands_of(self.node)[operand])


CARRIERS = operators("Cast CastLike Identity Reshape Transpose Squeeze Unsqueeze Expand")
"""Operators between a code and the product that reads it: casts of low precision, and repetitions of heads."""


def carried(codes: Mapping[ir.Value, int]) -> dict[ir.Value, int]:
    """`codes`, outputs of neurons with their indices, and the values that hold the same spikes in another form."""
    found, queue = dict(codes), list(codes)
    while queue:
        value = queue.pop()
        for use in value.uses():
            if use.idx == 0 and use.node.domain == "" and use.node.op_type in CARRIERS:
                found[use.node.outputs[0]] = found[value]
                queue.append(use.node.outputs[0])
    return found
