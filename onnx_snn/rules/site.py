# SPDX-License-Identifier: Apache-2.0
"""Sites: the places in a network that can be made spiking, with a class for each kind.

A function, a softmax or a normalization is replaced by one spiking node. The node of a matmul stays, and its activation
operands pass through identity neurons.
"""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import onnx_ir as ir

from onnx_snn.graph.quantization_grid import Grid
from onnx_snn.neurons.roles import OPERANDS, NeuronRole


class Kind(enum.Enum):
    """The computation of a site; the value is its name in JSON reports."""

    FUNCTION = "function"
    SOFTMAX = "softmax"
    LAYER_NORM = "layer_norm"
    RMS_NORM = "rms_norm"
    PRODUCT = "product"
    SYNAPSE = "synapse"

    @property
    def label(self) -> str:
        """The computation in words, for readers of text reports."""
        return {Kind.PRODUCT: "activation matmul", Kind.SYNAPSE: "weight matmul"}.get(self, self.value)


@dataclass(frozen=True, eq=False, kw_only=True)
class Site:
    """A subgraph that can be made spiking.

    Attributes:
        kind: its computation.
        roles: roles of its neurons, in the order of their inputs at the node.
        name: name of the last node, or of its output where the node has none.
        nodes: its nodes, producers first. A spiking node replaces them; the node of a matmul stays.
        inputs: its activation inputs: two for an activation matmul, else one.
        output: its output.
        rule: name of the rule that found it.
    """

    kind: ClassVar[Kind]
    roles: ClassVar[tuple[NeuronRole, ...]]
    name: str
    nodes: tuple[ir.Node, ...]
    inputs: tuple[ir.Value, ...]
    output: ir.Value
    rule: str

    @property
    def node(self) -> ir.Node:
        """The last node, which computes the output."""
        return self.nodes[-1]

    @property
    def function_name(self) -> str:
        """Name of the scalar function in the function registry; empty for other sites."""
        return ""


@dataclass(frozen=True, eq=False, kw_only=True)
class FunctionSite(Site):
    """A scalar function of an activation.

    Attributes:
        function: name in the function registry, such as "gelu" or "leaky_relu(0.01)".
    """

    kind = Kind.FUNCTION
    roles = (NeuronRole.FUNCTION,)
    function: str

    @property
    def function_name(self) -> str:
        """Name in the function registry."""
        return self.function


@dataclass(frozen=True, eq=False, kw_only=True)
class SoftmaxSite(Site):
    """A softmax.

    Attributes:
        axis: the normalized axis, counted from the end where the rank is known.
    """

    kind = Kind.SOFTMAX
    roles = (NeuronRole.EXP2, NeuronRole.RECIPROCAL)
    axis: int


@dataclass(frozen=True, eq=False, kw_only=True)
class NormSite(Site):
    """A normalization.

    Attributes:
        axes: the normalized axes, from the end, in ascending order.
        epsilon: number added to the mean square.
        gamma: factor of the result; None for 1.
    """

    roles = (NeuronRole.DEVIATION, NeuronRole.RSQRT)
    axes: tuple[int, ...]
    epsilon: float
    gamma: ir.Value | None


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerNormSite(NormSite):
    """A normalization by mean and variance.

    Attributes:
        beta: summand of the result; None for 0.
    """

    kind = Kind.LAYER_NORM
    beta: ir.Value | None


@dataclass(frozen=True, eq=False, kw_only=True)
class RmsNormSite(NormSite):
    """A normalization by the mean square."""

    kind = Kind.RMS_NORM


class Reader(NamedTuple):
    """A node input that reads the code of an operand.

    Attributes:
        node: the node.
        input_index: index of the input.
    """

    node: ir.Node
    input_index: int


@dataclass(frozen=True, eq=False, kw_only=True)
class MatmulSite(Site, abc.ABC):
    """A matmul or convolution: its node stays, and its activation operands are coded."""

    @property
    @abc.abstractmethod
    def readers(self) -> tuple[Reader, ...]:
        """The node input that reads each operand's code, in the order of the roles."""


@dataclass(frozen=True)
class Operand:
    """An operand of a matmul of two activations.

    Attributes:
        reader: the node input that reads its code: of the matmul, or of the first node of a repetition (see
            `onnx_snn.rules.repetition`).
        contraction_axis: the axis of the operand that the matmul sums over: from the start for a convolution, else from
            the end; None where it is not a single one.
        is_probability: whether its elements are outputs of a softmax, in [0, 1].
        grid: the grid on which its elements lie, where it is quantized.
    """

    reader: Reader
    contraction_axis: int | None
    is_probability: bool
    grid: Grid | None


@dataclass(frozen=True, eq=False, kw_only=True)
class ActivationMatmulSite(MatmulSite):
    """A matmul, a convolution or an elementwise product of two activations.

    Attributes:
        operands: the two operands, in the order of the inputs.
    """

    kind = Kind.PRODUCT
    roles = OPERANDS
    operands: tuple[Operand, Operand]

    @property
    def readers(self) -> tuple[Reader, ...]:
        """The node input that reads the code of each operand."""
        return tuple(operand.reader for operand in self.operands)


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightMatmulSite(MatmulSite):
    """A matmul or convolution of an activation with weights.

    Attributes:
        operand: index of the activation among the inputs of the node.
        contraction_axis: the axis of the activation that is summed over: 1 for a convolution, else counted from the
            end; None where it is not a single one.
        contraction_is_fixed: whether the weights are a constant, so that this axis has one size.
        grid: the grid on which the elements of the activation lie, where it is quantized.
    """

    kind = Kind.SYNAPSE
    roles = OPERANDS[:1]
    operand: int
    contraction_axis: int | None
    contraction_is_fixed: bool
    grid: Grid | None

    @property
    def readers(self) -> tuple[Reader, ...]:
        """The node input that reads the code of the activation."""
        return (Reader(self.node, self.operand),)
