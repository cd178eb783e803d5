# SPDX-License-Identifier: Apache-2.0
"""Operators that compute a function registered by the user.

    acme.Snake(x)        with register(ScalarFunction("snake", ...))

Conditions: the operator, of any domain, has one activation as its only input and one output, and its type in lower
case is the name of a registered function that is not built in.
"""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.neurons import functions
from onnx_snn.rules.rule import Scope, name_of
from onnx_snn.rules.site import FunctionSite


def match(node: ir.Node, scope: Scope) -> FunctionSite | None:
    """The site of a registered function at `node`, or None."""
    name = node.op_type.lower()
    if len(node.inputs) != 1 or len(node.outputs) != 1 or name not in functions.registered():
        return None
    (x,) = node.inputs
    if x is None or not scope.flow.is_activation(x):
        return None
    return FunctionSite(
        name=name_of(node),
        nodes=(node,),
        inputs=(x,),
        output=node.outputs[0],
        rule="registered",
        function=name,
    )
