# SPDX-License-Identifier: Apache-2.0
"""Sessions that warn once when values saturate, where the file has a range guard (`convert --guard`)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from onnx_snn.errors import SaturationWarning
from onnx_snn.json_files import parse_object
from onnx_snn.metadata import GUARD_KEY

REMEDY = "calibrate on data like these, or convert with a larger --headroom"
"""What to do where elements lie beyond the range of a neuron."""


class GuardOutput(NamedTuple):
    """The output of a file that counts saturated elements.

    Attributes:
        name: name of the output int64 [nodes].
        nodes: name of the node of each of its elements.
    """

    name: str
    nodes: tuple[str, ...]

    def warning(self, counts: NDArray[np.int64]) -> str:
        """What saturates in a run with these counts, in one line; empty where nothing does."""
        if not counts.any():
            return ""
        worst = int(counts.argmax())
        others = int(np.count_nonzero(counts)) - 1
        more = f", and others at {others} more node{'s' if others > 1 else ''}" if others else ""
        return (
            f"values are beyond the range that the network was converted for, and saturate: {int(counts[worst]):,} at "
            f"node {self.nodes[worst]!r}{more}; {REMEDY}"
        )


class GuardedSession(ort.InferenceSession):  # type: ignore[misc]  # onnxruntime declares no types
    """An ordinary session, which watches the guard of its file where it has one.

    `run` and `run_with_ort_values` also compute the guard's output until it first shows saturated elements, of which
    they warn once (`SaturationWarning`). They return that output only where it is asked for by name; `get_outputs` does
    not list it. Runs with I/O binding compute what is bound to them, and are not watched;
    who binds can bind the output of `guard` as well.
    """

    def __init__(self, path: str | Path, *arguments: Any, **options: Any) -> None:
        super().__init__(path, *arguments, **options)
        self._guard = _guard_of(self.get_modelmeta().custom_metadata_map, super().get_outputs())
        self._own = tuple(output.name for output in self.get_outputs())
        self._warned = False

    @property
    def guard(self) -> GuardOutput | None:
        """The guard of the file; None where it has none."""
        return self._guard

    def get_outputs(self) -> list[ort.NodeArg]:
        """The outputs without that of the guard."""
        listed: list[ort.NodeArg] = super().get_outputs()
        return [output for output in listed if self._guard is None or output.name != self._guard.name]

    def run(
        self, output_names: Sequence[str] | None, input_feed: Any, run_options: ort.RunOptions | None = None
    ) -> list[Any]:
        """The outputs called `output_names`, or all but that of the guard, as of onnxruntime's session."""
        if self._guard is None:
            return list(super().run(output_names, input_feed, run_options))
        names, watched = self._names(output_names)
        found = super().run(watched, input_feed, run_options)
        self._look_at(dict(zip(watched, found, strict=True)).get(self._guard.name))
        return list(found[: len(names)])

    def run_with_ort_values(
        self, output_names: Sequence[str] | None, input_dict_ort_values: Any, run_options: ort.RunOptions | None = None
    ) -> list[Any]:
        """The same with tensors of onnxruntime."""
        if self._guard is None:
            return list(super().run_with_ort_values(output_names, input_dict_ort_values, run_options))
        names, watched = self._names(output_names)
        found = super().run_with_ort_values(watched, input_dict_ort_values, run_options)
        counts = dict(zip(watched, found, strict=True)).get(self._guard.name)
        self._look_at(None if counts is None else counts.numpy())
        return list(found[: len(names)])

    def _names(self, asked: Sequence[str] | None) -> tuple[list[str], list[str]]:
        """Names of the outputs that are asked for, and of those to compute: the guard's as well until it has warned."""
        assert self._guard is not None, "callers check it"
        names = list(asked) if asked else list(self._own)
        return names, names if self._warned or self._guard.name in names else [*names, self._guard.name]

    def _look_at(self, counts: NDArray[np.int64] | None) -> None:
        warning = "" if self._guard is None or counts is None or self._warned else self._guard.warning(counts)
        if warning:
            self._warned = True
            warnings.warn(warning, SaturationWarning, stacklevel=3)


def _guard_of(metadata: Mapping[str, str], outputs: Sequence[ort.NodeArg]) -> GuardOutput | None:
    """The guard in the metadata of a model; None where it has none, or one that its outputs do not fit."""
    try:
        values = parse_object(metadata.get(GUARD_KEY, ""))
        guard = GuardOutput(str(values["output"]), tuple(map(str, values["nodes"])))
    except (ValueError, KeyError, TypeError):
        return None
    shapes = {output.name: output.shape for output in outputs if output.type == "tensor(int64)"}
    return guard if shapes.get(guard.name) == [len(guard.nodes)] else None
