# SPDX-License-Identifier: Apache-2.0
"""Inlining of functions: those of the model, and those by which ONNX defines a standard operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported


def inlined(op: FormulaBuilder, function: ir.Function, imports: Mapping[str, int]) -> Outputs:
    """Add the nodes of `function`, called with the inputs and attributes of the node of `op`.

    `onnx_ir.passes.common.InlinePass` does not fit here: it inlines all calls of a function or none, whereas one call
    may have to stay in one piece, and reports name nodes after the call that they come from.

    Args:
        op: builder of the call.
        function: the function that it calls.
        imports: versions of the operators that the model imports, by domain.

    Returns:
        The outputs of the call.

    Raises:
        Unsupported: the function imports other versions of the operators.
    """
    for domain, version in function.opset_imports.items():
        if imports.get(domain, version) != version:
            raise Unsupported(
                f"the function {function.name} imports version {version} of the operators of "
                f"{domain or 'ai.onnx'!r}, but the model imports {imports[domain]}"
            )
    body = function.clone()
    arguments = dict(zip(body.inputs, [*op.node.inputs, *[None] * len(body.inputs)], strict=False))
    attributes = {name: attribute for name, attribute in body.attributes.items() if attribute.value is not None}
    attributes |= op.node.attributes
    nodes = list(body)
    outputs = [arguments.get(value, value) for value in body.outputs]
    for graph_node in body.all_nodes():
        _resolve(graph_node, attributes)
        for index, value in enumerate(graph_node.inputs):
            if value in arguments:
                graph_node.replace_input_with(index, arguments[value])
    body.outputs.clear()
    body.remove(nodes)
    op.adopt(nodes)
    return outputs


def defining_function(op: FormulaBuilder) -> ir.Function:
    """The function that defines the standard operator of the node, for the types of its inputs.

    Raises:
        Unsupported: onnx has no such function, or the type or shape of an input is unknown.
    """
    node = op.node
    types = []
    for value in node.inputs:
        if value is None:
            types.append(b"")
            continue
        if value.type is None or value.shape is None:
            raise Unsupported(f"type or shape of {value.name!r} is unknown")
        types.append(ir.serde.serialize_value(value).type.SerializeToString())
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, op.opset, "")
        call = ir.serde.serialize_node(node).SerializeToString()
        # The newest version up to the model's opset; its operators have not changed in later opsets.
        version = max(each for each in schema.context_dependent_function_opset_versions if each <= op.opset)
        body = schema.get_context_dependent_function_with_opset_version(version, call, types)
    except Exception as error:  # onnx's schema errors have no common base class
        raise Unsupported(
            f"onnx {onnx.__version__} does not define {node.op_type} for these inputs: {error}"
        ) from error
    if not body:
        raise Unsupported(f"onnx {onnx.__version__} has no function for {node.op_type} of opset {op.opset}")
    function = onnx.FunctionProto.FromString(body)
    # The signature names every output, but the body computes only those that the node has.
    computed = {*function.input, *(name for inner in function.node for name in inner.output)}
    function.output[:] = [name if name in computed else function.output[0] for name in function.output]
    return ir.serde.deserialize_function(function)


def _resolve(node: ir.Node, attributes: Mapping[str, ir.Attr]) -> None:
    """Replace references to `attributes` by their values, and remove references to attributes that are not given."""
    for name, attribute in list(node.attributes.items()):
        if not attribute.is_ref():
            continue
        value = attributes.get(attribute.ref_attr_name or "")
        if value is None:
            del node.attributes[name]
        else:
            node.attributes[name] = ir.Attr(name, value.type, value.value)
