# SPDX-License-Identifier: Apache-2.0
"""Range guard: an output of a converted model that counts the elements beyond the range of each neuron in one run.

Codes and functions are fitted to the range of the calibration data, widened by the headroom; beyond it they saturate
(`onnx_snn.neurons.argument_range`). A guarded op gives its output, with the same bits, and the number of elements
beyond the range. The numbers of all guarded nodes are joined to one output int64 [nodes]; `GUARD_KEY` in the metadata
of the model names the node of each entry.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnx_snn.errors import ConfigError, ModelError
from onnx_snn.evaluation.stored_neurons import answers, stored_neuron
from onnx_snn.graph.counted_totals import Totals, why_uncounted
from onnx_snn.graph.model_reader import ModelSource, load_model
from onnx_snn.graph.node_builder import add_initializer
from onnx_snn.graph.subgraphs import graph_of
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.json_files import parse_object
from onnx_snn.metadata import GUARD_KEY, IDENTITY, SOURCE_KEY
from onnx_snn.neurons import function_bodies, functions
from onnx_snn.neurons.argument_range import UNLIMITED, argument_range
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import (
    DOMAIN,
    GUARDED,
    GUARDED_VERSION,
    MBE_NEURON,
    OPERATORS,
    SATURATED_ELEMENTS,
    VERSION,
    Precision,
)
from onnx_snn.neurons.ramps import Ends
from onnx_snn.rules.rule import name_of

OUTPUT = "saturated"
"""Name of the output of a guarded model, where the model has no value of that name."""


@dataclass(frozen=True)
class Guard:
    """What the guard of a model counts.

    Attributes:
        output: name of the output int64 [nodes]; empty where no node is guarded.
        nodes: names of the guarded nodes, by index of the output.
        unguarded: names of nodes whose elements beyond their range are not counted, with the reason.
    """

    output: str = ""
    nodes: tuple[str, ...] = ()
    unguarded: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """What is counted, in words."""
        of_nodes = f"output {self.output!r} counts the elements beyond the ranges of {len(self.nodes)} nodes"
        reasons = [f"{name}: {reason}" for name, reason in self.unguarded.items()]
        missing = f"; not guarded are {'; '.join(reasons)}" if reasons else ""
        return f"range guard: {of_nodes if self.nodes else 'no node can exceed a range that is known'}{missing}"


def guard_of(model: ir.Model) -> Guard | None:
    """The guard that `model` has; None where it has none.

    Raises:
        ModelError: it has guarded nodes, but no record of them that fits its outputs.
    """
    text = model.metadata_props.get(GUARD_KEY)
    if text is None and not _guarded_nodes(model):
        return None
    try:
        values = parse_object(text or "")
        guard = Guard(values["output"], tuple(values["nodes"]), dict(values["unguarded"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the metadata {GUARD_KEY!r} of a model with guarded nodes cannot be read ({error})"
        ) from error
    if guard.output not in {value.name for value in model.graph.outputs}:
        raise ModelError(f"the metadata {GUARD_KEY!r} names the output {guard.output!r}, which the model does not have")
    return guard


def add_guard(model: ir.Model, precision: Precision = Precision.DOUBLE) -> Guard:
    """Guard the neurons of a converted `model`, in place.

    Args:
        model: the model.
        precision: type in which its functions add up rows.

    Returns:
        What is guarded: not what cannot saturate, such as the neurons of mantissas, those of functions that are flat
        beyond their range, and codes of what another neuron answers that reach as far.
    """
    names, ranges, unguarded = UniqueNames.of(model), dict[ir.Node, Ends](), dict[str, str]()
    for node in list(model.graph.all_nodes()):
        if node.domain == DOMAIN and node.op_type in GUARDED:
            found = why_uncounted(model, graph_of(node)) or _range_of(node)
            if isinstance(found, str):
                unguarded[name_of(node)] = found
            elif found != UNLIMITED:
                ranges[node] = found
    counts = {_guarded(model, names, node, ends): node for node, ends in ranges.items()}
    if not counts:
        return Guard(unguarded=unguarded)
    output, order = Totals(model, names).joined(list(counts), OUTPUT)
    model.graph.outputs.append(output)
    _add_functions(model, precision)
    guard = Guard(str(output.name), tuple(name_of(counts[count]) for count in order), unguarded)
    values = {"output": guard.output, "nodes": guard.nodes, "unguarded": guard.unguarded}
    model.metadata_props[GUARD_KEY] = json.dumps(values)
    return guard


def add_element_counts(model: ir.Model) -> str:
    """Count the elements that each guarded node is given, as a further output of a guarded `model`, in place.

    Returns:
        Name of the output int64 [nodes], in the order of the guard.
    """
    names, guard = UniqueNames.of(model), guard_of(model)
    assert guard is not None, "callers check it"
    row, sizes = add_initializer(model, names, "onnx_snn.row", np.array([-1])), list[ir.Value]()
    for node in _guarded_nodes(model):
        size = ir.node("Size", [node.inputs[0]])
        whole = ir.node("Reshape", [size.outputs[0], row])
        for part in (size, whole):
            part.outputs[0].name, part.outputs[0].dtype = names.take(f"{name_of(node)}/size"), ir.DataType.INT64
        whole.outputs[0].shape = ir.Shape([1])
        graph_of(node).insert_after(node, [size, whole])
        sizes.append(whole.outputs[0])
    output, _ = Totals(model, names).joined(sizes, f"{guard.output}_of")
    model.graph.outputs.append(output)
    return str(output.name)


def load_unguarded(source: ModelSource, custom_ops: Sequence[str | Path] = ()) -> ir.Model:
    """A model as `load_model` reads it, without the guard that it may have.

    Raises:
        ModelError: the model cannot be read.
    """
    model = load_model(source, custom_ops)
    remove_guard(model)
    return model


def remove_guard(model: ir.Model) -> None:
    """Make the guarded ops of `model` what they are without the guard, in place, and remove its output."""
    guard = guard_of(model)
    if guard is None:
        return
    for value in [value for value in model.graph.outputs if value.name == guard.output]:
        model.graph.outputs.remove(value)
        _remove_unread(value)
    plain = {guarded: op_type for op_type, guarded in GUARDED.items()}
    for node in _guarded_nodes(model):
        node.op_type = plain[node.op_type]
        node.resize_inputs(len(node.inputs) - 1)
        node.resize_outputs(1)
    for identifier in list(model.functions):
        if identifier[0] == DOMAIN and identifier[1] in (*plain, SATURATED_ELEMENTS):
            del model.functions[identifier]
    _import(model, VERSION)
    del model.metadata_props[GUARD_KEY]


def range_of(neuron: MbeNeuron, source: str, *, is_code: bool) -> Ends | str:
    """Range of the scaled arguments of `neuron`, or why it is not known.

    Args:
        neuron: the neuron.
        source: name of the function that it computes.
        is_code: whether it is an identity code instead.
    """
    if neuron.sizes is None:
        return "its levels are not known, as its thresholds are no step sizes"
    try:
        return argument_range(neuron, None if is_code else functions.get(source))
    except ConfigError:
        return f"its function {source!r} is not registered here"


def _range_of(node: ir.Node) -> Ends | str:
    """Range of the scaled arguments of the first neuron of `node`, or why it is not known."""
    if len(node.outputs) > 1:
        return "its spikes are counted"
    stored = stored_neuron(node)
    if stored is None:
        return "its parameters are computed in the model"
    source = node.metadata_props.get(SOURCE_KEY, "")
    ends = range_of(stored.neuron, source, is_code=source == IDENTITY or OPERATORS[node.op_type].roles[0].is_code)
    bounds = answers(node.inputs[0]) if node.op_type == MBE_NEURON.name else None
    if isinstance(ends, str) or bounds is None:
        return ends
    least = float(stored.scale.min())
    within = ends.lowest * least <= bounds.lowest and bounds.highest <= ends.highest * least
    return UNLIMITED if within else ends


def _guarded(model: ir.Model, names: UniqueNames, node: ir.Node, ends: Ends) -> ir.Value:
    """The count of saturated elements of `node`, int64 [1], which becomes a guarded op."""
    limits = add_initializer(model, names, f"{name_of(node)}/range", np.array(ends, np.float32))
    node.op_type = GUARDED[node.op_type]
    node.resize_inputs(len(node.inputs) + 1)
    node.replace_input_with(len(node.inputs) - 1, limits)
    node.resize_outputs(2)
    count = node.outputs[1]
    count.name, count.dtype, count.shape = names.take(f"{name_of(node)}/{OUTPUT}"), ir.DataType.INT64, ir.Shape([1])
    return count


def _guarded_nodes(model: ir.Model) -> list[ir.Node]:
    return [n for n in model.graph.all_nodes() if n.domain == DOMAIN and n.op_type in GUARDED.values()]


def _add_functions(model: ir.Model, precision: Precision) -> None:
    plain = {guarded: op_type for op_type, guarded in GUARDED.items()}
    used = {plain[node.op_type] for node in _guarded_nodes(model)}
    for proto in function_bodies.guard_protos(used, opset=model.graph.opset_imports[""], precision=precision):
        function = ir.serde.deserialize_function(proto)
        model.functions[function.identifier()] = function
    _import(model, GUARDED_VERSION)


def _import(model: ir.Model, version: int) -> None:
    """Import `version` of the spiking ops into the model and its functions."""
    own = [function for (domain, _, _), function in model.functions.items() if domain == DOMAIN]
    for imports in (model.graph.opset_imports, *(function.opset_imports for function in own)):
        imports[DOMAIN] = version


def _remove_unread(value: ir.Value) -> None:
    """Remove what computes `value`, which nothing reads, up to the guarded ops."""
    node = value.producer()
    if node is None or value.uses() or value.is_graph_output() or node.domain == DOMAIN:
        return
    subgraphs = [attribute.as_graph() for attribute in node.attributes.values() if attribute.type.name == "GRAPH"]
    if subgraphs:  # what leaves a subgraph is its last output
        inner = [graph.outputs.pop() for graph in subgraphs]
        node.resize_outputs(len(node.outputs) - 1)
        for each in inner:
            _remove_unread(each)
        return
    read = [each for each in node.inputs if each is not None]
    graph_of(node).remove(node, safe=True)
    for each in reversed(read):
        _remove_unread(each)
