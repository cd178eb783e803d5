# SPDX-License-Identifier: Apache-2.0
"""Bodies of loops whose tensors calibration can observe: those that have the same shapes in every iteration.

The values of all iterations are stacked. In a loop that appends to a tensor they have different shapes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import onnx_ir as ir

from onnx_snn.data.specs import Feed
from onnx_snn.errors import CalibrationError
from onnx_snn.graph.subgraphs import Place, body_around, graph_of, places
from onnx_snn.rules.rule import name_of
from onnx_snn.rules.site import Site
from onnx_snn.runtime.tap_session import Observer


def changing_shape(model: ir.Model, sites: Iterable[Site], feeds: Iterable[Feed]) -> dict[Site, str]:
    """Reasons to refuse those of `sites` in the body of a Loop whose tensors change their shape on `feeds`.

    Raises:
        ModelError: onnxruntime does not accept the model.
    """
    known, feeds = places(model), list(feeds)
    inside: dict[Place, list[Site]] = defaultdict(list)
    for site in sites:
        place = body_around(graph_of(site.node), known)
        if place is not None:
            inside[place].append(site)
    reasons: dict[Site, str] = {}
    for place, found in inside.items():
        names = sorted({str(value.name) for site in found for value in (*site.inputs, site.output)})
        try:
            observer = Observer(model, names)
            for feed in feeds:
                observer(feed)
        except CalibrationError as error:
            reason = (
                f"lies in the body of the {place.node.op_type} {name_of(place.node)!r}, whose tensors cannot be "
                f"observed, as they are not of the same shape in all iterations: {error}"
            )
            reasons |= dict.fromkeys(found, reason)
    return reasons
