# SPDX-License-Identifier: Apache-2.0
"""An original network and its spiking one, opened by their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime as ort
from numpy.typing import NDArray

from onnx_snn.data.element_types import widened
from onnx_snn.data.specs import Feed
from onnx_snn.evaluation.saturation import WatchedNetwork
from onnx_snn.runtime.execution import run
from onnx_snn.runtime.session import session, session_options
from onnx_snn.workers.shards import with_threads


@dataclass(frozen=True)
class NetworkFiles:
    """Two networks to compare, and how they are run; arguments of `compare`."""

    original: str | Path
    spiking: str | Path
    kernels: bool
    custom_ops: tuple[str | Path, ...]

    def open(self, threads: int | None = None) -> Pair:
        """Sessions of both, with `threads` threads each; as many as onnxruntime chooses by default."""
        options = session_options(quiet=True, kernels=self.kernels, custom_ops=self.custom_ops)
        if threads is not None:
            with_threads(options, threads)
        network = session(self.original, session_options=options, kernels=self.kernels)
        return Pair(network, WatchedNetwork(self.spiking, options, kernels=self.kernels, custom_ops=self.custom_ops))


class Pair(NamedTuple):
    """Sessions of an original network and of the spiking one."""

    original: ort.InferenceSession
    spiking: WatchedNetwork

    @property
    def sessions(self) -> tuple[ort.InferenceSession, ort.InferenceSession]:
        """Both sessions."""
        return self.original, self.spiking.session

    def run(self, name: str, feed: Feed) -> tuple[NDArray[Any], NDArray[Any]]:
        """Output `name` of both networks for `feed`."""
        expected, got = run(self.original, [name], feed), self.spiking.run([name], feed)
        return widened(expected[name]), widened(got[name])
