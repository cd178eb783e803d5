# SPDX-License-Identifier: Apache-2.0
"""The arguments of all neurons of a spiking node, from its input: those within a softmax or a normalization too."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import ArrayLike

from onnx_snn.arrays import Float32
from onnx_snn.neurons.composite import spiking_layer_normalization, spiking_rms_normalization, spiking_softmax
from onnx_snn.neurons.mbe import UNSCALED, MbeNeuron
from onnx_snn.neurons.opset import MBE_NEURON, SPIKING_LAYER_NORMALIZATION, SPIKING_SOFTMAX
from onnx_snn.neurons.roles import NeuronRole


def arguments_of(
    node: ir.Node, neurons: dict[NeuronRole, MbeNeuron], x: Float32, scale: ArrayLike, epsilon: float = 0.0
) -> dict[NeuronRole, Float32]:
    """The arguments of each neuron of a spiking node for an input, by the NumPy reference of its operator.

    Args:
        node: a node of one of the plain spiking ops.
        neurons: its neurons by role.
        x: its input, float32 [..., n].
        scale: channel scale of its scaled neuron, broadcastable against `x`.
        epsilon: summand of the variance of a normalization.

    Returns:
        Float32 in the shape of `x`, divided by the scale; of a neuron that sees rows, [..., 1].
    """
    recorders = {role: _Recorder(neuron) for role, neuron in neurons.items()}
    called = list(recorders.values())
    if node.op_type == MBE_NEURON.name:
        called[0](x, scale)
    elif node.op_type == SPIKING_SOFTMAX.name:
        spiking_softmax(x, *called)
    else:
        # gamma and beta are applied after the neurons and do not change their arguments.
        deviation, rsqrt = called
        if node.op_type == SPIKING_LAYER_NORMALIZATION.name:
            spiking_layer_normalization(x, 1.0, 0.0, epsilon, deviation, rsqrt, scale)
        else:
            spiking_rms_normalization(x, 1.0, epsilon, deviation, rsqrt, scale)
    return {role: recorder.arguments for role, recorder in recorders.items()}


class _Recorder:
    """A neuron that records the arguments of its last call.

    Attributes:
        arguments: the arguments divided by the scale, float32.
    """

    def __init__(self, neuron: MbeNeuron) -> None:
        self._neuron = neuron
        self.arguments: Float32 = np.zeros(0, np.float32)

    def __call__(self, x: ArrayLike, scale: ArrayLike = UNSCALED) -> Float32:
        x = np.asarray(x, np.float32)
        with np.errstate(all="ignore"):
            self.arguments = np.divide(x, scale, dtype=np.float32).reshape(x.shape)
        return self._neuron(x, scale)
