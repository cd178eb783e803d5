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
counted, such as those in subgraphs (If, Loop, Scan), are listed in `Profile.uncounted`.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir
import onnxruntime as ort
from tqdm import tqdm

from onnx_snn.data.feeds import Source, open_feeds
from onnx_snn.data.specs import Feed, input_specs, sample_count
from onnx_snn.errors import ModelError
from onnx_snn.formatting import table
from onnx_snn.graph.model_reader import ModelSource, load_model
from onnx_snn.graph.model_writer import save_model
from onnx_snn.output_files import write_json
from onnx_snn.profiling.activity import NeuronActivity, ProductActivity, ProductKind
from onnx_snn.profiling.counters import Counters
from onnx_snn.profiling.energy import EnergyCosts, EnergyFigure, EnergyReport
from onnx_snn.profiling.spike_outputs import spiking_nodes
from onnx_snn.profiling.uncounted import UncountedNode, note
from onnx_snn.runtime.execution import run
from onnx_snn.runtime.session import session, session_options

PICO_TO_MICRO = 1e-6
"""Factor from picojoules to microjoules."""


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
        kinds = list(dict.fromkeys(neuron.kind for neuron in self.neurons))
        neurons = [
            _neuron_row(kind, [neuron for neuron in self.neurons if neuron.kind == kind], self.samples)
            for kind in kinds
        ]
        products = [_product_row(label, members, self.samples) for label, members in _grouped(self.products)]
        figures = self.energy.figures()
        lines = [
            f"{self.model}: {self.samples} samples in {self.batches} batches",
            "",
            table(_NEURON_HEADER, neurons),
            "",
            table(_PRODUCT_HEADER, products),
            "",
            table(_ENERGY_HEADER, [_energy_row(figure, self.samples) for figure in figures]),
            *(f"{figure.rule.name}: {figure.rule.formula} ({figure.rule.source})" for figure in figures),
            *([note(self.uncounted)] if self.uncounted else []),
        ]
        if nodes:
            lines += [
                "",
                table(_NEURON_HEADER, [_neuron_row(neuron.name, [neuron], self.samples) for neuron in self.neurons]),
                "",
                table(_PRODUCT_HEADER, [_product_row(p.node, [p], self.samples) for p in self.products]),
            ]
        return "\n".join(lines)


def profile(
    model: ModelSource,
    data: Source,
    *,
    costs: EnergyCosts | None = None,
    batch_size: int = 8,
    samples: int | None = None,
    progress: bool = True,
    kernels: bool = True,
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

    Raises:
        ModelError: the model cannot be loaded, or has no spiking node.
        LibraryError: onnxruntime cannot load the library with the kernels.
        CalibrationError: the data does not fit the model, or the model fails on it.
    """
    network = load_model(model)
    name = str(model) if isinstance(model, (str, Path)) else type(model).__name__
    if not spiking_nodes(network):
        raise ModelError(f"{name}: no spiking nodes; convert it with onnx_snn.convert or: onnx-snn convert")
    feeds = open_feeds(data, input_specs(network), batch_size=batch_size, max_samples=samples)
    profiler = Profiler(network, session_options(quiet=True, kernels=kernels), kernels=kernels)
    for feed in tqdm(feeds, "profile", total=feeds.batches, disable=None if progress else True, unit="batch"):
        profiler.add(feed)
    return profiler.profile(name, costs or EnergyCosts())


class Profiler:
    """A converted network whose spikes are counted while it runs.

    Args:
        network: the network, changed in place.
        options: options of its onnxruntime session.
        kernels: use the kernels where they are installed.
    """

    def __init__(self, network: ir.Model, options: ort.SessionOptions, *, kernels: bool = True) -> None:
        self._counters = Counters(network)
        self._session = _session(network, options, kernels)
        self._seen: Counter[str] = Counter()

    def add(self, feed: Feed) -> None:
        """Run on `feed` and add its counts.

        Raises:
            CalibrationError: the run fails.
        """
        counts = run(self._session, self._counters.names, feed)
        self._counters.add(feed, list(counts.values()))
        self._seen.update(samples=sample_count(feed), batches=1)

    def profile(self, name: str, costs: EnergyCosts) -> Profile:
        """Activity over all feeds so far.

        Args:
            name: name of the model in the profile.
            costs: energy of each operation.
        """
        counters, seen = self._counters, self._seen
        energy = EnergyReport(counters.work(), costs)
        return Profile(
            name,
            seen["samples"],
            seen["batches"],
            counters.neurons(),
            counters.products(),
            energy,
            counters.uncounted,
        )


def _session(model: ir.Model, options: ort.SessionOptions, kernels: bool) -> ort.InferenceSession:
    """A session of `model`, loaded from a temporary file so that onnxruntime prepacks weights as for any file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metered.onnx"
        save_model(model, path)
        return session(path, session_options=options, kernels=kernels)


_NEURON_HEADER = ("neurons", "nodes", "elements/sample", "steps*bases", "spikes/element", "firing rate", "saturated")
_PRODUCT_HEADER = ("matmuls", "nodes", "spiking", "MACs/sample", "spikes/element", "SOPs/sample", "SOPs/MAC")
_ENERGY_HEADER = ("energy by rule", "ANN, µJ/sample", "SNN, µJ/sample", "SNN / ANN")


def _neuron_row(label: str, members: Sequence[NeuronActivity], samples: int) -> tuple[str, ...]:
    """A line of the table of neurons, over `members`."""
    elements = sum(member.elements for member in members)
    slots = sum(member.elements * member.slots for member in members)
    total = sum(member.total for member in members)
    outside = [member.out_of_range for member in members if member.out_of_range is not None]
    sizes = sorted({member.slots for member in members})
    return (
        label,
        str(len(members)),
        f"{elements / samples:,.0f}",
        "-".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1]))),
        f"{total / max(elements, 1):.2f}",
        f"{total / max(slots, 1):.2%}",
        f"{sum(outside) / max(elements, 1):.2%}" if len(outside) == len(members) else "unknown",
    )


def _grouped(products: Sequence[ProductActivity]) -> list[tuple[str, list[ProductActivity]]]:
    """Products grouped by kind, with a label for each group that is not empty."""
    labels = {ProductKind.WEIGHTS: "weight matmul", ProductKind.ACTIVATIONS: "activation matmul"}
    groups = [(label, [product for product in products if product.kind is kind]) for kind, label in labels.items()]
    return [(label, members) for label, members in groups if members]


def _product_row(label: str, members: Sequence[ProductActivity], samples: int) -> tuple[str, ...]:
    """A line of the table of matmuls, over `members`."""
    macs = sum(member.multiply_accumulates for member in members)
    operands = [operand for member in members for operand in member.operands]
    elements = sum(operand.elements for operand in operands)
    spikes = sum(operand.spikes for operand in operands)
    operations = sum(operand.synaptic_operations for operand in operands)
    return (
        label,
        str(len(members)),
        str(sum(member.spiking for member in members)),
        f"{macs / samples:,.0f}",
        f"{spikes / elements:.2f}" if elements else "",
        f"{operations / samples:,.0f}",
        f"{operations / macs:.2f}" if macs else "",
    )


def _energy_row(figure: EnergyFigure, samples: int) -> tuple[str, ...]:
    """A line of the table of energies."""
    energies = (energy * PICO_TO_MICRO / samples for energy in (figure.original, figure.spiking))
    return figure.rule.name, *(f"{energy:,.3g}" for energy in energies), f"{figure.ratio:.3f}"
