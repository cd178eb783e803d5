# SPDX-License-Identifier: Apache-2.0
"""Checks of a model that was read: validity as ONNX, functions, size, version of the operator set."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from onnx_snn.errors import ModelError
from onnx_snn.graph.domains import LONG_STANDARD, MICROSOFT
from onnx_snn.limits import NODES

MIN_OPSET = 13
"""Version of the ONNX operator set that models of older ones are upgraded to: Softmax, ReduceSum, Squeeze and Unsqueeze
changed at 13."""

PRIVATE_STANDARD = {"LayerNormalization": 17, "SimplifiedLayerNormalization": sys.maxsize}
"""Operators that onnxruntime accepts in the standard domain at any version, with the first version in which onnx has
them; `sys.maxsize` for none."""


def check_graph(model: onnx.ModelProto | str, where: str) -> None:
    """Let onnx check a model in memory, or in a file, where it finds the external data too.

    Raises:
        ModelError: it is not valid ONNX.
    """
    try:
        onnx.checker.check_model(model if isinstance(model, str) else checkable(model))
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{where} is not valid ONNX: {error}") from error


def check_functions(model: ir.Model, where: str) -> None:
    """Refuse a model whose functions call themselves or each other in a circle: it has no end.

    Raises:
        ModelError: they do; the message names them in the order of their calls.
    """
    try:
        InlinePass().requires(model)
    except ir.passes.PreconditionError as error:
        raise ModelError(f"{where} has functions that call themselves: {error}") from error


def check_size(model: ir.Model, where: str) -> None:
    """Refuse a model that has too many nodes once its functions are written out: they grow with a power of their depth.

    Its functions must not call themselves.

    Raises:
        ModelError: there are more than `onnx_snn.limits.NODES` allows.
    """
    sizes: dict[ir.OperatorIdentifier, int] = {}

    def size(nodes: Iterable[ir.Node]) -> int:
        return sum(sizes.get(node.op_identifier(), 1) for node in nodes)

    waiting = list(model.functions.values())
    while waiting:
        function = waiting.pop()
        if function.identifier() in sizes:
            continue
        called = {node.op_identifier() for node in function.all_nodes()} & model.functions.keys()
        missing = [model.functions[identifier] for identifier in called if identifier not in sizes]
        if missing:
            waiting += [function, *missing]
        else:
            sizes[function.identifier()] = size(function.all_nodes())
    nodes = size(model.graph.all_nodes())
    if nodes > NODES.value:
        raise ModelError(
            f"{where} has {nodes:.4g} nodes when its functions are written out, more than {NODES.value}; {NODES.remedy}"
        )


def check_opset(model: ir.Model, where: str) -> None:
    """Refuse a model that does not say which operators it uses.

    Raises:
        ModelError: it imports no version of the ONNX operators.
    """
    if model.opset_imports.get("") is None:
        raise ModelError(f"{where} imports no version of the ONNX operators")


def checkable(model: onnx.ModelProto) -> onnx.ModelProto:
    """What onnx's checker is to see of `model`.

    onnxruntime's optimizer writes operators of its own into the standard domain, which onnx does not know there: in
    the copy that is returned they stand in onnxruntime's domain.
    """
    version = next((entry.version for entry in model.opset_import if entry.domain in ("", LONG_STANDARD)), 0)
    private = [node for node in model.graph.node if not node.domain and version < PRIVATE_STANDARD.get(node.op_type, 0)]
    if not private:
        return model
    names = {node.output[0] for node in private}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.output and node.output[0] in names:
            node.domain = MICROSOFT
    if all(entry.domain != MICROSOFT for entry in copy.opset_import):
        copy.opset_import.add(domain=MICROSOFT, version=1)
    return copy
