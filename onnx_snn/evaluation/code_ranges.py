# SPDX-License-Identifier: Apache-2.0
"""Ranges of identity codes, and the error that comes from values beyond them.

A code of which a few elements are clipped can make most of the output error at any number of time steps. More spikes do
not help there, but a wider range or other calibration data do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.arrays import Float32
from onnx_snn.metadata import IDENTITY, SOURCE_KEY
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import PARAMETERS, operator_of

DOMINANT = 0.5
"""Share of an error from which on its source is named: most of it."""

BEYOND = np.float32(1e30)
"""A magnitude beyond the range of any code."""


@dataclass
class Clipping:
    """Elements beyond the range of one code, accumulated over batches.

    Attributes:
        elements: number of elements.
        outside: number of elements beyond the largest magnitude that the code represents.
        error: sum of squared errors of the code.
        clipped: part of it that is of the elements outside.
    """

    elements: int = 0
    outside: int = 0
    error: float = 0.0
    clipped: float = 0.0

    def add(self, exact: NDArray[Any], coded: NDArray[Any], largest: Float32) -> None:
        """Add one batch.

        Args:
            exact: input of the code.
            coded: its output, of the same shape.
            largest: largest magnitude that the code represents, of a shape that broadcasts against the input.
        """
        outside = np.abs(exact) > largest
        squares = (coded.astype(np.float64) - exact) ** 2
        self.elements += exact.size
        self.outside += int(outside.sum())
        self.error += float(squares.sum())
        self.clipped += float(squares[outside].sum())

    @property
    def error_share(self) -> float:
        """Share of the squared error that is of elements outside the range; 0 without error."""
        return self.clipped / self.error if self.error else 0.0


def largest_magnitude(neuron: MbeNeuron, scale: Float32) -> Float32:
    """Largest magnitude that an identity code represents by element, in the shape of its channel scale."""
    ends = np.abs(neuron(np.array([-BEYOND, BEYOND]))).max()
    return np.asarray(ends * scale, np.float32)


def fits(largest: Float32, exact: NDArray[Any]) -> bool:
    """Whether magnitudes by channel broadcast against a tensor, as they do unless it is transposed before its code."""
    try:
        return np.broadcast_shapes(largest.shape, exact.shape) == exact.shape
    except ValueError:
        return False


def code_ranges(model: ir.Model) -> dict[tuple[str, str], Float32]:
    """Largest magnitude of every identity code of a converted model, by the names of its node and of its input.

    Codes are left out whose parameters are not stored in the model.
    """
    ranges = {}
    for node in model.graph:
        if node.metadata_props.get(SOURCE_KEY) == IDENTITY:
            values = dict(zip(operator_of(node).inputs, node.inputs, strict=True))
            names = (*PARAMETERS, "scale")
            stored = {name: value.const_value for name in names if (value := values[name]) is not None}
            tensors = {name: tensor.numpy() for name, tensor in stored.items() if tensor is not None}
            if len(tensors) == len(names):
                scale = tensors.pop("scale")
                neuron = MbeNeuron(**tensors, polarity=node.attributes.get_int("polarity", 0))
                place = node.name or str(node.outputs[0].name), str(values["x"].name if values["x"] else "")
                ranges[place] = largest_magnitude(neuron, scale)
    return ranges


def range_remedy(codes: Iterable[tuple[str, Clipping]]) -> str:
    """What to do about codes whose error is mostly that of values beyond their range; empty if there are none.

    Args:
        codes: names of codes that make most of an error, with what they clip.
    """
    named = [(name, entry) for name, entry in codes if entry.outside and entry.error_share >= DOMINANT]
    if not named:
        return ""
    name, worst = named[0]
    others = f" ({len(named) - 1} more codes are like this)" if len(named) > 1 else ""
    return (
        f"the remedy is range, not spikes: of {worst.elements:,} values that {name} codes, {worst.outside:,} are "
        f"beyond its range and make {worst.error_share:.0%} of its error{others}; calibrate on data like these, or use "
        "a larger headroom"
    )
