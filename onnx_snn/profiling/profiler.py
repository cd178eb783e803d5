# SPDX-License-Identifier: Apache-2.0
"""Spikes, synaptic operations and estimated energy of a converted network on data.

A copy of the network whose spiking nodes count their spikes (`onnx_snn.profiling.spike_outputs`) runs on the data.
Counts are the same by the kernels and by the functions in the file. They are accumulated batch by batch, so memory does
not grow with the data.

A spike of a coded operand causes one accumulation at every outgoing synapse of its element. Synaptic operations (SOPs)
of a product are

    activations with weights        spikes * outgoing synapses
    activations with activations    the sum of this over both operands

Let A(t) and B(t) be the values of two coded activations decoded up to time step t, and a(t) and b(t) their increments
at t. The product grows by A(t) B(t) - A(t-1) B(t-1) = a(t) B(t) + A(t-1) b(t): each spike of one operand adds the
decoded value of the other to every output that it contributes to. Spiking Transformers compute products of activations
in this way (SpikeZIP-TF, You et al. 2024): spikes(a) + spikes(b) accumulations. Multiplying spike trains pair by pair,
as in arXiv 2508.07710, takes spikes(a) * spikes(b).

Shapes of inner tensors are inferred by one run for every distinct set of input shapes. Nodes whose operations are not
counted, such as those in branches of If nodes, are listed in `Profile.uncounted`.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir
import onnxruntime as ort
from tqdm import tqdm

from onnx_snn.data.data_files import with_model_folder
from onnx_snn.data.feeds import Feeds, Source, open_feeds
from onnx_snn.data.specs import Feed, input_specs, sample_count
from onnx_snn.errors import ModelError
from onnx_snn.evaluation.range_guard import load_unguarded
from onnx_snn.formatting import wrapped
from onnx_snn.graph.custom_libraries import libraries_of
from onnx_snn.graph.inlined import refuse_inlined
from onnx_snn.graph.model_reader import ModelSource
from onnx_snn.graph.model_writer import save_model
from onnx_snn.neurons.opset import DOMAIN
from onnx_snn.output_files import write_json
from onnx_snn.profiling import profile_tables as tables
from onnx_snn.profiling.activity import NeuronActivity, ProductActivity
from onnx_snn.profiling.counters import Counters, Totals
from onnx_snn.profiling.energy import EnergyCosts
from onnx_snn.profiling.energy_report import EnergyReport
from onnx_snn.profiling.spike_outputs import countable_nodes
from onnx_snn.profiling.uncounted import UncountedNode
from onnx_snn.runtime.execution import BoundOutputs
from onnx_snn.runtime.finite_outputs import JudgeOfModel
from onnx_snn.runtime.session import add_libraries, session, session_options
from onnx_snn.workers.shards import ExecutorLike, Shard, Workers, with_threads
from onnx_snn.workers.shared_feeds import SharedFeeds
from onnx_snn.workers.shared_model import SharedModel


@dataclass(frozen=True, eq=False)
class Profile:
    """Activity of a converted network on data.

    Attributes:
        model: path of the model, or the type of a model given in memory.
        samples: number of samples.
        batches: number of runs.
        neurons: activity of every neuron, in graph order.
        products: operations of every product of activations with weights or activations, in graph order.
        energy: operations of every counted node, and their energy.
        uncounted: nodes that compute with activations and are not counted.
    """

    model: str
    samples: int
    batches: int
    neurons: tuple[NeuronActivity, ...]
    products: tuple[ProductActivity, ...]
    energy: EnergyReport
    uncounted: tuple[UncountedNode, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "model": self.model,
            "samples": self.samples,
            "batches": self.batches,
            "neurons": [neuron.to_json() for neuron in self.neurons],
            "products": [product.to_json() for product in self.products],
            "energy": self.energy.to_json(),
            "uncounted": [dataclasses.asdict(node) for node in self.uncounted],
        }

    def save(self, path: str | Path) -> None:
        """Write the figures as a JSON file.

        Raises:
            OutputError: the file cannot be written.
        """
        write_json(path, self.to_json())

    def text(self, *, nodes: bool = False) -> str:
        """The figures for a terminal; with `nodes`, one line for each node as well."""
        return "\n\n".join(
            [
                wrapped(f"{self.model}: {self.samples} samples in {self.batches} batches"),
                *tables.of_kinds(self.neurons, self.products, self.samples),
                *tables.range_note(self.neurons),
                tables.of_energy(self.energy, self.uncounted, self.samples),
                *(tables.of_nodes(self.neurons, self.products, self.samples) if nodes else []),
            ]
        )


def profile(
    model: ModelSource,
    data: Source,
    *,
    costs: EnergyCosts | None = None,
    batch_size: int = 8,
    samples: int | None = None,
    progress: bool = True,
    kernels: bool = True,
    custom_ops: Sequence[str | Path] = (),
    executor: ExecutorLike = None,
) -> Profile:
    """Run a converted network on `data` and count its spikes and operations.

    Args:
        model: path of a converted .onnx file, `ModelProto` or `onnx_ir.Model`; it is not changed.
        data: inputs, in any form that `onnx_snn.convert` takes for calibration.
        costs: energy of each operation; by default for a 45 nm process.
        batch_size: samples in one run.
        samples: use at most this many samples.
        progress: show a progress bar on a terminal.
        kernels: use the kernels where they are installed; the counts do not depend on them.
        custom_ops: libraries of custom operators that the network needs.
        executor: who runs the network: any executor of `concurrent.futures`, or `Workers`; this process by default.

    Raises:
        ModelError: the model cannot be loaded, or has no spiking node, or they are inlined.
        LibraryError: onnxruntime cannot load the library with the kernels, or one of `custom_ops`.
        CalibrationError: the data does not fit the model, or the model fails on it.
        WorkerError: workers of `executor` are lost twice with the same work, or cannot be given it.
    """
    network = load_unguarded(model, custom_ops)
    name = str(model) if isinstance(model, (str, Path)) else type(model).__name__
    refuse_inlined(network, name)
    if not countable_nodes(network):
        if any(node.domain == DOMAIN for node in network.graph.all_nodes()):
            raise ModelError(f"{name}: its spiking nodes all lie in branches, where spikes are not counted")
        raise ModelError(f"{name}: no spiking nodes; convert it with onnx_snn.convert or: onnx-snn convert")
    data = with_model_folder(data, model)
    judge = JudgeOfModel(network)
    feeds = open_feeds(data, input_specs(network), batch_size=batch_size, max_samples=samples, judge=judge)
    workers, costs = Workers.of(executor), costs or EnergyCosts()
    with tqdm(desc="profile", total=feeds.batches, disable=None if progress else True, unit="batch") as bar:
        if workers is not None:
            return _profiled_by(workers, network, feeds, kernels, bar).profile(name, costs)
        profiler = Profiler(network, session_options(quiet=True, kernels=kernels), kernels=kernels)
        for feed in feeds:
            profiler.add(feed)
            bar.update()
    return profiler.counts.profile(name, costs)


def _profiled_by(workers: Workers, network: ir.Model, feeds: Feeds, kernels: bool, bar: tqdm[Any]) -> RunCounts:
    """The counts of all feeds, by workers; `network` is changed."""
    with workers.folder_of_work() as folder:
        task = ProfilingTask(SharedModel.of(network, folder), SharedFeeds.of(feeds, folder), kernels)
        counts = RunCounts(Counters(network))
        for _, (samples, batches, totals) in workers.run(task, folder):
            counts.samples += samples
            counts.batches += batches
            counts.counters.merge(totals)
            bar.update(batches)
    return counts


@dataclass(frozen=True)
class ProfilingTask:
    """The profile of a network, as a task for workers.

    Attributes:
        network: the network.
        feeds: the data.
        kernels: use the kernels where they are installed.
    """

    network: SharedModel
    feeds: SharedFeeds
    kernels: bool

    def open(self, threads: int) -> Shard[tuple[int, int, Totals]]:
        """A shard gives its numbers of samples and of batches, and their counts."""
        network = self.network.load()
        feeds = self.feeds.open(JudgeOfModel(network.clone()))
        options = with_threads(session_options(quiet=True, kernels=self.kernels), threads)
        profiler = Profiler(network, options, kernels=self.kernels)

        def shard(index: int, shards: int) -> tuple[int, int, Totals]:
            profiler.reset()
            for _, _, feed in feeds.shard(index, shards):
                profiler.add(feed)
            counts = profiler.counts
            return counts.samples, counts.batches, counts.counters.totals()

        return shard


@dataclass
class RunCounts:
    """The counts of a network over some runs.

    Attributes:
        counters: spikes and shapes.
        samples: number of samples.
        batches: number of runs.
    """

    counters: Counters
    samples: int = 0
    batches: int = 0

    def profile(self, name: str, costs: EnergyCosts) -> Profile:
        """Activity over all runs.

        Args:
            name: name of the model in the profile.
            costs: energy of each operation.
        """
        counters = self.counters
        energy = EnergyReport(counters.work(), costs)
        neurons, products = counters.neurons(), counters.products()
        return Profile(name, self.samples, self.batches, neurons, products, energy, counters.uncounted)


class Profiler:
    """A converted network whose spikes are counted while it runs.

    Args:
        network: the network, changed in place.
        options: options of its onnxruntime session, which get the libraries of custom operators of the network.
        kernels: use the kernels where they are installed.

    Attributes:
        counts: the counts so far.
    """

    def __init__(self, network: ir.Model, options: ort.SessionOptions, *, kernels: bool = True) -> None:
        add_libraries(options, libraries_of(network))
        self.counts = RunCounts(Counters(network))
        self._counting = BoundOutputs(_session(network, options, kernels), self.counts.counters.outputs)

    def add(self, feed: Feed) -> None:
        """Run on `feed` and add its counts.

        Raises:
            CalibrationError: the run fails.
        """
        self._counting.run(feed)
        self.counts.counters.add(feed)
        self.counts.samples += sample_count(feed)
        self.counts.batches += 1

    def reset(self) -> None:
        """Forget the runs so far."""
        self.counts.counters.reset()
        self.counts.samples = self.counts.batches = 0


def _session(model: ir.Model, options: ort.SessionOptions, kernels: bool) -> ort.InferenceSession:
    """A session of `model`, loaded from a temporary file so that onnxruntime prepacks weights as for any file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metered.onnx"
        save_model(model, path)
        return session(path, session_options=options, kernels=kernels)
