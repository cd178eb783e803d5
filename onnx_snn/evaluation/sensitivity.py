# SPDX-License-Identifier: Apache-2.0
"""Sensitivity of the output to every spiking node: where the error of a spiking network comes from.

Three errors are measured for every spiking node on the user's data:

- the error of the node's own output for exact inputs;
- the error of the network's output if the node *alone* is spiking, and all others are as in the original;
- the error of the network's output if the node is *left out* (leave-one-out): it is as in the original, and all others
  are spiking.

Nodes are ranked by the second one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray
from tqdm import tqdm

from onnx_snn.arrays import Float32
from onnx_snn.calibration.statistics import GROUP_BYTES
from onnx_snn.data.data_files import with_model_folder
from onnx_snn.data.feeds import Source, open_feeds
from onnx_snn.data.specs import Feed, input_specs, sample_count
from onnx_snn.decompositions.decomposer import decompose
from onnx_snn.decompositions.unclaimed import recognise_decomposed
from onnx_snn.evaluation.code_ranges import DOMINANT, Clipping, code_ranges, range_remedy
from onnx_snn.evaluation.comparison import Comparison, labelled, output_name, output_names
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.evaluation.metrics import Metric, MetricLike, metric_of
from onnx_snn.evaluation.node_sensitivity import NodeSensitivity, Sensitivity
from onnx_snn.evaluation.range_guard import load_unguarded
from onnx_snn.evaluation.switched_graph import SpikingNode
from onnx_snn.evaluation.switched_model import SwitchedModel
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.unique_names import make_names_unique
from onnx_snn.runtime.finite_outputs import JudgeOfModel

DEFAULT_SAMPLES = 8
"""Default number of samples: one run of the default batch size, enough to rank the errors."""

CUTS = 7
"""Number of tensors at which runs can start, so that they need not repeat what no switch changes: 7 leave 56 % of the
work."""


def sensitivity(
    original: str | Path,
    spiking: str | Path,
    data: Source,
    *,
    labels: NDArray[Any] | None = None,
    metric: MetricLike | None = None,
    output: str | None = None,
    batch_size: int = 8,
    samples: int | None = DEFAULT_SAMPLES,
    progress: bool = True,
    kernels: bool = True,
    custom_ops: Sequence[str | Path] = (),
) -> Sensitivity:
    """Measure how much each spiking node contributes to the error of the network, alone and left out.

    It takes about as long as running the network once for each sample and each spiking node.

    Args:
        original: .onnx file of the original network.
        spiking: .onnx file of the converted network.
        data: inputs, in any form that `onnx_snn.convert` takes for calibration.
        labels: labels for the task metric; by default those of the data, if it has any.
        metric: as for `onnx_snn.compare`.
        output: name of the output to compare; the first by default.
        batch_size: samples in one run.
        samples: use at most this many samples; None for all.
        progress: show a progress bar on a terminal.
        kernels: use the kernels where they are installed.
        custom_ops: libraries of custom operators that the networks need.

    Raises:
        ModelError: a file cannot be loaded, the spiking network was not converted from the original, or one of them has
            no such output.
        LibraryError: onnxruntime cannot load the library with the kernels, or one of `custom_ops`.
        ConfigError: no metric has that name.
        CalibrationError: data or labels do not fit the model, or a run fails.
    """
    model, converted = load_model(original, custom_ops), load_unguarded(spiking, custom_ops)
    name = output_name([output_names(model), output_names(converted)], output)
    make_names_unique(model)
    recognise_decomposed(model, decompose(model))  # as in the conversion, so that tensors have the same names
    switched = SwitchedModel(model, converted, kernels=kernels, cuts=CUTS, cut_for=name)
    data = with_model_folder(data, original)
    judge = JudgeOfModel(model)
    feeds = open_feeds(data, input_specs(model), batch_size=batch_size, max_samples=samples, judge=judge)
    labels = feeds.labels_or(labels)
    trial = _Trial(switched, code_ranges(converted), name, metric_of(metric, labels))
    total = feeds.batches and feeds.batches * len(switched.nodes)
    with tqdm(desc="sensitivity", total=total, disable=None if progress else True, unit="node") as bar:
        for feed, target in labelled(feeds, labels):
            trial.add(feed, target, bar)
    return trial.sensitivity()


def sensitivity_of(
    original: ir.Model, converted: ir.Model, feeds: Iterable[Feed], output: str, *, kernels: bool = True
) -> Sensitivity:
    """The sensitivity of `output` of a network in memory, without a task metric.

    Args:
        original: the decomposed original.
        converted: the network that was converted from it.
        feeds: inputs.
        output: name of the output.
        kernels: use the kernels where they are installed.

    Raises:
        ModelError: a spiking node lies in a loop.
        CalibrationError: a run fails.
    """
    switched = SwitchedModel(original, converted, kernels=kernels, cuts=CUTS, cut_for=output)
    trial = _Trial(switched, code_ranges(converted), output, None)
    with tqdm(disable=True) as bar:
        for feed in feeds:
            trial.add(feed, None, bar)
    return trial.sensitivity()


class _Runs:
    """Runs on one batch that switch a single node; they start as close before this node as a cut allows.

    Args:
        switched: the network.
        feed: the batch.
        on: the spiking nodes that are switched on otherwise.
        output: name of the output.

    Attributes:
        output: the output with these switches.
    """

    def __init__(self, switched: SwitchedModel, feed: Feed, on: Collection[str], output: str) -> None:
        self._switched, self._feed = switched, feed
        starts = [suffix.start for suffix in switched.suffixes]
        self._starts = switched(feed, on, list(dict.fromkeys([output, *starts])))
        self.output = self._starts[output]

    def __call__(self, node: str, on: Collection[str], names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The tensors `names` if `on`, which differs from the switches otherwise by `node` alone, is switched on."""
        for suffix in reversed(self._switched.suffixes):
            if node in suffix.nodes:
                return suffix(self._feed, self._starts[suffix.start], on, names)
        return self._switched(self._feed, on, names)


class _Trial:
    """Accumulates the comparisons of all switched networks over batches."""

    def __init__(
        self, switched: SwitchedModel, ranges: Mapping[tuple[str, str], Float32], output: str, metric: Metric | None
    ) -> None:
        self.switched, self.ranges, self.output = switched, ranges, output
        self.clipping = {node.name: Clipping() for node in switched.nodes.values() if self._range(node) is not None}
        self.own = {name: Difference() for name in switched.nodes}
        self.alone = {name: Comparison(output, metric) for name in switched.nodes}
        self.left_out = {name: Comparison(output, metric) for name in switched.nodes}
        self.whole = Comparison(output, metric)

    def add(self, feed: Feed, labels: NDArray[Any] | None, bar: tqdm[Any]) -> None:
        """Run all networks on one batch; `bar` shows the progress, by nodes."""
        samples, everything = sample_count(feed), set(self.switched.nodes)
        original, spiking = (
            _Runs(self.switched, feed, (), self.output),
            _Runs(self.switched, feed, everything, self.output),
        )
        expected = original.output
        self.whole.add(samples, expected, spiking.output, labels)
        for node, exact in self._exact(feed):
            alone = original(node.name, {node.name}, list(dict.fromkeys([self.output, node.output])))
            self.own[node.name].add(exact, alone[node.output])
            if (largest := self._range(node)) is not None:
                self.clipping[node.name].add(exact, alone[node.output], largest)
            self.alone[node.name].add(samples, expected, alone[self.output], labels)
            (got,) = spiking(node.name, everything - {node.name}, [self.output]).values()
            self.left_out[node.name].add(samples, expected, got, labels)
            bar.update()

    def _exact(self, feed: Feed) -> Iterator[tuple[SpikingNode, NDArray[Any]]]:
        """Every spiking node with the original's tensor in its place.

        The tensors of a group of nodes are computed in one run; groups grow as far as memory allows.
        """
        nodes = list(self.switched.nodes.values())
        count, largest = 1, 0
        while nodes:
            group, nodes = nodes[:count], nodes[count:]
            exact = self.switched(feed, (), list(dict.fromkeys(node.original for node in group)))
            yield from ((node, exact[node.original]) for node in group)
            largest = max(largest, *(array.nbytes for array in exact.values()))
            count = max(1, GROUP_BYTES // max(1, 4 * largest))

    def _range(self, node: SpikingNode) -> Float32 | None:
        """Largest magnitude of a code that reads the original's tensor as it is; None for other nodes."""
        return self.ranges.get((node.name, node.original))

    def sensitivity(self) -> Sensitivity:
        """The figures over all batches, ranked; nodes of equal error keep the order of the graph."""
        nodes = [
            NodeSensitivity(
                name,
                node.source,
                node.readers,
                self.own[name].sqnr_db,
                self.own[name].largest,
                self.alone[name].evaluation(),
                self.left_out[name].evaluation(),
                self.clipping[name].outside if name in self.clipping else None,
                self.clipping[name].error_share if name in self.clipping else None,
            )
            for name, node in self.switched.nodes.items()
        ]
        nodes.sort(key=lambda node: -node.alone.relative_error)
        whole = self.whole.evaluation()
        dominant = [node.name for node in nodes if node.alone.relative_error >= DOMINANT * whole.relative_error]
        remedy = range_remedy((name, self.clipping[name]) for name in dominant if name in self.clipping)
        return Sensitivity(whole, tuple(nodes), remedy)
