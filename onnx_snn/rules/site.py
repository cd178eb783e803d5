# SPDX-License-Identifier: Apache-2.0
"""What recognition finds: one `Site` for each place where a spiking operator can stand."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir


class Kind(enum.Enum):
    """What a site computes, hence which operator can replace it or feed it."""

    FUNCTION = "function"
    SOFTMAX = "softmax"
    LAYER_NORM = "layer_norm"
    RMS_NORM = "rms_norm"
    PRODUCT = "product"
    SYNAPSE = "synapse"


@dataclass(frozen=True, eq=False)
class Site:
    """One place where a spiking operator can stand.

    Attributes:
        kind: What is computed here.
        name: Name of the last node, or of the output where the node has none.
        nodes: In graph order: what a spiking operator replaces; for a product or synapse the native node,
            which stays.
        inputs: The activations that go in: two for a product, else one.
        output: The value that comes out.
        function: Name in the function registry, such as "gelu" or "leaky_relu(0.01)"; None for other kinds.
        parameters: By kind.
            softmax: `axis`.
            norms: `axis` (normalised from there to the last), `epsilon`, `gamma` and `beta` (values or
                None).
            product: `probabilities`, for each operand whether it comes from a softmax and lies in [0, 1];
                `contraction_axes`, for each operand the axis summed over, from the end, or None where there
                is no single one; `readers`, for each operand the node that reads its code, the product or
                one that repeats it, and the index of that node's input.
            synapse: `operand`, index of the activation among the node's inputs; `contraction_axis`, the
                axis of the activation that the weights sum over: 1 for a convolution, else from the end,
                or None where there is no single one; `contraction_is_fixed`, whether the weights are a
                constant, so that this axis has one size.
        rule: Name of the rule that found it.
    """

    kind: Kind
    name: str
    nodes: tuple[ir.Node, ...]
    inputs: tuple[ir.Value, ...]
    output: ir.Value
    rule: str
    function: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
