# SPDX-License-Identifier: Apache-2.0
"""Models of old operator sets, written in a newer one by `onnx.version_converter`.

The converter takes a whole model as a protobuf message. Large weights are inputs in that message, so that it holds no
values of them; afterwards they are initializers again.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx import version_converter

from onnx_snn.errors import ModelError
from onnx_snn.graph.batched_scans import unbatch_scans
from onnx_snn.graph.domains import LONG_STANDARD, MICROSOFT
from onnx_snn.graph.external_weights import detach_weights, with_mapped_weights
from onnx_snn.graph.model_checks import MIN_OPSET, PRIVATE_STANDARD, checkable
from onnx_snn.metadata import UPGRADED_KEY

IR_VERSION = 7
"""Version of the file format of opset 13: since 4, initializers need not be inputs as well."""

UNBATCHED_SCAN = 9
"""First opset whose Scan has no batch axis; onnx.version_converter does not upgrade one that has it."""


def upgraded(model: ir.Model, where: str) -> ir.Model:
    """The network `model` in the operators of opset `MIN_OPSET`, with a record of the version before.

    Args:
        model: the network, in an older opset; it is not changed, and the result shares its weights.
        where: name of the network in messages.

    Raises:
        ModelError: it has functions, which the converter drops, or the converter fails.
    """
    version = model.opset_imports[""]
    advice = f"{where} has opset {version}, and {MIN_OPSET} or later is needed; export it again with a later one"
    if model.functions:
        raise ModelError(f"{advice}: its functions cannot be upgraded by onnx.version_converter")
    hollow = with_mapped_weights(model)
    if version < UNBATCHED_SCAN:
        unbatch_scans(hollow, advice)
    weights = list(detach_weights(hollow))
    try:
        converted = version_converter.convert_version(_given(ir.to_proto(hollow)), MIN_OPSET)
        result = ir.from_proto(_completed(converted))
    except Exception as error:  # the converter's errors have no common base class
        raise ModelError(f"{advice}: onnx.version_converter cannot upgrade it: {error}") from error
    _restore(result, model, weights)
    result.metadata_props.update(model.metadata_props | {UPGRADED_KEY: str(version)})
    return result


def upgraded_from(model: ir.Model) -> int | None:
    """The opset of the file that `model` was read from, where it was upgraded; None elsewhere."""
    version = model.metadata_props.get(UPGRADED_KEY)
    return None if version is None else int(version)


def _given(message: onnx.ModelProto) -> onnx.ModelProto:
    """`message` as the converter takes it, with private operators of onnxruntime in their own domain."""
    given = checkable(message)
    given.ir_version = max(given.ir_version, IR_VERSION)
    for entry in (*given.opset_import, *given.graph.node):
        entry.domain = "" if entry.domain == LONG_STANDARD else entry.domain
    return given


def _completed(converted: onnx.ModelProto) -> onnx.ModelProto:
    """`converted` with the private operators of onnxruntime in the standard domain again."""
    for node in converted.graph.node:
        if node.domain == MICROSOFT and node.op_type in PRIVATE_STANDARD:
            node.domain = ""
    return converted


def _restore(result: ir.Model, model: ir.Model, weights: list[str]) -> None:
    """Give `result` the `weights` of `model`, as inputs as well only where `model` declares them as inputs."""
    declared = {value.name for value in model.graph.inputs}
    inputs = {value.name or "": value for value in result.graph.inputs}
    for name in weights:
        value = inputs[name]
        value.const_value = model.graph.initializers[name].const_value
        result.graph.initializers.add(value)
        if name not in declared:
            result.graph.inputs.remove(value)
