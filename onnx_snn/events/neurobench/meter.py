# SPDX-License-Identifier: Apache-2.0
"""Measurement of the figures of NeuroBench: spikes meet the weights themselves, so that zero weights are left out.

A spike of an element with k outgoing weights that are not 0 is k accumulations: the sum over all outputs of the product
of the numbers of spikes with [W != 0].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from tqdm import tqdm

from onnx_snn.arrays import Float64
from onnx_snn.data.data_files import with_model_folder
from onnx_snn.data.feeds import Source, open_feeds
from onnx_snn.data.specs import Feed, input_specs, sample_count
from onnx_snn.errors import ModelError
from onnx_snn.evaluation.range_guard import load_unguarded
from onnx_snn.events.coded_operands import CodedOperand, builder_of
from onnx_snn.events.neurobench.figures import Activity, NeuroBench, SynapticOperations
from onnx_snn.events.observed_neurons import ObservedNode
from onnx_snn.events.replay.bilinear import Bilinear
from onnx_snn.events.replay.products import BILINEAR
from onnx_snn.events.replay.report import why_left
from onnx_snn.graph.inlined import refuse_inlined
from onnx_snn.graph.model_reader import ModelSource
from onnx_snn.graph.node_builder import NodeBuilder
from onnx_snn.graph.product_operators import operands_of
from onnx_snn.neurons.opset import DOMAIN
from onnx_snn.profiling.activity import NeuronActivity, ProductActivity, ProductKind
from onnx_snn.profiling.counters import Counters
from onnx_snn.profiling.spike_outputs import countable_nodes
from onnx_snn.rules.rule import name_of
from onnx_snn.runtime.finite_outputs import JudgeOfModel
from onnx_snn.runtime.tap_session import Observer, quiet_options, quiet_options_with_kernels


def neurobench(
    model: ModelSource,
    data: Source,
    *,
    samples: int | None = None,
    batch_size: int = 8,
    progress: bool = True,
    kernels: bool = True,
    custom_ops: Sequence[str | Path] = (),
) -> NeuroBench:
    """Run a converted network on `data` and measure it by the definitions of NeuroBench.

    Args:
        model: path of a converted .onnx file, `ModelProto` or `onnx_ir.Model`; it is not changed.
        data: inputs, in any form that `onnx_snn.convert` takes for calibration.
        samples: use at most this many samples; None for all.
        batch_size: samples in one run.
        progress: show a progress bar on a terminal.
        kernels: use the kernels where they are installed; the figures do not depend on them.
        custom_ops: libraries of custom operators that the network needs.

    Raises:
        ModelError: the model cannot be loaded, or has no spiking node whose spikes can be counted.
        LibraryError: onnxruntime cannot load the library with the kernels, or one of `custom_ops`.
        CalibrationError: the data does not fit the model, or the model fails on it.
        ConfigError: the network has convolutions, and SciPy is not installed.
    """
    network = load_unguarded(model, custom_ops)
    name = str(model) if isinstance(model, (str, Path)) else type(model).__name__
    refuse_inlined(network, name)
    if not countable_nodes(network):
        raise ModelError(f"{name}: no spiking nodes that always run; convert it with: onnx-snn convert")
    source, judge = with_model_folder(data, model), JudgeOfModel(network)
    feeds = open_feeds(source, input_specs(network), batch_size=batch_size, max_samples=samples, judge=judge)
    meter = _Meter(network, kernels=kernels)
    for feed in tqdm(feeds, "neurobench", total=feeds.batches, disable=None if progress else True, unit="batch"):
        meter.add(feed)
    return meter.figures(name)


@dataclass(frozen=True, eq=False)
class _Layer:
    """A product of the main graph whose operands can be observed.

    Attributes:
        node: the product.
        bilinear: its synapses.
        codes: the code of each of its operands; None for one that is not coded.
    """

    node: ir.Node
    bilinear: Bilinear
    codes: tuple[CodedOperand | None, ...]

    @classmethod
    def of(cls, node: ir.Node, builder: NodeBuilder) -> _Layer | None:
        """The product `node`; None where its operator has no synapses here, or where weights are coded."""
        if node.domain != "" or node.op_type not in BILINEAR or node.op_type == "Mul":
            return None
        codes = tuple(CodedOperand.of(operand, builder) for operand in operands_of(node))
        if all(codes) or (node.op_type == "Conv" and codes[1] is not None):
            return None
        return cls(node, BILINEAR[node.op_type](node), codes)

    @property
    def observed(self) -> list[str]:
        """Names of the tensors of a run that `operations` and `weights` read."""
        operands = zip(operands_of(self.node), self.codes, strict=True)
        plain = [str(value.name) for value, code in operands if code is None and value.const_value is None]
        return [*plain, *(name for code in self.codes if code is not None for name in code.observed)]

    def operations(self, tensors: Mapping[str, NDArray[Any]]) -> SynapticOperations:
        """Effective operations of a run."""
        counts, binary = [], False
        for value, code in zip(operands_of(self.node), self.codes, strict=True):
            if code is not None:
                counts.append(code.events(tensors).fired)
                binary = True
            else:
                array = _array(value, tensors)
                # By NeuroBench a layer whose input holds nothing but -1, 0 and 1 receives spikes.
                binary = binary or (value.const_value is None and bool(np.isin(array, (-1, 0, 1)).all()))
                counts.append((array != 0).astype(np.float64))
        total = round(self.bilinear.connections(*counts))
        return SynapticOperations(effective_acs=total) if binary else SynapticOperations(effective_macs=total)

    def weights(self, tensors: Mapping[str, NDArray[Any]]) -> tuple[str, Float64]:
        """Name and values of the weights, which are the operand that is not coded, or the second one."""
        place = 0 if self.codes[0] is None and self.codes[1] is not None else 1
        value = operands_of(self.node)[place]
        return str(value.name), _array(value, tensors)


class _Meter:
    """A network whose figures are summed over runs."""

    def __init__(self, network: ir.Model, *, kernels: bool) -> None:
        self._footprint = _footprint(network)
        observed = network.clone()
        builder = builder_of(observed)
        spiking = [node for node in observed.graph if node.domain == DOMAIN]
        self._nodes = [each for node in spiking if (each := ObservedNode.of(node)) is not None]
        layers = [_Layer.of(node, builder) for node in list(observed.graph)]
        self._layers = {name_of(layer.node): layer for layer in layers if layer is not None}
        self._counters, self._graph = Counters(observed), observed.graph
        names = [name for node in self._nodes for name in node.observed]
        names += [name for layer in self._layers.values() for name in layer.observed]
        names = [*dict.fromkeys(names), *self._counters.outputs]
        self._observer = Observer(
            observed, names, session_options=quiet_options_with_kernels if kernels else quiet_options
        )
        self._effective: dict[str, SynapticOperations] = {}
        self._active: dict[str, Activity] = {}
        self._weights: dict[str, tuple[int, int]] = {}
        self._samples = 0

    def add(self, feed: Feed) -> None:
        """Run on `feed` and add its figures."""
        tensors = self._observer(feed)
        for name, counts in self._counters.outputs.items():
            counts[:] = tensors[name]
        self._counters.add(feed)
        self._samples += sample_count(feed)
        for name, layer in self._layers.items():
            self._effective[name] = self._effective.get(name, SynapticOperations()) + layer.operations(tensors)
        for node in self._nodes:
            for fired in node.fired(tensors):
                own, trains = fired.role.within(node.name), fired.trains()
                steps = Activity(steps=trains[:, 0].size, active_steps=int(trains.any(axis=1).sum()))
                self._active[own] = self._active.get(own, Activity()) + steps
        if not self._weights:
            self._weights = dict(self._zeros(tensors))

    def _zeros(self, tensors: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, tuple[int, int]]]:
        """Name, size and number of zeros of the weights of every product with weights."""
        for product in self._counters.products():
            if product.kind is ProductKind.WEIGHTS and product.node in self._layers:
                name, values = self._layers[product.node].weights(tensors)
                yield name, (values.size, values.size - int(np.count_nonzero(values)))

    def figures(self, name: str) -> NeuroBench:
        """The figures of all runs so far; `name` is that of the model."""
        neurons, products = self._counters.neurons(), self._counters.products()
        slots = {activity.node: (activity.slots, activity.timesteps) for activity in neurons if activity.is_code}
        operations = {product.node: self._operations(product, slots) for product in products}
        weighted = {each.node for each in products if each.kind is ProductKind.WEIGHTS and each.operator != "Mul"}
        return NeuroBench(
            name,
            self._samples,
            self._footprint,
            weights=sum(size for size, _ in self._weights.values()),
            zeros=sum(zeros for _, zeros in self._weights.values()),
            activity=sum((self._activity(activity) for activity in neurons), Activity()),
            layers={node: each for node, each in operations.items() if node in weighted},
            extension={node: each for node, each in operations.items() if node not in weighted},
            assumed_dense={
                each.node: why_left(each, self._graph)
                for each in products
                if each.node in weighted - self._layers.keys()
            },
            unobserved={
                activity.name: "in the body of a Loop: it counts in all figures but those by element"
                for activity in neurons
                if activity.name not in self._active
            },
        )

    def _operations(self, product: ProductActivity, slots: Mapping[str, tuple[int, int]]) -> SynapticOperations:
        """Operations of a product: effective ones by its weights where they are seen, dense ones by its size."""
        macs = product.multiply_accumulates
        dense = [slots[operand.neuron] for operand in product.operands] or [(1, 1)]
        sizes = SynapticOperations(
            dense=macs * sum(all_slots for all_slots, _ in dense),
            dense_by_element=macs * sum(steps for _, steps in dense),
        )
        if product.node in self._effective and product.kind is ProductKind.WEIGHTS:
            return sizes + self._effective[product.node]
        if product.spiking:
            return sizes + SynapticOperations(effective_acs=product.synaptic_operations)
        return sizes + SynapticOperations(effective_macs=macs)

    def _activity(self, activity: NeuronActivity) -> Activity:
        """Slots, spikes and updates of a neuron: its charge, and its spikes after the first time step."""
        counted = Activity(
            slots=activity.elements * activity.slots,
            spikes=activity.total,
            updates=activity.elements * activity.bases + int(activity.spikes[1:].sum()),
        )
        return counted + self._active.get(activity.name, Activity())


def _footprint(network: ir.Model) -> int:
    """Bytes of all initializers, those of bodies included."""
    values = [value for graph in network.graphs() for value in graph.initializers.values()]
    return sum(value.const_value.nbytes for value in values if value.const_value is not None)


def _array(value: ir.Value, tensors: Mapping[str, NDArray[Any]]) -> Float64:
    stored = value.const_value
    return np.asarray(tensors[str(value.name)] if stored is None else stored.numpy(), np.float64)
