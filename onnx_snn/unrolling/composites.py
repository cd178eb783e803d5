# SPDX-License-Identifier: Apache-2.0
"""Softmax and normalizations written out, in place, as standard operators around calls of `MbeNeuron`."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from onnx_snn.decompositions.builder import FormulaBuilder, Target
from onnx_snn.decompositions.function import inlined
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.neurons.function_bodies import function_protos
from onnx_snn.neurons.opset import DOMAIN, MBE_NEURON, Body


def write_out_composites(model: ir.Model) -> None:
    """Replace every spiking node of the main graph but `MbeNeuron` by the body of its function.

    Its neurons become calls of `MbeNeuron`, whose parameters are initializers.
    """
    spiking = [node for node in model.graph if node.domain == DOMAIN and node.op_type != MBE_NEURON.name]
    opset, names = model.graph.opset_imports[""], UniqueNames.of(model)
    protos = function_protos({node.op_type for node in spiking}, opset=opset, body=Body.LOOP)
    functions = {proto.name: ir.serde.deserialize_function(proto) for proto in protos}
    target = Target(model)
    for node in spiking:
        builder = FormulaBuilder(node, target)
        (output,) = inlined(builder, functions[node.op_type], model.graph.opset_imports)
        assert output is not None, "a function computes its output"
        loops = [each for each in builder.nodes if each.op_type == "Loop"]
        ir.convenience.replace_nodes_and_values(model.graph, node, [node], builder.nodes, node.outputs, [output])
        for loop in loops:
            _open(loop, model.graph, names)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)


def _open(loop: ir.Node, graph: ir.Graph, names: UniqueNames) -> None:
    """Put the body of a Loop that runs once in its place: functions enclose their statements in one."""
    body = loop.attributes["body"].as_graph()
    for inner, outer in zip(body.inputs[2:], loop.inputs[2:], strict=True):
        assert outer is not None, "what enters a loop is given"
        ir.convenience.replace_all_uses_with(inner, outer)
    results, nodes = list(body.outputs)[1:], list(body)
    body.outputs.clear()
    body.remove(nodes)
    for node in nodes:
        node.name = names.take(f"{loop.name}/{node.op_type}")
        for value in node.outputs:
            value.name = names.take(f"{loop.name}/{value.name}")
    ir.convenience.replace_nodes_and_values(graph, loop, [loop], nodes, loop.outputs, results)
