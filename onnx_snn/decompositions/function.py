# SPDX-License-Identifier: Apache-2.0
"""Functions put in the place of their calls: those of the model, and those that define a standard operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported


def inlined(op: FormulaBuilder, function: ir.Function, imports: Mapping[str, int]) -> Outputs:
    """The nodes of `function`, called with the inputs and attributes of the node.

    `onnx_ir.passes.common.InlinePass` inlines all calls of a function or none, gives the nodes of two calls the names
    that they have in the function, and stops at a function of another opset: here one call may stay in one piece, and
    reports name nodes after the call that they are written for.

    Raises:
        Unsupported: it is written for another version of the operators than `imports`, or takes graphs.
    """
    for domain, version in function.opset_imports.items():
        if imports.get(domain, version) != version:
            raise Unsupported(
                f"the function {function.name} is written for version {version} of the operators of "
                f"{domain or 'ai.onnx'!r}, the model for {imports[domain]}"
            )
    body = function.clone()
    given = dict(zip(body.inputs, [*op.node.inputs, *[None] * len(body.inputs)], strict=False))
    attributes = {name: attribute for name, attribute in body.attributes.items() if attribute.value is not None}
    attributes |= op.node.attributes
    nodes = list(body)
    outputs = [given.get(value, value) for value in body.outputs]
    for graph_node in body.all_nodes():
        _resolve(graph_node, attributes)
        for index, value in enumerate(graph_node.inputs):
            if value in given:
                graph_node.replace_input_with(index, given[value])
    body.outputs.clear()
    body.remove(nodes)
    op.adopt(nodes)
    return outputs


def defining_function(op: FormulaBuilder) -> ir.Function:
    """The function that defines the standard operator of the node, for the types of its inputs.

    Raises:
        Unsupported: onnx knows none, or a type is not known.
    """
    node = op.node
    types = []
    for value in node.inputs:
        if value is None:
            types.append(b"")
            continue
        if value.type is None or value.shape is None:
            raise Unsupported(f"the type of {value.name!r} is not known")
        types.append(ir.serde.serialize_value(value).type.SerializeToString())
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, op.opset, "")
        call = ir.serde.serialize_node(node).SerializeToString()
        # The last version that onnx knows: what its operators compute has not changed in later opsets.
        version = max(known for known in schema.context_dependent_function_opset_versions if known <= op.opset)
        body = schema.get_context_dependent_function_with_opset_version(version, call, types)
    except Exception as error:  # onnx's schema errors share no base class
        raise Unsupported(f"onnx {onnx.__version__} does not define {node.op_type} here: {error}") from error
    if not body:
        raise Unsupported(f"onnx {onnx.__version__} has no function for {node.op_type} of opset {op.opset}")
    function = onnx.FunctionProto.FromString(body)
    # The signature names every output; of those that the node leaves out the body makes none.
    made = {*function.input, *(name for inner in function.node for name in inner.output)}
    function.output[:] = [name if name in made else function.output[0] for name in function.output]
    return ir.serde.deserialize_function(function)


def _resolve(node: ir.Node, attributes: Mapping[str, ir.Attr]) -> None:
    """Put the values of `attributes` in the place of references to them; a reference to none of them goes."""
    for name, attribute in list(node.attributes.items()):
        if not attribute.is_ref():
            continue
        value = attributes.get(attribute.ref_attr_name or "")
        if value is None:
            del node.attributes[name]
        else:
            node.attributes[name] = ir.Attr(name, value.type, value.value)
