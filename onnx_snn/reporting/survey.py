# SPDX-License-Identifier: Apache-2.0
"""Everything that the pictures of a spiking network show, gathered from runs on data; nothing here draws.

For every spiking node two errors are told apart, both as signal to error in decibels (SQNR):

    own          its output beside what the replaced operation gives for the same input
    accumulated  its output beside the same tensor of the original network: with the errors of all nodes before it

Rows of large tensors are sampled, by a seeded generator, so that neither time nor memory grow with their size.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx_ir as ir
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from onnx_snn.conversion.spike_outputs import Meter, spiking_nodes
from onnx_snn.data.feeds import Feeds, Source, open_feeds
from onnx_snn.data.specs import Feed, input_specs
from onnx_snn.errors import ConfigError
from onnx_snn.evaluation.comparison import Evaluation, compare
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.evaluation.metrics import MetricLike
from onnx_snn.graph.model_reader import load_model
from onnx_snn.neurons import functions
from onnx_snn.neurons.composite import spiking_layer_normalization, spiking_rms_normalization, spiking_softmax
from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import UNSCALED, Float32, MbeNeuron
from onnx_snn.neurons.opset import MBE_NEURON, OPERATORS, SPIKING_LAYER_NORMALIZATION, SPIKING_SOFTMAX
from onnx_snn.profiling.activity import NeuronActivity
from onnx_snn.profiling.energy import EnergyCosts
from onnx_snn.profiling.inspection import inspect
from onnx_snn.profiling.profiler import Profile, profile
from onnx_snn.rules.rule import name_of
from onnx_snn.runtime.session import add_kernels
from onnx_snn.runtime.tap_session import Observer, quiet_options

OBSERVED_SAMPLES = 16
"""Samples from which errors of nodes and distributions of arguments are taken, one at a time."""

NODES_AT_ONCE = 32
"""Nodes whose tensors are held in memory together."""

ELEMENTS, ROWS = 1 << 16, 32
"""Elements of a tensor that are looked at in each sample, but at least so many rows."""

KEPT_ARGUMENTS = 2048
"""Arguments of a neuron that are kept of each sample, for its distribution."""

INNER_FUNCTIONS = {"deviation": "identity"}
"""Function of a neuron within a composite node, where it is not the neuron's name."""


@dataclass(frozen=True, eq=False)
class NeuronView:
    """One neuron, what it stands for and what it saw.

    Attributes:
        activity: its spikes over all data.
        neuron: its parameters.
        function: what it approximates; None for a function that is not registered here.
        arguments: float32 [n], what it was given in the observed samples, in its own units (the scale divided out).
        sample: float32 [n], what it was given in the chosen sample, ascending.
    """

    activity: NeuronActivity
    neuron: MbeNeuron
    function: ScalarFunction | None
    arguments: Float32
    sample: Float32


@dataclass(frozen=True, eq=False)
class NodeView:
    """One spiking node.

    Attributes:
        name: its name.
        operator: its op type.
        source: what it stands for, such as "gelu"; "identity" for a code.
        readers: names of the nodes that read its output, not only its shape.
        own: its own error; None where the exact result is not known here.
        accumulated: its error beside the original network; None where that has no such tensor.
        neurons: its neurons.
    """

    name: str
    operator: str
    source: str
    readers: tuple[str, ...]
    own: Difference | None
    accumulated: Difference | None
    neurons: tuple[NeuronView, ...]


@dataclass(frozen=True)
class Candidate:
    """One converted file of the same original.

    Attributes:
        name: its path.
        timesteps: time steps T of its slowest neuron, the gate not counted.
        evaluation: what it loses.
        profile: what it spends.
    """

    name: str
    timesteps: int
    evaluation: Evaluation
    profile: Profile

    @property
    def spikes(self) -> float:
        """Spikes of all neurons for one sample."""
        return sum(neuron.total for neuron in self.profile.neurons) / self.profile.samples


@dataclass(frozen=True, eq=False)
class Survey:
    """A spiking network in figures.

    Attributes:
        original: file of the original network.
        config: options of the conversion, as the file tells them.
        candidates: the network itself, then others of the same original.
        nodes: the spiking nodes of the network, in graph order.
        observed: samples from which errors of nodes and arguments are taken.
        sample: number of the chosen sample.
    """

    original: str
    config: Mapping[str, Any]
    candidates: tuple[Candidate, ...]
    nodes: tuple[NodeView, ...]
    observed: int
    sample: int

    @property
    def spiking(self) -> Candidate:
        """The network itself."""
        return self.candidates[0]

    @property
    def neurons(self) -> tuple[NeuronView, ...]:
        """The neurons of all nodes, in graph order."""
        return tuple(neuron for node in self.nodes for neuron in node.neurons)


def survey(
    original: str | Path,
    spiking: str | Path,
    data: Source,
    *,
    also: Sequence[str | Path] = (),
    metric: MetricLike | None = None,
    sample: int = 0,
    samples: int | None = None,
    costs: EnergyCosts | None = None,
    batch_size: int = 8,
    progress: bool = True,
    kernels: bool = True,
) -> Survey:
    """Look at a spiking network from all sides: what it loses and where, what it fires and what that costs.

    Args:
        original: .onnx file of the original network.
        spiking: .onnx file of the converted network.
        data: inputs, as for `onnx_snn.compare`.
        also: other converted files of the same original, to set errors against time steps and spikes.
        metric: the task metric, as for `onnx_snn.compare`.
        sample: number of the sample whose spikes are kept one by one; of the feed where the model fixes the batch.
        samples: use at most this many samples.
        costs: energy of each operation; by default that of a 45 nm process.
        batch_size: samples in one run.
        progress: show progress bars on a terminal.
        kernels: use the kernels where they are installed; the figures do not depend on them.

    Raises:
        ModelError: a file cannot be loaded, or nothing in it spikes.
        LibraryError: onnxruntime cannot load the library with the kernels.
        CalibrationError: the data does not fit the model, or it fails on them.
        ConfigError: the data has no such sample.
    """
    if sample < 0:
        raise ConfigError(f"sample is {sample}; expected a number from 0")
    network = load_model(spiking)
    feeds = open_feeds(data, input_specs(network), batch_size=batch_size, max_samples=samples)
    if not isinstance(data, (str, os.PathLike, Mapping)):
        data = feeds  # what can be read once only is read here, and replayed

    def candidate(path: str | Path) -> Candidate:
        options: dict[str, Any] = {"batch_size": batch_size, "samples": samples, "progress": progress}
        counts = profile(path, data, costs=costs, kernels=kernels, **options)
        evaluation = compare(original, path, data, metric=metric, kernels=kernels, **options)
        steps = max(neuron.timesteps - neuron.gate for neuron in counts.neurons)
        return Candidate(str(path), steps, evaluation, counts)

    candidates = [candidate(path) for path in (spiking, *also)]
    looks = [_Look(node) for node in spiking_nodes(network)]
    observed = 0
    groups = range(0, len(looks), NODES_AT_ONCE)
    pair = load_model(original), network
    for start in tqdm(groups, "survey", disable=None if progress else True, unit="group"):
        observed = _observe(pair, looks[start : start + NODES_AT_ONCE], feeds, sample, kernels)
    activities = iter(candidates[0].profile.neurons)
    nodes = tuple(look.view([next(activities) for _ in look.meters]) for look in looks)
    return Survey(str(original), inspect(spiking).config, tuple(candidates), nodes, observed, sample)


def _observe(
    networks: tuple[ir.Model, ir.Model], looks: Sequence[_Look], feeds: Feeds, sample: int, kernels: bool
) -> int:
    """Let `looks` see the first samples and the chosen one; returns the number of those first ones."""
    original, spiking = networks
    known = {value.name for node in original.graph for value in node.outputs} | {v.name for v in original.graph.inputs}
    references = sorted({look.reference for look in looks} & known)
    taps = sorted({name for look in looks for name in (look.input, look.output)})
    reference = Observer(original, references) if references else None
    got_of = Observer(spiking, taps, session_options=_kernel_options if kernels else quiet_options)
    count = 0
    for number, feed in _samples(feeds, sample):
        expected, got = reference(feed) if reference else {}, got_of(feed)
        for look in looks:
            look.add(got[look.input], got[look.output], expected.get(look.reference), chosen=number == sample)
        count += number < OBSERVED_SAMPLES
    return count


def _samples(feeds: Feeds, sample: int) -> Iterator[tuple[int, Feed]]:
    """The first samples and the chosen one, with their numbers.

    Raises:
        ConfigError: there is no such sample.
    """
    last = -1
    for last, feed in enumerate(feeds.singles()):
        if last < OBSERVED_SAMPLES or last == sample:
            yield last, feed
        if last >= max(OBSERVED_SAMPLES - 1, sample):
            break
    if last < sample:
        raise ConfigError(f"sample is {sample}, but the data has {last + 1}; expected a number below that")


def _kernel_options() -> Any:
    options = quiet_options()
    add_kernels(options)
    return options


@dataclass
class _Sums:
    """What the samples told of one node."""

    own: Difference = field(default_factory=Difference)
    accumulated: Difference = field(default_factory=Difference)
    compared: bool = False
    arguments: dict[str, list[Float32]] = field(default_factory=dict)
    sample: dict[str, Float32] = field(default_factory=dict)


class _Look:
    """One spiking node while samples pass by.

    Attributes:
        input: name of the tensor that it reads.
        output: name of the tensor that it writes.
        reference: name of the original's tensor that its output should equal.
        meters: its neurons.
    """

    def __init__(self, node: ir.Node) -> None:
        assert node.inputs[0] is not None, "a spiking node reads a tensor"
        self._node = node
        self.input, self.output = str(node.inputs[0].name), str(node.outputs[0].name)
        self.meters = [Meter(node, prefix, "") for prefix, _ in OPERATORS[node.op_type].neurons]
        self._neurons = {meter.prefix: meter.neuron for meter in self.meters}
        self._source = self.meters[0].source
        self.reference = self.input if self._source == "identity" else self.output
        self._constants = {
            name: None if value is None or value.const_value is None else value.const_value.numpy()
            for name, value in zip(OPERATORS[node.op_type].inputs, node.inputs, strict=True)
        }
        self._random = np.random.default_rng(0)
        self._sums = _Sums()

    def add(self, x: Float32, y: Float32, expected: Float32 | None, *, chosen: bool) -> None:
        """See one sample: input, output and what the output is in the original network."""
        sums = self._sums
        if expected is not None and expected.shape == y.shape:
            sums.accumulated.add(expected, y)
            sums.compared = True
        x, y, scale = self._rows(x, y)
        exact = self._exact(x)
        if exact is not None:
            sums.own.add(exact, y)
        for prefix, arguments in self._arguments(x, scale).items():
            arguments = arguments[np.isfinite(arguments)]
            if chosen:
                sums.sample[prefix] = np.sort(arguments)
            if arguments.size > KEPT_ARGUMENTS:
                arguments = self._random.choice(arguments, KEPT_ARGUMENTS, replace=False)
            sums.arguments.setdefault(prefix, []).append(arguments)

    def view(self, activities: Sequence[NeuronActivity]) -> NodeView:
        """What was seen, with the spikes of the node's neurons."""
        readers = (name_of(use.node) for use in self._node.outputs[0].uses() if use.node.op_type != "Shape")
        return NodeView(
            name_of(self._node),
            self._node.op_type,
            self._source,
            tuple(dict.fromkeys(readers)),
            self._sums.own if self._sums.own.signal else None,
            self._sums.accumulated if self._sums.compared else None,
            tuple(
                NeuronView(
                    activity,
                    self._neurons[meter.prefix],
                    self._function(meter.prefix),
                    np.concatenate(self._sums.arguments[meter.prefix]),
                    self._sums.sample[meter.prefix],
                )
                for meter, activity in zip(self.meters, activities, strict=True)
            ),
        )

    def _rows(self, x: Float32, y: Float32) -> tuple[Float32, Float32, Float32]:
        """Some rows [rows, n] of input and output, and the scale of the node in their shape."""
        stored = self._constants.get("scale", self._constants.get("deviation_scale"))
        scale = np.broadcast_to(UNSCALED if stored is None else stored, x.shape)
        width = x.shape[-1] if x.ndim else 1
        tables = [array.reshape(-1, max(width, 1)) for array in (x, y, scale)]
        most = max(ROWS, ELEMENTS // max(width, 1))
        if len(tables[0]) <= most:
            return tables[0], tables[1], tables[2]
        rows = np.sort(self._random.choice(len(tables[0]), most, replace=False))
        return tables[0][rows], tables[1][rows], tables[2][rows]

    def _function(self, prefix: str) -> ScalarFunction | None:
        """What the neuron `prefix` approximates."""
        inner = prefix.rstrip("_")
        name = INNER_FUNCTIONS.get(inner, inner) or self._source
        try:
            return functions.get(name)
        except ConfigError:
            return None

    @np.errstate(all="ignore")
    def _exact(self, x: Float32) -> NDArray[np.float64] | None:
        """What the replaced operation gives for `x` [rows, n], in float64."""
        wide = x.astype(np.float64)
        if self._node.op_type == MBE_NEURON.name:
            function = self._function("")
            return None if function is None else function.formula(wide)
        if self._node.op_type == SPIKING_SOFTMAX.name:
            powers = np.exp(wide - wide.max(axis=-1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
        gamma, beta, epsilon = (self._constants.get(name) for name in ("gamma", "beta", "epsilon"))
        if gamma is None or epsilon is None:
            return None
        if self._node.op_type == SPIKING_LAYER_NORMALIZATION.name:
            wide = wide - wide.mean(axis=-1, keepdims=True)
        normalized = wide / np.sqrt(np.square(wide).mean(axis=-1, keepdims=True) + epsilon)
        return np.asarray(normalized * gamma + (0.0 if beta is None else beta))

    def _arguments(self, x: Float32, scale: Float32) -> dict[str, Float32]:
        """What each neuron of the node is given for `x` [rows, n], by prefix."""
        heard = {prefix: _Listener(neuron) for prefix, neuron in self._neurons.items()}
        neurons = [cast(MbeNeuron, listener) for listener in heard.values()]
        if self._node.op_type == MBE_NEURON.name:
            neurons[0](x, scale)
        elif self._node.op_type == SPIKING_SOFTMAX.name:
            spiking_softmax(x, *neurons)
        else:
            # gamma and beta come after the neurons: they do not matter here.
            epsilon = float(np.asarray(self._constants["epsilon"]))
            deviation, rsqrt = neurons
            if self._node.op_type == SPIKING_LAYER_NORMALIZATION.name:
                spiking_layer_normalization(x, 1.0, 0.0, epsilon, deviation, rsqrt, scale)
            else:
                spiking_rms_normalization(x, 1.0, epsilon, deviation, rsqrt, scale)
        return {prefix: listener.arguments for prefix, listener in heard.items()}


class _Listener:
    """Answers as a neuron does, and keeps what it was given: arguments, with the scale divided out."""

    def __init__(self, neuron: MbeNeuron) -> None:
        self._neuron = neuron
        self.arguments: Float32 = np.zeros(0, np.float32)

    def __call__(self, x: ArrayLike, scale: ArrayLike = UNSCALED) -> Float32:
        self.arguments = np.divide(np.asarray(x, np.float32), scale, dtype=np.float32).ravel()
        return self._neuron(x, scale)
