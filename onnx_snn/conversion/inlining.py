# SPDX-License-Identifier: Apache-2.0
"""Inline: write the spiking nodes of a converted model as standard operators, in a file without functions.

Every node gets the body that suits its own neurons, where a function has one that suits all neurons of the file. What
depends on parameters alone is computed here, and what a body encloses to keep the nodes of a large graph few lies in
the graph itself. onnxruntime returns the same bits as for the file with functions. No kernel runs such a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from onnx.reference.ops import load_op
from onnx_ir.passes.common import InlinePass

from onnx_snn.conversion.function_library import has_low_precision
from onnx_snn.errors import ModelError
from onnx_snn.graph.constants import constant
from onnx_snn.graph.node_builder import SharedInitializers
from onnx_snn.graph.subgraphs import graph_of
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.metadata import INLINED_KEY, PART_OF_KEY, SOURCE_KEY
from onnx_snn.neurons.bodies.guarantees import Guarantees
from onnx_snn.neurons.bodies.statements import SINGLE_PASS
from onnx_snn.neurons.function_bodies import function_protos
from onnx_snn.neurons.opset import DOMAIN, OPERATORS, Body, Precision
from onnx_snn.profiling.inspection import spiking_records
from onnx_snn.profiling.spike_outputs import guarantees_of
from onnx_snn.rules.rule import name_of


def inlined(model: ir.Model, body: Body, precision: Precision) -> ir.Model:
    """A copy of the converted `model` without functions.

    Args:
        model: a model whose spiking nodes have functions; those of others are inlined too.
        body: form of the bodies of its spiking nodes.
        precision: type in which they add up rows.

    Raises:
        ModelError: a function imports another operator set than the model.
    """
    copy = model.clone()
    others, spiking = set(copy.graph.all_nodes()), _spiking_nodes(copy)
    copy.metadata_props[INLINED_KEY] = json.dumps(spiking_records(spiking))
    low_precision = has_low_precision(copy)
    _add_own_functions(copy, spiking, Body.LOOP if low_precision else body, precision)
    for node in spiking:
        node.metadata_props[PART_OF_KEY] = name_of(node)
    outputs = {str(value.name) for node in spiking for value in node.outputs}
    try:
        InlinePass()(copy)
    except ValueError as error:
        raise ModelError(f"a function of the model cannot be inlined: {error}") from error
    copy.functions.clear()
    del copy.graph.opset_imports[DOMAIN]
    # Between standard nodes onnxruntime drops casts to a low precision and back, and so rounds less often.
    if not low_precision:
        _open_single_passes(copy)
    parts = [node for node in copy.graph.all_nodes() if node not in others and PART_OF_KEY in node.metadata_props]
    _fold(copy, parts)
    _rename(copy, [node for node in parts if node.graph is not None], outputs)
    return copy


def _spiking_nodes(model: ir.Model) -> list[ir.Node]:
    """The spiking nodes of `model`, subgraphs included."""
    return [node for node in model.graph.all_nodes() if node.domain == DOMAIN]


def _add_own_functions(model: ir.Model, spiking: list[ir.Node], body: Body, precision: Precision) -> None:
    """Let each spiking node, but for guarded ones, call overloads of functions that are written for its own neurons."""
    overloads: dict[tuple[Guarantees, Body, bool], str] = {}
    for node in spiking:
        if node.op_type not in OPERATORS:
            continue
        metered, guarantees = len(node.outputs) > 1, guarantees_of([node])
        own = body if guarantees.closed else Body.LOOP
        node.overload = overloads.setdefault((guarantees, own, metered), str(len(overloads) + 1))
        if node.op_identifier() in model.functions:
            continue
        protos = function_protos(
            [node.op_type],
            opset=model.graph.opset_imports[""],
            body=own,
            metered=metered,
            guarantees=guarantees,
            precision=precision,
        )
        for proto in protos:
            function = ir.serde.deserialize_function(proto)
            function.overload = node.overload
            for call in function.all_nodes():
                if call.domain == DOMAIN:
                    call.overload = node.overload
            model.functions[function.identifier()] = function


def _open_single_passes(model: ir.Model) -> None:
    """Put the bodies of Loops that run once in place of these, in place."""
    for loop in list(model.graph.all_nodes()):
        body = loop.attributes["body"].as_graph() if loop.op_type == "Loop" else None
        if body is None or body.name != SINGLE_PASS or PART_OF_KEY not in loop.metadata_props:
            continue
        for inner, outer in zip(body.inputs[2:], loop.inputs[2:], strict=True):
            assert outer is not None, "a Loop reads what it carries"
            inner.replace_all_uses_with(outer)
        results, nodes = list(body.outputs)[1:], list(body)
        body.outputs.clear()
        body.remove(nodes)
        ir.convenience.replace_nodes_and_values(graph_of(loop), loop, [loop], nodes, loop.outputs, results)


def _fold(model: ir.Model, parts: list[ir.Node]) -> None:
    """Compute what depends on constants alone, in place, and remove the nodes among `parts` that nothing reads."""
    constants = SharedInitializers(model, UniqueNames.of(model))
    for node in parts:
        array = _value(node, model.graph.opset_imports[""])
        if array is not None:
            dtype = ir.DataType.from_numpy(array.dtype)
            node.outputs[0].replace_all_uses_with(constants.get(array, dtype, "onnx_snn.constant"))
    for node in reversed(parts):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph_of(node).remove(node, safe=True)
    for name, value in list(model.graph.initializers.items()):
        if name.startswith("onnx_snn.") and not (value.uses() or value.is_graph_input() or value.is_graph_output()):
            del model.graph.initializers[name]


@np.errstate(all="ignore")
def _value(node: ir.Node, opset: int) -> np.ndarray | None:
    """What `node` computes where it reads constants alone, in ONNX's reference; None where it does not."""
    if len(node.outputs) != 1 or any(value is None or value.is_graph_input() for value in node.inputs):
        return None
    if any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values()):
        return None
    if node.op_type == "Constant":
        tensor = constant(node.outputs[0])
        return None if tensor is None else tensor.numpy()
    tensors = [value.const_value for value in node.inputs if value is not None]
    if not tensors or any(tensor is None for tensor in tensors):
        return None
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    result = load_op("", node.op_type, opset).eval(*(t.numpy() for t in tensors if t is not None), **attributes)
    return np.asarray(result)


def _rename(model: ir.Model, parts: list[ir.Node], kept: set[str]) -> None:
    """Name `parts` and what they compute after their spiking nodes, but for the values called `kept`."""
    for node in parts:  # their names may be those of values of subgraphs that are inlined later
        node.name = None
        for value in node.outputs:
            if value.name not in kept:
                value.name = None
    names = UniqueNames.of(model)
    for node in parts:
        node.metadata_props.pop(SOURCE_KEY, None)
        node.name = names.take(f"{node.metadata_props[PART_OF_KEY]}/{node.op_type}")
        for value in node.outputs:
            value.name = value.name or names.take(f"{node.name}_output")
        for value in _inner_inputs(node):
            value.name = names.take(f"{node.name}/{value.name}")


def _inner_inputs(node: ir.Node) -> Iterator[ir.Value]:
    """The inputs of the subgraphs of `node`."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield from attribute.as_graph().inputs
