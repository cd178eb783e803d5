# SPDX-License-Identifier: Apache-2.0
"""The bodies of the guarded ops: the op itself, and a count of the elements beyond the range of its first neuron."""

from __future__ import annotations

from onnx_snn.neurons.bodies.normalization import deviation
from onnx_snn.neurons.bodies.statements import Target
from onnx_snn.neurons.opset import (
    DOMAIN,
    GUARDED,
    GUARDED_VERSION,
    OPERATORS,
    SATURATED_ELEMENTS,
    SPIKING_LAYER_NORMALIZATION,
    Operator,
)

_SATURATED_ELEMENTS = """
    low_end = Constant <value = int64[1] {0}> ()
    high_end = Constant <value = int64[1] {1}> ()
    lowest = Gather (range, low_end)
    highest = Gather (range, high_end)
    least = Mul (lowest, scale)
    most = Mul (highest, scale)
    below = Less (x, least)
    above = Greater (x, most)
    beyond = Or (below, above)
    beyond_row = Flatten <axis = 0> (beyond)
    beyond_int = Cast <to = 6> (beyond_row)
    total = ReduceSum <keepdims = 0> (beyond_int, high_end)
    saturated = Cast <to = 7> (total)
    """


def saturated_elements(target: Target) -> str:
    """saturated [1] = the number of elements with x < range[0] * scale or x > range[1] * scale."""
    return f"{_header(target)} {SATURATED_ELEMENTS} (x, scale, range) => (saturated) {{ {_SATURATED_ELEMENTS} }}"


def guarded(operator: Operator, target: Target) -> str:
    """The function of the guarded form of `operator`."""
    names = ", ".join(operator.inputs)
    scale = f"{operator.roles[0].prefix}scale"
    of_layer = operator is SPIKING_LAYER_NORMALIZATION
    return f"""
    {_header(target)} {GUARDED[operator.name]} <polarity> ({names}, range) => (y, saturated) {{
        y = {DOMAIN}.{operator.name} <polarity: int = @polarity> ({names})
        {_CENTRED.replace("DEVIATION", deviation(target)) if of_layer else ""}
        saturated = {DOMAIN}.{SATURATED_ELEMENTS} ({"deviation" if of_layer else "x"}, {scale}, range)
    }}"""


def guard_texts(names: frozenset[str], target: Target) -> list[str]:
    """The functions of the guarded forms of the ops `names`, and the one that counts for them."""
    return [saturated_elements(target), *(guarded(OPERATORS[name], target) for name in OPERATORS if name in names)]


_CENTRED = """
    norm_axis = Constant <value = int64[1] {-1}> ()
    DEVIATION
    """


def _header(target: Target) -> str:
    return f'<domain: "{DOMAIN}", opset_import: ["" : {target.opset}, "{DOMAIN}" : {GUARDED_VERSION}]>'
