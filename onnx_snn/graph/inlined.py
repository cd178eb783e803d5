# SPDX-License-Identifier: Apache-2.0
"""Converted models whose spiking nodes are written as standard operators, so that no node is spiking any more."""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.errors import ModelError
from onnx_snn.metadata import INLINED_KEY


def is_inlined(model: ir.Model) -> bool:
    """Whether the spiking nodes of `model` are written as standard operators."""
    return INLINED_KEY in model.metadata_props


def refuse_inlined(model: ir.Model, name: str) -> None:
    """Refuse an inlined `model`, called `name`, where its spiking nodes are needed.

    Raises:
        ModelError: it is inlined.
    """
    if is_inlined(model):
        raise ModelError(
            f"{name}: its spiking nodes are written as standard operators (convert --inline), so that their spikes "
            "cannot be told apart; give the file of the same options without --inline"
        )
