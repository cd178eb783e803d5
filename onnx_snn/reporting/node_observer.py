# SPDX-License-Identifier: Apache-2.0
"""Observation of one spiking node on samples: its errors, and the arguments of its neurons.

Two errors are measured, both as signal-to-quantization-noise ratio (SQNR) in decibels:

    own          output of the node against that of the replaced operation for the same input
    accumulated  output of the node against the same tensor of the original network: includes the errors of all
                 nodes before it

Rows of large tensors are sampled by a seeded generator, so that time and memory do not grow with their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.arrays import Float32
from onnx_snn.errors import ConfigError
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.events.neuron_arguments import arguments_of
from onnx_snn.metadata import IDENTITY
from onnx_snn.neurons import functions
from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import UNSCALED
from onnx_snn.neurons.opset import MBE_NEURON, SPIKING_LAYER_NORMALIZATION, SPIKING_SOFTMAX, operator_of
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.profiling.activity import NeuronActivity
from onnx_snn.profiling.spike_outputs import Meter
from onnx_snn.reporting.views import NeuronView, NodeView
from onnx_snn.rules.rule import name_of

SAMPLED_ELEMENTS = 1 << 16
"""Approximate number of elements of a tensor that are observed in each sample; rows are drawn as a whole."""

SAMPLED_ROWS = 32
"""Smallest number of rows of a tensor that are observed in each sample, whatever their length."""

KEPT_ARGUMENTS = 2048
"""Largest number of arguments of a neuron that are kept from each sample to chart their distribution."""


@dataclass
class _Observations:
    """Error statistics and sampled arguments of one spiking node.

    Attributes:
        own: error statistics against the replaced operation.
        accumulated: error statistics against the original network.
        compared: whether the original network has the tensor, so that `accumulated` holds anything.
        arguments: sampled arguments of each neuron, float32 [n] for each sample.
        sample: arguments of each neuron for the chosen sample, ascending.
    """

    own: Difference = field(default_factory=Difference)
    accumulated: Difference = field(default_factory=Difference)
    compared: bool = False
    arguments: dict[NeuronRole, list[Float32]] = field(default_factory=dict)
    sample: dict[NeuronRole, Float32] = field(default_factory=dict)


class NodeObserver:
    """Accumulates errors and arguments of one spiking node, sample by sample.

    Attributes:
        input: name of the tensor that the node reads.
        output: name of the tensor that the node computes.
        reference: name of the original's tensor that the output approximates.
        meters: the neurons of the node.
    """

    def __init__(self, node: ir.Node) -> None:
        assert node.inputs[0] is not None, "a spiking node reads a tensor"
        self._node = node
        self.input, self.output = str(node.inputs[0].name), str(node.outputs[0].name)
        self.meters = [Meter(node, role.prefix, "") for role in operator_of(node).roles]
        self._neurons = {meter.role: meter.neuron for meter in self.meters}
        self._source = self.meters[0].source
        self.reference = self.input if self._source == IDENTITY else self.output
        self._constants = {
            name: None if value is None or value.const_value is None else value.const_value.numpy()
            for name, value in zip(operator_of(node).inputs, node.inputs, strict=True)
        }
        self._random = np.random.default_rng(0)
        self._sums = _Observations()

    def add(self, x: Float32, y: Float32, expected: Float32 | None, *, chosen: bool) -> None:
        """Add one sample.

        Args:
            x: input of the node.
            y: output of the node.
            expected: the same tensor in the original network; None if the original has no such tensor.
            chosen: whether the arguments of this sample are kept for the raster plot.
        """
        sums = self._sums
        if expected is not None and expected.shape == y.shape:
            sums.accumulated.add(expected, y)
            sums.compared = True
        x, y, scale = self._rows(x, y)
        exact = self._exact(x)
        if exact is not None:
            sums.own.add(exact, y)
        for role, arguments in self._arguments(x, scale).items():
            arguments = arguments[np.isfinite(arguments)]
            if chosen:
                sums.sample[role] = np.sort(arguments)
            if arguments.size > KEPT_ARGUMENTS:
                arguments = self._random.choice(arguments, KEPT_ARGUMENTS, replace=False)
            sums.arguments.setdefault(role, []).append(arguments)

    def view(self, activities: Sequence[NeuronActivity]) -> NodeView:
        """The node with its errors, and each of its neurons with arguments and activity.

        Args:
            activities: activity of each neuron, in the order of `meters`.
        """
        readers = (name_of(use.node) for use in self._node.outputs[0].uses() if use.node.op_type != "Shape")
        return NodeView(
            name_of(self._node),
            self._node.op_type,
            self._source,
            tuple(dict.fromkeys(readers)),
            self._sums.own if self._sums.own.signal else None,
            self._sums.accumulated if self._sums.compared else None,
            tuple(
                NeuronView(
                    activity,
                    self._neurons[meter.role],
                    self._function(meter.role),
                    np.concatenate(self._sums.arguments[meter.role]),
                    self._sums.sample[meter.role],
                )
                for meter, activity in zip(self.meters, activities, strict=True)
            ),
        )

    def _rows(self, x: Float32, y: Float32) -> tuple[Float32, Float32, Float32]:
        """Sampled rows of input and output, and of the node's scale broadcast to them, float32 [rows, n] each."""
        stored = self._constants.get("scale", self._constants.get("deviation_scale"))
        scale = np.broadcast_to(UNSCALED if stored is None else stored, x.shape)
        width = x.shape[-1] if x.ndim else 1
        tables = [array.reshape(-1, max(width, 1)) for array in (x, y, scale)]
        most = max(SAMPLED_ROWS, SAMPLED_ELEMENTS // max(width, 1))
        if len(tables[0]) <= most:
            return tables[0], tables[1], tables[2]
        rows = np.sort(self._random.choice(len(tables[0]), most, replace=False))
        return tables[0][rows], tables[1][rows], tables[2][rows]

    def _function(self, role: NeuronRole) -> ScalarFunction | None:
        """The function that a neuron of the node approximates; None if it is not registered in this process."""
        inner = IDENTITY if role.is_code else role.value
        name = self._source if role is NeuronRole.FUNCTION else inner
        try:
            return functions.get(name)
        except ConfigError:
            return None

    @np.errstate(all="ignore")
    def _exact(self, x: Float32) -> NDArray[np.float64] | None:
        """Output of the replaced operation for `x` [rows, n], float64 [rows, n]; None if it is not known here."""
        wide = x.astype(np.float64)
        if self._node.op_type == MBE_NEURON.name:
            function = self._function(NeuronRole.FUNCTION)
            return None if function is None else function.formula(wide)
        if self._node.op_type == SPIKING_SOFTMAX.name:
            powers = np.exp(wide - wide.max(axis=-1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
        gamma, beta, epsilon = (self._constants.get(name) for name in ("gamma", "beta", "epsilon"))
        if gamma is None or epsilon is None:
            return None
        if self._node.op_type == SPIKING_LAYER_NORMALIZATION.name:
            wide = wide - wide.mean(axis=-1, keepdims=True)
        normalized = wide / np.sqrt(np.square(wide).mean(axis=-1, keepdims=True) + epsilon)
        return np.asarray(normalized * gamma + (0.0 if beta is None else beta))

    def _arguments(self, x: Float32, scale: Float32) -> dict[NeuronRole, Float32]:
        """Arguments float32 [m] of each neuron of the node for an input `x` [rows, n]."""
        stored = self._constants.get("epsilon")
        epsilon = 0.0 if stored is None else float(stored.reshape(()))
        found = arguments_of(self._node, self._neurons, x, scale, epsilon)
        return {role: arguments.ravel() for role, arguments in found.items()}
