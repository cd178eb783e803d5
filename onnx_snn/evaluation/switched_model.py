# SPDX-License-Identifier: Apache-2.0
"""Switched model: original and spiking network in one session, with a switch for every spiking node.

For each spiking node an `If` runs either this node (on) or the original's nodes that it replaces (off). So any subset
of the nodes can be spiking without another graph, session or copy of the weights. On request, the parameters of the
neurons are inputs of the session too, so that other neurons can be tried in the same session.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.data.specs import Feed
from onnx_snn.evaluation.switched_graph import SwitchedGraph
from onnx_snn.graph.external_weights import with_mapped_weights
from onnx_snn.runtime.tap_session import Observer, quiet_options, quiet_options_with_kernels


class SwitchedModel:
    """Runs a network in which any subset of the spiking nodes is switched on.

    Args:
        original: the original network; it is not changed.
        spiking: the converted network; it is not changed.
        adjustable: whether the parameters of the neurons are inputs of each run.
        kernels: run spiking nodes by the kernels where they are installed.

    Attributes:
        nodes: the spiking nodes by name, in graph order.
        outputs: names of the original's outputs.
        parameters: names of the inputs for adjustable parameters, by the names of node and parameter ("exp2_u_rest",
            "scale", ...); empty if not `adjustable`.

    Raises:
        ModelError: `spiking` has no spiking node, has one in a branch, or was not converted from `original`.
    """

    def __init__(
        self, original: ir.Model, spiking: ir.Model, *, adjustable: bool = False, kernels: bool = True
    ) -> None:
        switched = SwitchedGraph(original, with_mapped_weights(spiking))
        self.nodes = {node.name: node for node in switched.nodes}
        self.outputs = tuple(str(value.name) for value in original.graph.outputs)
        self._switches = switched.switches
        self.parameters = switched.free_parameters() if adjustable else {}
        taps = [name for node in self.nodes.values() for name in (node.output, node.original)]
        options = quiet_options_with_kernels if kernels else quiet_options
        self._names = list(dict.fromkeys([*self.outputs, *taps]))
        self._observer = Observer(switched.model, self._names, session_options=options)

    def __call__(
        self,
        feed: Feed,
        on: Collection[str],
        names: Sequence[str],
        parameters: Mapping[tuple[str, str], NDArray[np.float32]] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Run the network with some of its spiking nodes switched on.

        Args:
            feed: inputs of the network.
            on: names of the spiking nodes that are switched on.
            names: names of the tensors to return: outputs of the network, or outputs and originals of spiking nodes.
            parameters: values of all `self.parameters`, if they are adjustable.

        Returns:
            The tensors by name.

        Raises:
            CalibrationError: the run fails.
        """
        switches = {switch: np.asarray(name in on) for name, switch in self._switches.items()}
        given = {self.parameters[key]: array for key, array in (parameters or {}).items()}
        return self._observer({**feed, **switches, **given}, names)
