# SPDX-License-Identifier: Apache-2.0
"""Switched model: original and spiking network in one session, with a switch for every spiking node.

Each spiking node lies in an `If` beside the nodes of the original that it stands for: off, they run; on, it does. So a
network with any choice of spiking nodes runs without another graph, another session or another copy of the weights.
Where asked, the parameters of the neurons are inputs of the session too, and other neurons can be tried in the same
way.
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
    """Runs a network with any choice of its spiking nodes.

    Args:
        original: the original network; left as it is.
        spiking: the same, converted; left as it is.
        adjustable: whether the parameters of the neurons are given with each run.
        kernels: run spiking nodes by the kernels where they are installed.

    Attributes:
        nodes: the spiking nodes by name, in graph order.
        outputs: names of the original's outputs.
        parameters: the adjustable parameters by node and name ("exp2_u_rest", "scale", ...), with the names of the
            inputs that they are given by.

    Raises:
        ModelError: `spiking` holds no spiking node, holds one in a branch, or was not converted from `original`.
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
        """The tensors `names` (outputs of the network or of spiking nodes) for `feed`, the nodes `on` spiking.

        Args:
            feed: inputs of the network.
            on: names of spiking nodes.
            names: tensors to return.
            parameters: all of `self.parameters`, where they are adjustable.

        Raises:
            CalibrationError: the run fails.
        """
        switches = {switch: np.asarray(name in on) for name, switch in self._switches.items()}
        given = {self.parameters[key]: array for key, array in (parameters or {}).items()}
        return self._observer({**feed, **switches, **given}, names)
