# SPDX-License-Identifier: Apache-2.0
"""A network with a range guard, and what its counts must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
from networks import normal
from numpy.typing import NDArray
from portable import session_of

import onnx_snn
from onnx_snn.evaluation.range_guard import load_unguarded, range_of
from onnx_snn.evaluation.stored_neurons import stored_neuron
from onnx_snn.metadata import IDENTITY, SOURCE_KEY

X = {"x": normal(64, 8)}


def guarded_files(folder: Path) -> dict[str, Path]:
    """A network, and its conversion with and without a guard, in `folder`."""
    paths = {name: folder / f"{name}.onnx" for name in ("original", "plain", "guarded")}
    onnx.save(networks.classifier(), paths["original"])
    for name in ("plain", "guarded"):
        options: dict[str, Any] = {"fast": True, "guard": name == "guarded", "progress": False}
        onnx_snn.convert(paths["original"], paths[name], X, **options)
    return paths


def outputs(path: Path, feeds: dict[str, Any], kernels: bool = True) -> dict[str, NDArray[Any]]:
    """All outputs, that of the guard too."""
    model = onnx.load(path)
    session = session_of(model, kernels=kernels)
    return dict(zip((output.name for output in model.graph.output), session.run(None, feeds), strict=True))


def beyond(path: Path, name: str, argument: NDArray[Any]) -> int:
    """Elements of `argument` at node `name` beyond the range, by the definition in docs/op_spec.md."""
    (node,) = (node for node in load_unguarded(path).graph if node.name == name)
    stored = stored_neuron(node)
    assert stored is not None
    ends = range_of(stored.neuron, node.metadata_props[SOURCE_KEY], is_code=node.metadata_props[SOURCE_KEY] == IDENTITY)
    assert not isinstance(ends, str)
    least, most = (np.float32(end) * stored.scale for end in ends)
    return int(((argument < least) | (argument > most)).sum())
