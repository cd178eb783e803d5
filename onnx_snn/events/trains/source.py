# SPDX-License-Identifier: Apache-2.0
"""A network that writes the spikes of its neurons: counted in one pass over the data, made one by one in the next."""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnx_snn.data.specs import Feed
from onnx_snn.errors import ConfigError, ModelError, OutputError
from onnx_snn.events.observed_neurons import ObservedNode
from onnx_snn.events.trains.files import Expected, Format, SpikeWriter
from onnx_snn.events.trains.record import SampleEvents
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import DOMAIN, Body
from onnx_snn.output_files import temporary_folder, write_json
from onnx_snn.profiling.spike_outputs import Meter, meter
from onnx_snn.runtime.tap_session import Observer, quiet_options, quiet_options_with_kernels

INDEX = "index.json"
"""Name of the file that lists the others."""

ORDER = (
    "events are ordered by sample, time step and neuron; "
    "neuron = (element * bases + basis) * populations + population; "
    "elements are in row-major order, population 1 is that of negative arguments of an odd neuron"
)
"""Meaning of the order of events and of the index of a neuron."""

SLUG = 48
"""Largest length of the part of a file's name that tells the neuron."""


@dataclass(frozen=True)
class WrittenNeuron:
    """One file.

    Attributes:
        file: its name.
        neuron: name of the neuron.
        source: operation that its node replaces.
        events: number of events in it.
        neurons: largest number of neurons of a sample.
        timesteps: number of time steps.
        counted: number of spikes that the network itself counts.
    """

    file: str
    neuron: str
    source: str
    events: int
    neurons: int
    timesteps: int
    counted: int


@dataclass(frozen=True, eq=False)
class _Neuron:
    """A neuron whose spikes are written.

    Attributes:
        name: its name.
        node: its node.
        sees_rows: whether it is evaluated on one number for each row.
        neuron: its parameters.
        meter: the counter of its spikes.
        expected: what is going to be written.
    """

    name: str
    node: ObservedNode
    sees_rows: bool
    neuron: MbeNeuron
    meter: Meter
    expected: Expected


class SpikeSource:
    """A network that counts its spikes and tells the arguments of its neurons.

    Args:
        network: the network; it is not changed.
        patterns: names of nodes or of neurons, or patterns with * and ?; all neurons where there are none.
        file_format: format of the files.
        kernels: use the kernels where they are installed.

    Attributes:
        samples: number of samples that were counted.

    Raises:
        ModelError: the network has no spiking node in its main graph.
        ConfigError: a pattern fits no neuron.
    """

    def __init__(self, network: ir.Model, patterns: Sequence[str], file_format: Format, *, kernels: bool) -> None:
        metered = network.clone()
        meters = {(entry.node, entry.role): entry for entry in meter(metered, Body.LOOP)}
        spiking = [node for node in metered.graph if node.domain == DOMAIN]
        nodes = [each for node in spiking if (each := ObservedNode.of(node)) is not None]
        if not nodes:
            raise ModelError("the network has no spiking nodes in its main graph; convert it with: onnx-snn convert")
        found = [
            _Neuron(role.within(node.name), node, role.sees_rows, neuron, meters[node.node, role], Expected())
            for node in nodes
            for role, neuron in node.neurons.items()
        ]
        self._neurons = _chosen(patterns, found)
        self._nodes = list(dict.fromkeys(each.node for each in self._neurons.values()))
        tensors = [name for node in self._nodes for name in (node.input, *node.observed)]
        counts = [each.meter.output for each in self._neurons.values()]
        options = quiet_options_with_kernels if kernels else quiet_options
        self._observer = Observer(metered, [*counts, *dict.fromkeys(tensors)], session_options=options)
        self._format = file_format
        self.samples = 0

    @property
    def files(self) -> int:
        """Number of files."""
        return len(self._neurons)

    def count(self, feeds: Iterable[Feed]) -> int:
        """Bytes of the files of all samples, from what the network counts."""
        for feed in feeds:
            tensors = self._observer(feed)
            self.samples += 1
            for own in self._neurons.values():
                shape = tensors[own.node.input].shape
                elements = int(np.prod(shape[:-1] if own.sees_rows else shape))
                neurons = elements * own.neuron.bases * (1 + own.neuron.polarity)
                own.expected.add(int(tensors[own.meter.output].sum()), neurons, len(shape))
        return sum(self._format.writer.size(each.neuron, each.expected) for each in self._neurons.values())

    def write(self, feeds: Iterable[Feed], folder: Path) -> tuple[WrittenNeuron, ...]:
        """Write the spikes on all samples, those that were counted, into `folder`, which appears at the end.

        Raises:
            OutputError: it cannot be written.
        """
        names = {name: file_name(number, name) + self._format.suffix for number, name in enumerate(self._neurons)}
        events = dict.fromkeys(self._neurons, 0)
        try:
            with temporary_folder(folder) as temporary:
                made = temporary / "events"
                made.mkdir()
                with contextlib.ExitStack() as stack:
                    files = {name: self._file(name, made / names[name]) for name in names}
                    for file in files.values():
                        stack.push(file)
                    for feed in feeds:
                        for name, sample in self._events(feed):
                            files[name].add(sample)
                            events[name] += len(sample.time)
                written = tuple(self._written(name, names[name], events[name]) for name in names)
                index = {"samples": self.samples, "order": ORDER, "files": [asdict(each) for each in written]}
                write_json(made / INDEX, index)
                if folder.exists():
                    folder.rmdir()
                made.rename(folder)
        except OSError as error:
            raise OutputError(f"cannot write '{folder}': {error}") from error
        return written

    def _file(self, name: str, path: Path) -> SpikeWriter:
        own = self._neurons[name]
        return self._format.writer(path, name, own.meter.source, own.neuron, own.expected)

    def _events(self, feed: Feed) -> Iterator[tuple[str, SampleEvents]]:
        """The events of each neuron on a sample, by name."""
        tensors = self._observer(feed)
        for node in self._nodes:
            for fired in node.fired(tensors):
                if (name := fired.role.within(node.name)) in self._neurons:
                    yield name, SampleEvents.of(fired)

    def _written(self, name: str, file: str, events: int) -> WrittenNeuron:
        own = self._neurons[name]
        counted, largest = sum(own.expected.events), own.expected.neurons
        return WrittenNeuron(file, name, own.meter.source, events, largest, own.neuron.timesteps, counted)


def file_name(number: int, neuron: str) -> str:
    """Name of the file of a neuron without its suffix: its number, and what its name has of letters and digits."""
    slug = re.sub(r"[^A-Za-z0-9_.]+", "-", neuron).strip("-.")
    return f"{number:04d}-{slug[-SLUG:].strip('-.')}".rstrip("-")


def _chosen(patterns: Sequence[str], neurons: Sequence[_Neuron]) -> dict[str, _Neuron]:
    """The neurons whose name, or that of their node, fits one of the patterns, by name; all without patterns.

    Raises:
        ConfigError: a pattern fits none.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        fitting = {
            each.name
            for each in neurons
            if any(fnmatch.fnmatchcase(name, pattern) for name in (each.name, each.node.name))
        }
        if not fitting:
            close = difflib.get_close_matches(pattern, [each.name for each in neurons], n=3)
            hint = f"; close names are {close}" if close else ""
            raise ConfigError(f"no neuron of a node in the main graph is called {pattern!r}{hint}")
        chosen |= fitting
    return {each.name: each for each in neurons if not patterns or each.name in chosen}
