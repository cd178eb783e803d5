# SPDX-License-Identifier: Apache-2.0
"""What recognition finds: a site for each place where a spiking operator can stand, of a class for each kind of place.

A function, a softmax or a normalization is replaced by one spiking node. The node of a matrix product stays, and those
of its operands that are activations are coded on their way into it.
"""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import onnx_ir as ir

from onnx_snn.neurons.roles import OPERANDS, NeuronRole


class Kind(enum.Enum):
    """What a site computes; the value is its name in reports."""

    FUNCTION = "function"
    SOFTMAX = "softmax"
    LAYER_NORM = "layer_norm"
    RMS_NORM = "rms_norm"
    PRODUCT = "product"
    SYNAPSE = "synapse"


@dataclass(frozen=True, eq=False, kw_only=True)
class Site:
    """One place where a spiking operator can stand.

    Attributes:
        kind: what is computed here.
        roles: its neurons, in the order of the inputs that their parameters or their codes are.
        name: of the last node, or of the output where the node has none.
        nodes: in graph order: what a spiking operator replaces; of a matrix product the native node, which stays.
        inputs: the activations that go in: two for a product of activations, else one.
        output: the value that comes out.
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
        """The last node, which gives the output."""
        return self.nodes[-1]

    @property
    def function_name(self) -> str:
        """Name in the function registry of what is computed; empty for what is no scalar function."""
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
        axis: the axis that sums to 1, from the end where the rank is known.
    """

    kind = Kind.SOFTMAX
    roles = (NeuronRole.EXP2, NeuronRole.RECIPROCAL)
    axis: int


@dataclass(frozen=True, eq=False, kw_only=True)
class NormSite(Site):
    """A normalization.

    Attributes:
        axis: the first axis that is normalized, from the end where the rank is known; so are all after it.
        epsilon: what is added to the mean square.
        gamma: what the result is multiplied by; None for 1.
    """

    roles = (NeuronRole.DEVIATION, NeuronRole.RSQRT)
    axis: int
    epsilon: float
    gamma: ir.Value | None


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerNormSite(NormSite):
    """A normalization by mean and variance.

    Attributes:
        beta: what is added at the end; None for 0.
    """

    kind = Kind.LAYER_NORM
    beta: ir.Value | None


@dataclass(frozen=True, eq=False, kw_only=True)
class RmsNormSite(NormSite):
    """A normalization by the mean square."""

    kind = Kind.RMS_NORM


class Reader(NamedTuple):
    """The input `place` of `node` that the code of an operand becomes."""

    node: ir.Node
    place: int


@dataclass(frozen=True, eq=False, kw_only=True)
class MatmulSite(Site, abc.ABC):
    """A matrix product, whose node stays and whose activations are coded."""

    @property
    @abc.abstractmethod
    def readers(self) -> tuple[Reader, ...]:
        """The input that the code of each activation becomes, in the order of the roles."""


@dataclass(frozen=True)
class Operand:
    """One operand of a product of two activations.

    Attributes:
        reader: the input that its code becomes: of the product, or of the node that begins its repetition (see
            `onnx_snn.rules.repetition`).
        contraction_axis: the axis of it that is summed over, from the end; None where there is no single one.
        is_probability: whether it comes from a softmax and lies in [0, 1].
    """

    reader: Reader
    contraction_axis: int | None
    is_probability: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class ActivationMatmulSite(MatmulSite):
    """A product of two activations: of matrices, or element by element.

    Attributes:
        operands: the two, in the order of the inputs.
    """

    kind = Kind.PRODUCT
    roles = OPERANDS
    operands: tuple[Operand, Operand]

    @property
    def readers(self) -> tuple[Reader, ...]:
        """The input that the code of each operand becomes."""
        return tuple(operand.reader for operand in self.operands)


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightMatmulSite(MatmulSite):
    """A product of an activation with weights: of matrices, or a convolution.

    Attributes:
        operand: index of the activation among the node's inputs.
        contraction_axis: the axis of the activation that the weights sum over: 1 for a convolution, else from the end;
            None where there is no single one.
        contraction_is_fixed: whether the weights are a constant, so that this axis has one size.
    """

    kind = Kind.SYNAPSE
    roles = OPERANDS[:1]
    operand: int
    contraction_axis: int | None
    contraction_is_fixed: bool

    @property
    def readers(self) -> tuple[Reader, ...]:
        """The input that the code of the activation becomes."""
        return (Reader(self.node, self.operand),)
