# SPDX-License-Identifier: Apache-2.0
"""The classes of the nodes of a network: each node is in exactly one."""

from __future__ import annotations

import enum


class NodeClass(enum.Enum):
    """What becomes of a node; the value is its name in JSON reports.

    CONVERTED: part of a site that spikes.
    KEPT: part of a site that the user's options leave as it is.
    LINEAR: linear in activations, or moves and selects them by position. It needs no neuron.
    EXACT: compares and selects activations, which is exact without a neuron.
    STEERING: computes no activation: shapes, masks, positions, indices, constants.
    REFUSED: nonlinear, or on integers that stand for activations, and not converted, for a reason in the report.
    """

    CONVERTED = "converted"
    KEPT = "kept"
    LINEAR = "linear"
    EXACT = "exact"
    STEERING = "steering"
    REFUSED = "refused"

    @property
    def label(self) -> str:
        """The class in words, for readers of text reports."""
        return _LABELS[self]


_LABELS = {
    NodeClass.CONVERTED: "converted",
    NodeClass.KEPT: "kept as chosen",
    NodeClass.LINEAR: "linear or movement",
    NodeClass.EXACT: "kept, exact",
    NodeClass.STEERING: "no activation",
    NodeClass.REFUSED: "refused",
}
