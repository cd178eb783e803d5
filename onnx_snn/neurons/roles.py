# SPDX-License-Identifier: Apache-2.0
"""The roles of the neurons of a converted node.

function               a scalar function, such as GELU
exp2, reciprocal       2^x and 1/x inside a softmax
deviation, rsqrt       x - mean(x) and 1/sqrt(x) inside a normalization
operand 0, operand 1   an activation operand of a matmul
"""

from __future__ import annotations

import enum


class NeuronRole(enum.Enum):
    """The purpose of a neuron of a converted node; the value is its name in reports and configurations."""

    FUNCTION = "function"
    EXP2 = "exp2"
    RECIPROCAL = "reciprocal"
    DEVIATION = "deviation"
    RSQRT = "rsqrt"
    OPERAND_0 = "operand 0"
    OPERAND_1 = "operand 1"

    @property
    def operand(self) -> int | None:
        """Index of the operand that it codes among the activation operands; None for other neurons."""
        return {NeuronRole.OPERAND_0: 0, NeuronRole.OPERAND_1: 1}.get(self)

    @property
    def is_code(self) -> bool:
        """Whether it is an identity code, whose output approximates its input."""
        return self is NeuronRole.DEVIATION or self.operand is not None

    @property
    def is_primitive(self) -> bool:
        """Whether it computes 2^x, 1/x or 1/sqrt(x) of a mantissa, so that its range is known without calibration."""
        return self in (NeuronRole.EXP2, NeuronRole.RECIPROCAL, NeuronRole.RSQRT)

    @property
    def is_scaled(self) -> bool:
        """Whether its op has a channel scale for it; mantissas need none."""
        return not self.is_primitive

    @property
    def sees_rows(self) -> bool:
        """Whether it takes one value for each row of a softmax or normalization; other neurons take every element."""
        return self in (NeuronRole.RECIPROCAL, NeuronRole.RSQRT)

    @property
    def prefix(self) -> str:
        """Prefix of the names of its parameters among the inputs of its spiking op."""
        return "" if self is NeuronRole.FUNCTION or self.operand is not None else f"{self.value}_"

    def within(self, node: str) -> str:
        """Full name of a neuron with this role: that of its `node`, followed by its own where the node has several."""
        return node if self is NeuronRole.FUNCTION else f"{node} {self.value}"

    @property
    def group(self) -> str:
        """Its name without the number of the operand, by which statistics of several neurons are grouped."""
        return self.value if self.operand is None else "operand"


OPERANDS = (NeuronRole.OPERAND_0, NeuronRole.OPERAND_1)
"""Roles of the codes of the operands of a matmul, in their order."""
