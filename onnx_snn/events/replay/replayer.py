# SPDX-License-Identifier: Apache-2.0
"""Replay of a converted network on data: every product once more, by spikes and accumulations alone.

The network runs with its inner tensors as outputs. From the arguments of its codes follow the spikes, time step by time
step; from the spikes follow the products (`onnx_snn.events.replay.accumulation`), in float64 and without a product of
onnxruntime. They are held against the products of the decoded operands, against the results in the run, and against
the counts of `profile`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir
from tqdm import tqdm

from onnx_snn.data.data_files import with_model_folder
from onnx_snn.data.feeds import Source, open_feeds
from onnx_snn.data.specs import Feed, input_specs, sample_count
from onnx_snn.errors import ModelError
from onnx_snn.evaluation.range_guard import load_unguarded
from onnx_snn.events.coded_operands import builder_of
from onnx_snn.events.replay.products import Outcome, ReplayableProduct
from onnx_snn.events.replay.report import NAMED, Replay, replay_of, why_left
from onnx_snn.graph.inlined import refuse_inlined
from onnx_snn.graph.model_reader import ModelSource
from onnx_snn.profiling.counters import Counters
from onnx_snn.rules.rule import name_of
from onnx_snn.runtime.finite_outputs import JudgeOfModel
from onnx_snn.runtime.tap_session import Observer, quiet_options, quiet_options_with_kernels

DEFAULT_SAMPLES = 16
"""Number of samples that are replayed by default: enough for every basis of most codes to fire."""


def replay(
    model: ModelSource,
    data: Source,
    *,
    samples: int | None = DEFAULT_SAMPLES,
    batch_size: int = 1,
    progress: bool = True,
    kernels: bool = True,
    custom_ops: Sequence[str | Path] = (),
) -> Replay:
    """Run a converted network on `data` and make every product with a coded operand once more, spike by spike.

    Args:
        model: path of a converted .onnx file, `ModelProto` or `onnx_ir.Model`; it is not changed.
        data: inputs, in any form that `onnx_snn.convert` takes for calibration.
        samples: use at most this many samples; None for all.
        batch_size: samples in one run.
        progress: show a progress bar on a terminal.
        kernels: use the kernels for the run that is replayed, where they are installed.
        custom_ops: libraries of custom operators that the network needs.

    Raises:
        ModelError: the model cannot be loaded, or has no product with a coded operand in its main graph.
        LibraryError: onnxruntime cannot load the library with the kernels, or one of `custom_ops`.
        CalibrationError: the data does not fit the model, or the model fails on it.
    """
    network = load_unguarded(model, custom_ops)
    name = str(model) if isinstance(model, (str, Path)) else type(model).__name__
    refuse_inlined(network, name)
    source, judge = with_model_folder(data, model), JudgeOfModel(network)
    feeds = open_feeds(source, input_specs(network), batch_size=batch_size, max_samples=samples, judge=judge)
    replayer = _Replayer(network, name, kernels=kernels)
    for feed in tqdm(feeds, "replay", total=feeds.batches, disable=None if progress else True, unit="batch"):
        replayer.add(feed)
    return replayer.replay(name)


class _Replayer:
    """A network that is replayed run by run."""

    def __init__(self, network: ir.Model, name: str, *, kernels: bool) -> None:
        observed = network.clone()
        builder = builder_of(observed)
        found = (ReplayableProduct.of(node, builder) for node in list(observed.graph))
        self._products = [product for product in found if product is not None]
        self._graph = observed.graph
        names = list(dict.fromkeys(name for product in self._products for name in product.observed))
        self._counters = Counters(observed)
        if not self._products:
            raise ModelError(f"{name}: {self._why_none()}")
        names = [*names, *self._counters.outputs]
        options = quiet_options_with_kernels if kernels else quiet_options
        self._observer = Observer(observed, names, session_options=options)
        self._outcomes: dict[str, Outcome] = {}
        self._samples = 0

    def _why_none(self) -> str:
        """Why the network has no product that is replayed."""
        left = [f"{each.node} ({why_left(each, self._graph)})" for each in self._counters.products() if each.spiking]
        if left:
            return f"none of its products with coded operands is replayed: {', '.join(left[:NAMED])}"
        return "no product reads a coded operand; convert it with --scope full"

    def add(self, feed: Feed) -> None:
        """Run on `feed` and replay its products."""
        tensors = self._observer(feed)
        for name, counts in self._counters.outputs.items():
            counts[:] = tensors[name]
        self._counters.add(feed)
        self._samples += sample_count(feed)
        for product in self._products:
            name, outcome = name_of(product.node), product.replay(tensors)
            self._outcomes[name] = self._outcomes[name] + outcome if name in self._outcomes else outcome

    def replay(self, name: str) -> Replay:
        """What all runs so far show; `name` is that of the model."""
        return replay_of(name, self._samples, self._counters, self._products, self._outcomes, self._graph)
