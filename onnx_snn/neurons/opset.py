# SPDX-License-Identifier: Apache-2.0
"""The spiking op set: names and signatures.

Every spiking node of a converted model is a node of domain `onnx_snn`. The file also has a function of the same name,
which defines the op by standard ONNX ops. A runtime with kernels for the domain runs these; any other one inlines the
function.

    MbeNeuron(x, u_rest, gain, threshold, reset, intensity, weight, bias, scale) -> y [, spikes]
    SpikingSoftmax(x, exp2_*, reciprocal_*) -> y [, exp2_spikes, reciprocal_spikes]
    SpikingLayerNormalization(x, gamma, beta, epsilon, deviation_*, deviation_scale, rsqrt_*) -> y [, ..._spikes]
    SpikingRMSNormalization(x, gamma, epsilon, deviation_*, deviation_scale, rsqrt_*) -> y [, ..._spikes]

and, in version 2 of the domain, each op with a scaled neuron as one that counts the elements beyond a range:

    Guarded<op>(<inputs of the op>, range) -> y, saturated

where `exp2_*` stands for the seven parameter tensors of a neuron. All ops but the softmax have an attribute `polarity`,
that of their neuron with a scale. It is set on every node, since kernels do not see the defaults of functions. All
tensors are float32, spikes int64 [S, N], saturated int64 [1].

`docs/op_spec.md` specifies the ops, `onnx_snn.neurons.function_bodies` has the functions.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import onnx_ir as ir

from onnx_snn.errors import ModelError
from onnx_snn.neurons.roles import NeuronRole

DOMAIN = "onnx_snn"
"""Domain of the spiking ops."""

VERSION = 1
"""Version of the domain that files without a range guard import."""

GUARDED_VERSION = 2
"""Version of the domain that has guarded ops."""

PARAMETERS = ("u_rest", "gain", "threshold", "reset", "intensity", "weight", "bias")
"""Names of the parameter tensors of a neuron, in the order of the op's inputs."""


class Body(enum.Enum):
    """Form of the functions inside a file: a loop over time steps, or closed forms."""

    LOOP = "loop"
    CLOSED = "closed"


class Precision(enum.Enum):
    """Type in which functions add up rows and split mantissas: float64, or float32 for hosts without float64.

    DOUBLE: sums are rounded once to float32, so that all runtimes return the bits of the kernels.
    SINGLE: no tensor is float64. What rounding makes of a sum depends on the order of summation.
    """

    DOUBLE = "double"
    SINGLE = "single"


@dataclass(frozen=True)
class Operator:
    """Signature of a spiking op.

    Attributes:
        name: op type in domain `onnx_snn`.
        leading: input names before the neurons' parameters.
        roles: its neurons, in the order of their inputs.
    """

    name: str
    leading: tuple[str, ...]
    roles: tuple[NeuronRole, ...]

    @property
    def neurons(self) -> tuple[tuple[str, bool], ...]:
        """For each neuron the prefix of its inputs, and whether a scale input follows its parameters."""
        return tuple((role.prefix, role.is_scaled) for role in self.roles)

    @property
    def inputs(self) -> tuple[str, ...]:
        """All input names in order."""
        names = list(self.leading)
        for prefix, scaled in self.neurons:
            names += [prefix + parameter for parameter in PARAMETERS]
            names += [prefix + "scale"] if scaled else []
        return tuple(names)

    @property
    def polarized(self) -> bool:
        """Whether the op has the attribute `polarity`, as it has a scaled neuron; mantissas are never negative."""
        return any(scaled for _, scaled in self.neurons)

    def outputs(self, metered: bool) -> tuple[str, ...]:
        """Output names: the result and, if `metered`, the spike counts of each neuron."""
        return ("y", *(f"{prefix}spikes" for prefix, _ in self.neurons)) if metered else ("y",)


MBE_NEURON = Operator("MbeNeuron", ("x",), (NeuronRole.FUNCTION,))
SPIKING_SOFTMAX = Operator("SpikingSoftmax", ("x",), (NeuronRole.EXP2, NeuronRole.RECIPROCAL))
SPIKING_LAYER_NORMALIZATION = Operator(
    "SpikingLayerNormalization", ("x", "gamma", "beta", "epsilon"), (NeuronRole.DEVIATION, NeuronRole.RSQRT)
)
SPIKING_RMS_NORMALIZATION = Operator(
    "SpikingRMSNormalization", ("x", "gamma", "epsilon"), (NeuronRole.DEVIATION, NeuronRole.RSQRT)
)
OPERATORS = {
    operator.name: operator
    for operator in (MBE_NEURON, SPIKING_SOFTMAX, SPIKING_LAYER_NORMALIZATION, SPIKING_RMS_NORMALIZATION)
}
"""All spiking ops by op type."""

GUARDED = {operator.name: f"Guarded{operator.name}" for operator in OPERATORS.values() if operator.polarized}
"""Op type of the guarded form of each op whose first neuron has a scale, by that of the op."""

SATURATED_ELEMENTS = "SaturatedElements"
"""The function that counts elements beyond a range in the functions of guarded ops; it is no op of the domain."""


def operator_of(node: ir.Node) -> Operator:
    """The operator of a spiking `node`, which has its inputs.

    Raises:
        ModelError: there is no such operator, or it takes another number of inputs.
    """
    operator = OPERATORS.get(node.op_type)
    if operator is None:
        raise ModelError(
            f"node {node.name!r} is of operator {node.op_type!r}, which domain {DOMAIN!r} does not have; was the file "
            "written by a later version?"
        )
    if len(node.inputs) != len(operator.inputs):
        raise ModelError(
            f"node {node.name!r} has {len(node.inputs)} inputs; {operator.name} takes {len(operator.inputs)}"
        )
    return operator
