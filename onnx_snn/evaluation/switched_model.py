# SPDX-License-Identifier: Apache-2.0
"""Switched model: original and spiking network in one session, with a switch for every spiking node.

For each spiking node an `If` runs either this node (on) or the original's nodes that it replaces (off). So any subset
of the nodes can be spiking without another graph, session or copy of the weights. On request, the parameters of the
neurons are inputs of the session too, so that other neurons can be tried in the same session.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from onnx_snn.data.specs import Feed
from onnx_snn.evaluation.graph_cuts import Cut, cut_at, cuts_of
from onnx_snn.evaluation.switched_graph import SpikingNode, SwitchedGraph
from onnx_snn.graph.external_weights import with_mapped_weights
from onnx_snn.runtime.tap_session import (
    Observer,
    OptionsFactory,
    inferred_types,
    quiet_options,
    quiet_options_with_kernels,
)

STARTS = (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16)
"""Element types of tensors at which runs can start: those of NumPy itself."""


class SwitchedModel:
    """Runs a network in which any subset of the spiking nodes is switched on.

    Args:
        original: the original network; it is not changed.
        spiking: the converted network; it is not changed.
        adjustable: whether the parameters of the neurons are inputs of each run.
        kernels: run spiking nodes by the kernels where they are installed.
        cuts: largest number of suffixes.
        cut_for: name of the output that suffixes compute.
        threads: number of threads of its sessions; 0 for what onnxruntime chooses.

    Attributes:
        nodes: the spiking nodes by name, in graph order.
        outputs: names of the original's outputs.
        parameters: names of the inputs for adjustable parameters, by the names of node and parameter ("exp2_u_rest",
            "scale", ...); empty if not `adjustable`.
        suffixes: parts of the network behind one tensor each, which run without the nodes before; those that save most
            come last.

    Raises:
        ModelError: `spiking` has no spiking node, has one that cannot be observed, or was not converted from
            `original`.
    """

    def __init__(
        self,
        original: ir.Model,
        spiking: ir.Model,
        *,
        adjustable: bool = False,
        kernels: bool = True,
        cuts: int = 0,
        cut_for: str = "",
        threads: int = 0,
    ) -> None:
        switched = SwitchedGraph(original, with_mapped_weights(spiking))
        self.nodes = {node.name: node for node in switched.nodes}
        self.outputs = tuple(str(value.name) for value in original.graph.outputs)
        self._switches = switched.switches
        self.parameters = switched.free_parameters() if adjustable else {}
        taps = [name for node in self.nodes.values() for name in (node.output, node.original)]
        options = partial(_options, kernels, threads)
        found = cuts_of(switched.model.graph, [cut_for], cuts) if cuts else []
        self._names = list(dict.fromkeys([*self.outputs, *taps, *(cut.tensor for cut in found)]))
        self._observer = Observer(switched.model, self._names, session_options=options)
        types = inferred_types(switched.model, [cut.tensor for cut in found]) if found else {}
        self.suffixes = [
            Suffix(switched.model, cut, types[cut.tensor][0], self.nodes, self._switches, cut_for, options)
            for cut in found
            if cut.tensor in types and types[cut.tensor][0] in STARTS
        ]

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
        switches = _positions(self._switches, on)
        given = {self.parameters[key]: array for key, array in (parameters or {}).items()}
        return self._observer({**feed, **switches, **given}, names)


class Suffix:
    """The part of a switched model behind one tensor.

    Args:
        model: the switched model; it is not changed.
        cut: the tensor at which runs start.
        dtype: its element type.
        nodes: the spiking nodes of the switched model, by name.
        switches: names of their switches.
        output: name of the output that it computes.
        session_options: makes the session's options.

    Attributes:
        start: name of the tensor at which runs start.
        nodes: names of the spiking nodes that the tensor does not depend on.
    """

    def __init__(
        self,
        model: ir.Model,
        cut: Cut,
        dtype: ir.DataType,
        nodes: Mapping[str, SpikingNode],
        switches: Mapping[str, str],
        output: str,
        session_options: OptionsFactory,
    ) -> None:
        self.start = cut.tensor
        behind = [node for node in nodes.values() if node.anchor not in cut.before]
        self.nodes = {node.name for node in behind}
        self._switches = switches
        part = with_mapped_weights(model)
        names = list(dict.fromkeys([output, *(node.output for node in behind)]))
        # Outputs of nodes in branches and bodies are computed with the node of the main graph around them.
        ends = list(dict.fromkeys([output, *(node.anchor for node in behind)]))
        self._input = cut_at(part, cut.tensor, dtype, ends)
        self._observer = Observer(part, names, session_options=session_options)

    def __call__(
        self, feed: Feed, start: NDArray[Any], on: Collection[str], names: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Run with some of the spiking nodes switched on.

        Args:
            feed: inputs of the network.
            start: value of the tensor at which the run starts.
            on: names of the spiking nodes that are switched on.
            names: names of the tensors to return: the output, or outputs of the spiking nodes `nodes`.

        Raises:
            CalibrationError: the run fails.
        """
        return self._observer({**feed, **_positions(self._switches, on), self._input: start}, names)


def _options(kernels: bool, threads: int) -> ort.SessionOptions:
    options = quiet_options_with_kernels() if kernels else quiet_options()
    options.intra_op_num_threads = threads
    return options


def _positions(switches: Mapping[str, str], on: Collection[str]) -> dict[str, NDArray[Any]]:
    """Values of the switches of all spiking nodes, of which those named `on` are switched on."""
    return {switch: np.asarray(name in on) for name, switch in switches.items()}
