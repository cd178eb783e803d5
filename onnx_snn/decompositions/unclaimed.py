# SPDX-License-Identifier: Apache-2.0
"""Recognition of a model whose nodes are decomposed where no rule claims them."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from onnx_snn.decompositions.decomposer import Decomposed, decompose_unclaimed
from onnx_snn.decompositions.registry import UNCLAIMED
from onnx_snn.rules import Recognition, recognise
from onnx_snn.rules.rule import name_of


def recognise_decomposed(model: ir.Model, decomposed: Decomposed, intact: Collection[str] = ()) -> Recognition:
    """The sites of `model`, after the decomposition of what no rule claims except the nodes named in `intact`.

    Args:
        model: the model, changed in place.
        decomposed: what was decomposed before; the nodes that are decomposed here are added.
        intact: names of nodes to leave in one piece.
    """
    while True:
        recognition = recognise(model)
        unclaimed = {
            node
            for node, _ in recognition.unmatched
            if (node.domain, node.op_type) in UNCLAIMED
            and name_of(node) not in intact
            and node not in decomposed.undecomposed
        }
        if not unclaimed:
            return recognition
        further = decompose_unclaimed(model, unclaimed)
        decomposed.origins |= further.origins
        decomposed.undecomposed |= further.undecomposed
