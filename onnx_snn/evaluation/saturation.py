# SPDX-License-Identifier: Apache-2.0
"""Elements beyond the ranges of the neurons of a network, counted while it runs on data."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from onnx_snn.data.specs import Feed
from onnx_snn.evaluation.range_guard import Guard, add_element_counts, add_guard, guard_of
from onnx_snn.formatting import share
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model
from onnx_snn.metadata import GUARD_KEY
from onnx_snn.neurons.opset import DOMAIN
from onnx_snn.runtime.execution import run
from onnx_snn.runtime.guarded_session import REMEDY
from onnx_snn.runtime.session import session


@dataclass(frozen=True)
class Saturation:
    """Elements beyond the range of the first neuron of one node, over all data.

    Attributes:
        node: name of the spiking node.
        saturated: number of elements beyond its range.
        elements: number of elements.
    """

    node: str
    saturated: int
    elements: int

    @property
    def share(self) -> float:
        """Fraction of the elements that are beyond the range."""
        return self.saturated / self.elements if self.elements else 0.0


def saturation_warning(nodes: Sequence[Saturation]) -> str:
    """What saturates, and what to do about it, in one sentence; empty where nothing does."""
    saturated = [node for node in nodes if node.saturated]
    if not saturated:
        return ""
    worst = max(saturated, key=lambda node: node.share)
    counts = f"{worst.saturated:,} of {worst.elements:,} elements ({share(worst.saturated, worst.elements)})"
    return (
        f"warning: values at {len(saturated)} of {len(nodes)} nodes saturate, most of all at {worst.node}: {counts} "
        f"are beyond the range that the network was converted for; {REMEDY}"
    )


def summed(parts: Iterable[Sequence[Saturation]]) -> tuple[Saturation, ...]:
    """The counts of each node over several parts of the data, of which those without runs have none."""
    nodes = zip(*(part for part in parts if part), strict=True)
    return tuple(
        Saturation(same[0].node, sum(one.saturated for one in same), sum(one.elements for one in same))
        for same in nodes
    )


class WatchedNetwork:
    """A network whose saturated elements are counted while it runs, in a file with a range guard or without one.

    Args:
        path: .onnx file.
        options: options of its session.
        kernels: use the kernels where they are installed.
        custom_ops: libraries of custom operators that it needs, which the options have already.

    Attributes:
        session: the session; of a network without neurons that can saturate, that of the file itself.
    """

    def __init__(
        self, path: str | Path, options: ort.SessionOptions, *, kernels: bool, custom_ops: Sequence[str | Path] = ()
    ) -> None:
        model = load_model(path, custom_ops)
        self._guard = _guard(model)
        self._counts: dict[str, NDArray[np.int64]] = {}
        if not self._guard.nodes:
            self.session = session(path, session_options=options, kernels=kernels)
            return
        self._elements = add_element_counts(model)
        del model.metadata_props[GUARD_KEY]  # what it counts is looked at here
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "watched.onnx"
            save_model(model, file)
            self.session = session(file, session_options=options, kernels=kernels)

    def run(self, names: Sequence[str], feed: Feed) -> dict[str, NDArray[Any]]:
        """The outputs `names` for `feed`, by name.

        Raises:
            CalibrationError: the run fails.
        """
        counters = [self._guard.output, self._elements] if self._guard.nodes else []
        found = run(self.session, [*names, *counters], feed)
        for counter in counters:
            self._counts[counter] = self._counts.get(counter, np.zeros(1, np.int64)) + found[counter]
        return found

    def reset(self) -> None:
        """Forget the runs so far."""
        self._counts = {}

    def saturation(self) -> tuple[Saturation, ...]:
        """The counts of all guarded nodes over the runs so far."""
        if not self._counts:
            return ()
        saturated, elements = self._counts[self._guard.output], self._counts[self._elements]
        return tuple(map(Saturation, self._guard.nodes, saturated.tolist(), elements.tolist()))


def _guard(model: ir.Model) -> Guard:
    """The guard of a model, which gets one where it has spiking nodes and none."""
    held = guard_of(model)
    if held is not None:
        return held
    return add_guard(model) if any(node.domain == DOMAIN for node in model.graph.all_nodes()) else Guard()
