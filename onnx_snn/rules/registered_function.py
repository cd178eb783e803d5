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
    (x, *_) = (*node.inputs, None)
    if not is_registered(node) or x is None or not scope.flow.is_activation(x):
        return None
    return FunctionSite(
        name=name_of(node),
        nodes=(node,),
        inputs=(x,),
        output=node.outputs[0],
        rule="registered",
        function=node.op_type.lower(),
    )


def is_registered(node: ir.Node) -> bool:
    """Whether `node` has the form and the name of a registered function, whatever defines its operator."""
    return len(node.inputs) == len(node.outputs) == 1 and node.op_type.lower() in functions.registered()
