# SPDX-License-Identifier: Apache-2.0
"""What the fused kernels of integers of onnxruntime do to the outputs of a quantized original.

Sessions fuse products with the quantization around them by default. The fused kernels round at other places, and on a
processor without dot products of 8 bits they saturate sums of 16 bits. Errors of a conversion are therefore relative to
the original without fusions, as its operators are defined.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from onnx_snn.data.specs import Feed
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.graph.domains import MICROSOFT
from onnx_snn.graph.operator_lists import INTEGER, INTEGER_MICROSOFT
from onnx_snn.runtime.execution import run
from onnx_snn.runtime.tap_session import Observer, optimized_session

NOTICEABLE = 1e-3
"""Relative error of an output from which the report names the reference: a tenth of what conversions may lose."""

_ROUNDINGS = INTEGER | {"QuantizeLinear", "DynamicQuantizeLinear"}


def reference_note(original: ir.Model, feeds: Iterable[Feed]) -> str | None:
    """Which outputs of `original` the fused kernels change on `feeds`, in words; None where none noticeably."""
    if not any(_is_quantized(node) for node in original.graph.all_nodes()):
        return None
    names = [value.name or "" for value in original.graph.outputs]
    plain, fused = Observer(original, names), optimized_session(original)
    differences = {name: Difference() for name in names}
    for feed in feeds:
        expected, actual = plain(feed), run(fused, names, feed)
        for name, difference in differences.items():
            if expected[name].dtype.kind == "f" and expected[name].shape == actual[name].shape:
                difference.add(expected[name], actual[name])
    found = {name: difference.relative_error for name, difference in differences.items()}
    name = max(found, key=lambda name: found[name])
    if not found[name] > NOTICEABLE:
        return None
    return (
        f"errors are relative to the original without fused kernels of integers; with them, its own output {name!r} "
        f"differs by {found[name]:.1e} on this processor"
    )


def _is_quantized(node: ir.Node) -> bool:
    """Whether `node` computes with integers of activations, or rounds activations to them."""
    if node.domain == "":
        return node.op_type in _ROUNDINGS
    return node.domain == MICROSOFT and node.op_type in INTEGER_MICROSOFT
