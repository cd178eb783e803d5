# SPDX-License-Identifier: Apache-2.0
"""Shapes of the values of a network, found by one run for every distinct set of input shapes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_snn.data.specs import Feed
from onnx_snn.graph.shapes import Shape, Shapes
from onnx_snn.graph.subgraphs import graph_of
from onnx_snn.neurons.opset import DOMAIN
from onnx_snn.profiling.spike_outputs import is_count
from onnx_snn.runtime.tap_session import ShapeSession


@dataclass(frozen=True)
class Signature:
    """Shapes of the inputs of a run, in the order of the inputs; they determine the shapes of all other values."""

    inputs: tuple[Shape, ...]

    @classmethod
    def of(cls, feed: Feed) -> Signature:
        """The signature of a run on `feed`."""
        return cls(tuple(array.shape for array in feed.values()))


class ShapeTable:
    """Shapes of some values of a model.

    Args:
        model: the model; it is not changed.
        values: named values of its main graph, or of bodies that always run.
    """

    def __init__(self, model: ir.Model, values: Iterable[ir.Value]) -> None:
        names = list(dict.fromkeys(str(value.name) for value in values))
        self._session = ShapeSession(_without_spikes(model), names)
        self._known: dict[Signature, Shapes] = {}

    def look_up(self, feed: Feed) -> Signature:
        """Find the shapes for the input shapes of `feed`, unless they are known, and return the signature.

        Raises:
            CalibrationError: the run fails.
        """
        signature = Signature.of(feed)
        if signature not in self._known:
            self._known[signature] = self._session(feed)
        return signature

    def learn(self, signature: Signature, shapes: Shapes) -> None:
        """Take `shapes`, which a table of the same values has found, for those of a signature."""
        self._known[signature] = shapes

    def at(self, signature: Signature) -> Shapes:
        """The shapes for a signature that was looked up."""
        return self._known[signature]


def _without_spikes(model: ir.Model) -> ir.Model:
    """A copy of `model` with Identity in place of every spiking node: the same shapes, without the computation."""
    copy = model.clone()
    copy.graph.outputs[:] = [value for value in copy.graph.outputs if not is_count(value)]
    for node in list(copy.graph.all_nodes()):
        if node.domain == DOMAIN:
            passed = ir.node("Identity", [node.inputs[0]], outputs=None)
            graph, name = graph_of(node), node.outputs[0].name
            graph.insert_before(node, passed)
            node.outputs[0].replace_all_uses_with(passed.outputs[0], replace_graph_outputs=True)
            passed.outputs[0].type, passed.outputs[0].shape = node.outputs[0].type, node.outputs[0].shape
            for count in node.outputs[1:]:
                if count.uses():  # in a body, out of which it is lifted
                    none = ir.node("Constant", [], {"value": ir.tensor(np.zeros((1, 1), np.int64))})
                    graph.insert_before(node, none)
                    none.outputs[0].name = f"{count.name}/none"
                    count.replace_all_uses_with(none.outputs[0])
            graph.remove(node, safe=True)
            passed.outputs[0].name = name
    for identifier in [identifier for identifier in copy.functions if identifier[0] == DOMAIN]:
        del copy.functions[identifier]
    return copy
