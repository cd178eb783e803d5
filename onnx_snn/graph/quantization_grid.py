# SPDX-License-Identifier: Apache-2.0
"""Grids of quantized tensors: the numbers (q - zero) * scale that DequantizeLinear makes of integers q of 8 bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import onnx_ir as ir

from onnx_snn.graph.constants import constant, dequantizes
from onnx_snn.graph.operator_lists import operators

_KEEPS_NUMBERS = operators(
    "Identity Dropout Reshape Transpose Slice Split Squeeze Unsqueeze Expand Flatten Gather MaxPool GlobalMaxPool"
)
"""Operators whose first output consists of elements of their first input."""

SMALLEST_STEP = 2.0**-100
"""Smallest step of a grid, and the inverse of the largest one: the parameters of its code are normal float32."""

_RANGES: Mapping[ir.DataType | None, tuple[int, int]] = {ir.DataType.UINT8: (0, 255), ir.DataType.INT8: (-128, 127)}
"""Smallest and largest integer by element type."""


class Grid(NamedTuple):
    """The numbers k * `step` for whole k from -`levels` to `levels`.

    Attributes:
        step: the distance of neighbouring numbers, a float32.
        levels: the largest magnitude in steps.
    """

    step: float
    levels: int


def grid_of(value: ir.Value | None) -> Grid | None:
    """The grid on which all elements of `value` lie, whatever the inputs of the network; None where there is none.

    The scale is one constant number; the zero point may vary from run to run.
    """
    node = None if value is None else value.producer()
    while node is not None and node.domain == "" and node.op_type in _KEEPS_NUMBERS:
        first = node.inputs[0]
        node = None if first is None else first.producer()
    if node is None or not dequantizes(node):
        return None
    integers, scale, *zeros = node.inputs
    step, dtype = constant(scale), _type_of(integers, zeros)
    if step is None or step.size != 1 or step.dtype is not ir.DataType.FLOAT or dtype not in _RANGES:
        return None
    size = float(step.numpy().item())
    return Grid(size, _largest_level(_RANGES[dtype], zeros)) if SMALLEST_STEP <= size <= 1.0 / SMALLEST_STEP else None


def _type_of(integers: ir.Value | None, zeros: list[ir.Value | None]) -> ir.DataType | None:
    """The element type of the integers, which is also that of their zero point."""
    declared = [value.dtype for value in (integers, *zeros) if value is not None and value.dtype is not None]
    tensor = constant(zeros[0]) if zeros else None
    return declared[0] if declared else None if tensor is None else tensor.dtype


def _largest_level(limits: tuple[int, int], zeros: list[ir.Value | None]) -> int:
    """The largest magnitude of q - zero for integers q within `limits`."""
    low, high = limits
    if not zeros or zeros[0] is None:
        return max(-low, high)
    tensor = constant(zeros[0])
    if tensor is None or tensor.size != 1:
        return high - low
    zero = int(tensor.numpy().item())
    return max(zero - low, high - zero)
