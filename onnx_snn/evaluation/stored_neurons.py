# SPDX-License-Identifier: Apache-2.0
"""The neurons of spiking nodes as a model stores them, and the bounds of what spiking nodes answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnx_snn.arrays import Float32
from onnx_snn.graph.operator_lists import operators
from onnx_snn.neurons.mbe import UNSCALED, MbeNeuron
from onnx_snn.neurons.opset import DOMAIN, MBE_NEURON, PARAMETERS, SPIKING_SOFTMAX, operator_of
from onnx_snn.neurons.ramps import Ends
from onnx_snn.neurons.roles import NeuronRole

_CARRIERS = operators("Identity Reshape Transpose Squeeze Unsqueeze Expand Relu")
"""Operators whose output holds no number that is not in their input, but for 0."""

_MANTISSAS = np.linspace(0.5, 1.0, 4097, dtype=np.float32)
"""Arguments at which the product of a mantissa with its reciprocal is taken."""

_MARGIN = 1.001
"""Factor for what that product may be between these arguments."""


class StoredNeuron(NamedTuple):
    """A neuron whose parameters are initializers of a model.

    Attributes:
        neuron: its parameters.
        scale: its channel scale, in the shape that broadcasts against its argument.
    """

    neuron: MbeNeuron
    scale: Float32


def stored_neuron(node: ir.Node, role: NeuronRole | None = None) -> StoredNeuron | None:
    """The neuron of a spiking node; None where a parameter is not stored, but computed.

    Args:
        node: a node of one of the plain spiking ops.
        role: which of its neurons; the first one by default.

    Raises:
        ModelError: there is no such operator, or it takes another number of inputs.
    """
    operator = operator_of(node)
    role = role or operator.roles[0]
    values = dict(zip(operator.inputs, node.inputs, strict=True))
    names = (*PARAMETERS, *(["scale"] if role.is_scaled else []))
    stored = {name: value.const_value for name in names if (value := values[role.prefix + name]) is not None}
    tensors = {name: tensor.numpy() for name, tensor in stored.items() if tensor is not None}
    if len(tensors) < len(names):
        return None
    scale = tensors.pop("scale", UNSCALED)
    polarity = node.attributes.get_int("polarity", 0) if role.is_scaled else 0
    return StoredNeuron(MbeNeuron(**tensors, polarity=polarity), scale)


def answers(value: ir.Value | None) -> Ends | None:
    """Bounds of what a spiking node answers that computes `value`; None where no node bounds it."""
    node = None if value is None else value.producer()
    while node is not None and node.domain == "" and node.op_type in _CARRIERS and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None or node.domain != DOMAIN:
        return None
    if node.op_type == MBE_NEURON.name:
        stored = stored_neuron(node)
        return None if stored is None else _answers(*stored)
    if node.op_type == SPIKING_SOFTMAX.name:
        inverse = stored_neuron(node, NeuronRole.RECIPROCAL)
        if inverse is not None:  # e * (1 / sum) is at most sum * (1 / sum)
            return Ends(0.0, float((_MANTISSAS * inverse.neuron(_MANTISSAS)).max()) * _MARGIN)
    return None


def _answers(neuron: MbeNeuron, scale: Float32) -> Ends | None:
    if neuron.sizes is None:
        return None
    terms = neuron.weight.astype(np.float64) * neuron.sizes.steps.sum(axis=0, dtype=np.float64)
    lowest, highest = (float(neuron.bias + part.sum()) for part in (np.minimum(terms, 0), np.maximum(terms, 0)))
    if neuron.polarity:
        lowest, highest = min(lowest, -highest), max(highest, -lowest)
    factors: Sequence[float] = (float(scale.min()), float(scale.max()))
    return Ends(min(lowest * factor for factor in factors), max(highest * factor for factor in factors))
