# SPDX-License-Identifier: Apache-2.0
"""Neurons and products of a converted network as it counts: what their numbers of a run mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.conversion.spike_outputs import Meter
from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.graph.product_operators import (
    is_product,
    multiplies_activations,
    multiply_accumulates,
    operands_of,
    product_operator,
)
from onnx_snn.graph.shapes import Shapes
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import MBE_NEURON, OPERATORS
from onnx_snn.neurons.ramps import outermost
from onnx_snn.profiling.activity import NeuronActivity, ProductKind
from onnx_snn.profiling.op_counts import IDENTITY
from onnx_snn.rules.rule import name_of


@dataclass(frozen=True, eq=False)
class CountedNeuron:
    """A neuron of a spiking node.

    Attributes:
        meter: where its counts come out.
        neuron: the neuron as the model has it: before it is given a saturation spike to count by.
    """

    meter: Meter
    neuron: MbeNeuron

    @property
    def node(self) -> ir.Node:
        """The spiking node."""
        return self.meter.node

    @property
    def is_code(self) -> bool:
        """Whether it codes an operand."""
        return self.node.op_type == MBE_NEURON.name and self.meter.source == IDENTITY

    def elements(self, shapes: Shapes) -> int:
        """Elements of one run: those of the input, or its rows for a neuron that sees one number a row."""
        shape = shapes.of(self.node.outputs[0])
        first, _ = OPERATORS[self.node.op_type].neurons[0]
        return math.prod(shape if self.meter.prefix == first else shape[:-1])

    def activity(self, elements: int, counts: NDArray[np.int64]) -> NeuronActivity:
        """What it did with `elements`, of which all neurons with sizes have counted the saturated ones apart."""
        sizes = self.neuron.sizes
        return NeuronActivity(
            node=name_of(self.node),
            neuron=self.meter.prefix.rstrip("_"),
            source=self.meter.source,
            elements=elements,
            spikes=self.spikes(counts),
            gate=sizes is not None and sizes.gate,
            out_of_range=self._out_of_range(counts),
        )

    def spikes(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Spikes [S, N] of the neuron without the saturation spike that it may have been given to count by."""
        return np.asarray(counts[1:] + counts[0], np.int64) if self._has_added_saturation_spike else counts

    @property
    def _has_added_saturation_spike(self) -> bool:
        return self.neuron.sizes is not None and not self.neuron.sizes.gate

    @property
    def _is_scaled(self) -> bool:
        """Whether what it sees has a scale: that of data, and not of fractions and mantissas."""
        return dict(OPERATORS[self.node.op_type].neurons)[self.meter.prefix]

    def _out_of_range(self, counts: NDArray[np.int64]) -> int | None:
        """Elements beyond the outermost levels; None where saturation is not counted apart."""
        if self.neuron.sizes is None:
            return None
        if not self._is_scaled:
            return 0  # it sees fractions and mantissas, none of which lies outside the range that it is fitted to
        ends = [basis for basis in outermost(self.neuron) if basis is not None]
        return int(counts[0, ends].sum())


@dataclass(frozen=True, eq=False)
class CountedProduct:
    """A product, and of those of its operands that are coded which neuron codes them.

    Attributes:
        node: the product.
        kind: what its spikes meet.
        codes: for the places of coded operands the place of the neuron among all.
    """

    node: ir.Node
    kind: ProductKind
    codes: Mapping[int, int]

    @classmethod
    def of(cls, node: ir.Node, codes: Mapping[ir.Value, int], flow: ActivationFlow) -> CountedProduct | None:
        """The product that `node` computes from activations, of whose operands some are outputs of `codes`.

        An operator that works element by element is a product only where spikes arrive.
        """
        coded = {place: codes[value] for place, value in enumerate(operands_of(node)) if value in codes}
        if not is_product(node, flow) and (product_operator(node) is None or not coded):
            return None
        kind = ProductKind.ACTIVATIONS if multiplies_activations(node, flow) else ProductKind.WEIGHTS
        return cls(node, kind, coded)

    def multiply_accumulates(self, shapes: Shapes) -> int:
        """Products of two numbers in one run."""
        return multiply_accumulates(self.node, shapes)

    def outputs(self, shapes: Shapes) -> int:
        """Elements of its output in one run."""
        return shapes.elements(self.node.outputs[0])

    def elements(self, operand: int, shapes: Shapes) -> int:
        """Elements of one operand in one run."""
        return shapes.elements(operands_of(self.node)[operand])
