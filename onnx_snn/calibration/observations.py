# SPDX-License-Identifier: Apache-2.0
"""Tensors that calibration observes, and the channel axes of each tensor to be coded.

A function needs the histogram of its argument. A coded operand needs a histogram of magnitudes for each of its
channels, from which the power-of-two scales of the channels are computed. Channels are

    weight product        the axis that the weights sum over
    normalization         the normalized axis, of x - mean for a layer normalization; none where there are several
    product               the contracted axis, where it has a fixed size: (head and) feature of queries and
                          keys; the feature axis of values, whose contracted axis is the sequence
    softmax output        none: probabilities lie in [0, 1]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.calibration.statistics import Observation
from onnx_snn.decompositions.type_inference import CAST_TYPES
from onnx_snn.graph.node_builder import NodeBuilder, add_initializer
from onnx_snn.graph.quantization_grid import Grid
from onnx_snn.graph.subgraphs import graph_of
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.neurons.bodies.statements import REDUCE_AXES_INPUT_OPSET
from onnx_snn.rules.site import (
    ActivationMatmulSite,
    FunctionSite,
    LayerNormSite,
    NormSite,
    Site,
    WeightMatmulSite,
)


class StaticAxes(dict[str, tuple[int | None, ...]]):
    """For each tensor the size of every axis, None where the size varies or is not known.

    Attributes:
        names: names of the model that holds the tensors, beside which calibration names what it adds.
    """

    def __init__(self, model: ir.Model, axes: Mapping[str, tuple[int | None, ...]] | None = None) -> None:
        super().__init__(axes or {})
        self.names = UniqueNames.of(model)


HEAD_AXIS = -3
"""Axis of the heads in batched attention operands, [batch, head, position, feature]."""


@dataclass(frozen=True)
class CodedTensor:
    """A tensor to be coded.

    Attributes:
        tensor: name of the tensor in the observed model.
        axes: axes that index its channels, counted from the end; None for one scale for the whole tensor.
        probabilities: whether its values are probabilities in [0, 1].
        divisor: name of the tensor by which a normalization divides it, row by row; None if it is not normalized.
        weighted: whether the other operand of its product is a weight.
        grid: the grid on which its elements lie, where it is quantized.
    """

    tensor: str
    axes: tuple[int, ...] | None
    probabilities: bool = False
    divisor: str | None = None
    weighted: bool = False
    grid: Grid | None = None

    @property
    def observation(self) -> Observation:
        """What calibration has to record of it."""
        return Observation(self.tensor, self.axes)

    @property
    def unscaled(self) -> CodedTensor:
        """The tensor without channels."""
        return replace(self, axes=None)


def coded_tensors(site: Site, static: StaticAxes) -> tuple[CodedTensor, ...]:
    """The tensors of `site` that pass through identity neurons, those of its first roles."""
    names = [value.name or "" for value in site.inputs]
    match site:
        case NormSite():
            seen = _deviation_name(site, static) if isinstance(site, LayerNormSite) else names[0]
            return (CodedTensor(seen, _norm_axes(site), divisor=_divisor_name(site, static)),)
        case WeightMatmulSite():
            axes = _weight_matmul_axes(site, static.get(names[0]))
            return (CodedTensor(names[0], axes, weighted=True, grid=site.grid),)
        case ActivationMatmulSite():
            return tuple(
                CodedTensor(name, None, probabilities=True, grid=operand.grid)
                if operand.is_probability
                else CodedTensor(name, _activation_matmul_axes(site, i, static.get(name)), grid=operand.grid)
                for i, (name, operand) in enumerate(zip(names, site.operands, strict=True))
            )
        case _:
            return ()


def observations(sites: Iterable[Site], static: StaticAxes) -> list[Observation]:
    """Everything that calibration has to record for `sites`, each thing once."""
    needed: dict[Observation, None] = {}
    for site in sites:
        if isinstance(site, FunctionSite):
            needed[Observation(site.inputs[0].name or "", None)] = None
        for coded in coded_tensors(site, static):
            needed[coded.observation] = None
            if coded.divisor is not None:
                needed[Observation(coded.divisor)] = None
    return list(needed)


def observed_model(model: ir.Model, sites: Iterable[Site], static: StaticAxes) -> ir.Model:
    """A copy of `model` in which deviation and divisor of every normalization of `sites` are tensors."""
    observed = model.clone()
    names = UniqueNames.of(observed)
    values = {value.name: value for value in observed.graph.inputs}
    values |= {value.name: value for node in observed.graph.all_nodes() for value in node.outputs}
    for site in sites:
        if isinstance(site, NormSite):
            x, output = values[site.inputs[0].name], values[site.output.name]
            appended = _Appended(observed, NodeBuilder(names, graph_of(output)))
            x = appended.in_float32(x, f"{site.output.name}/float32")
            if isinstance(site, LayerNormSite):
                x = appended.deviation(x, site.axes, _deviation_name(site, static))
            appended.divisor(x, site.axes, site.epsilon, _divisor_name(site, static))
    return observed


def _deviation_name(site: NormSite, static: StaticAxes) -> str:
    """Name of x - mean(x) of a layer normalization in the observed model."""
    return static.names.unused(f"{site.output.name}/deviation")


def _divisor_name(site: NormSite, static: StaticAxes) -> str:
    """Name of the root of the mean square and epsilon of a normalization in the observed model."""
    return static.names.unused(f"{site.output.name}/divisor")


class _Appended:
    """What normalizations compute on the way, appended to a graph in float32.

    Args:
        model: The model, whose main graph takes the constants.
        builder: Appends nodes to the main graph or to a branch in it.
    """

    def __init__(self, model: ir.Model, builder: NodeBuilder) -> None:
        self._model, self._builder = model, builder

    def in_float32(self, x: ir.Value, name: str) -> ir.Value:
        """`x`, or where it is of another type a Cast of it: that is what the neurons see."""
        return self._append("Cast", [x], name, {"to": ir.DataType.FLOAT}) if x.dtype in CAST_TYPES else x

    def deviation(self, x: ir.Value, axes: Sequence[int], name: str) -> ir.Value:
        """x - mean(x) over `axes`, as the tensor `name`."""
        return self._append("Sub", [x, self._mean(x, axes, f"{name}/mean")], name)

    def divisor(self, x: ir.Value, axes: Sequence[int], epsilon: float, name: str) -> ir.Value:
        """sqrt(mean(x**2) + epsilon) over `axes`, as the tensor `name`."""
        square = self._append("Mul", [x, x], f"{name}/square")
        epsilons = self._constant(np.asarray(epsilon, np.float32), f"{name}/epsilon")
        sum_ = self._append("Add", [self._mean(square, axes, f"{name}/mean"), epsilons], f"{name}/sum")
        return self._append("Sqrt", [sum_], name)

    def _mean(self, x: ir.Value, axes: Sequence[int], name: str) -> ir.Value:
        if self._model.graph.opset_imports[""] >= REDUCE_AXES_INPUT_OPSET:
            return self._append("ReduceMean", [x, self._constant(np.array(axes, np.int64), f"{name}/axes")], name)
        return self._append("ReduceMean", [x], name, {"axes": list(axes)})

    def _append(
        self, operator: str, inputs: Sequence[ir.Value], name: str, attributes: Mapping[str, Any] | None = None
    ) -> ir.Value:
        return self._builder.named(name, operator, inputs, attributes, dtype=ir.DataType.FLOAT)

    def _constant(self, array: NDArray[Any], name: str) -> ir.Value:
        return add_initializer(self._model, self._builder.names, name, array)


def _norm_axes(site: NormSite) -> tuple[int, ...] | None:
    """The normalized axis, where it is a single one of fixed size; groups of channels and places have one scale."""
    shape = site.inputs[0].shape
    fixed = site.gamma is not None or shape is None or isinstance(shape[site.axes[0]], int)
    return site.axes if len(site.axes) == 1 and fixed else None


def _weight_matmul_axes(site: WeightMatmulSite, sizes: Sequence[int | None] | None) -> tuple[int, ...] | None:
    """The axis that the weights sum over, counted from the end, where it has a fixed size."""
    axis = site.contraction_axis
    if axis is None or not (sizes or axis < 0):
        return None
    if not (site.contraction_is_fixed or (sizes and sizes[axis])):
        return None
    return (axis - len(sizes) if sizes and axis >= 0 else axis,)


def _activation_matmul_axes(
    site: ActivationMatmulSite, index: int, sizes: Sequence[int | None] | None
) -> tuple[int, ...] | None:
    """Channels of one operand of a product of two activations."""
    if not sizes:
        return None
    operand, other = site.operands[index], site.operands[1 - index]
    contracted = operand.contraction_axis
    if contracted is not None and contracted >= 0:  # the channels of a convolution
        return (contracted - len(sizes),) if sizes[contracted] is not None else None
    axis = -1 if other.is_probability or contracted is None else contracted
    if len(sizes) < -axis or sizes[axis] is None:
        return None
    has_heads = len(sizes) > -HEAD_AXIS and sizes[HEAD_AXIS] is not None
    return (HEAD_AXIS, axis) if has_heads else (axis,)
