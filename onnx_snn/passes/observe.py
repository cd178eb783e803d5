# SPDX-License-Identifier: Apache-2.0
"""Observe: which tensors calibration has to see, and along which axes each coded one is scaled.

A function needs the histogram of its argument. A coded operand needs the magnitudes of each of its channels,
which decide the powers of two that bring its channels to one range. Channels are

    weight product        the axis that the weights sum over
    normalization         the normalized axis, of x - mean for a layer normalization
    product               the contracted axis, where it has a fixed size: (head and) feature of queries and
                          keys; the feature axis of values, whose contracted axis is the sequence
    softmax output        none: probabilities lie in [0, 1]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_snn.bodies import REDUCE_AXES_INPUT_OPSET
from onnx_snn.calibrate import Observation
from onnx_snn.rules.site import Kind, Site

StaticAxes = Mapping[str, tuple[int | None, ...]]
"""For each tensor the size of every axis, None where the size varies or is not known."""

HEAD_AXIS = -3
"""Axis of the heads in the batched products of attention, [batch, head, position, feature]."""


@dataclass(frozen=True)
class CodedTensor:
    """A tensor to be coded.

    Attributes:
        tensor: its name in the observed model.
        axes: axes that index its channels, from the end; None for one scale over all.
        probabilities: whether it lies in [0, 1].
    """

    tensor: str
    axes: tuple[int, ...] | None
    probabilities: bool = False

    @property
    def observation(self) -> Observation:
        """What calibration has to record of it."""
        return Observation(self.tensor, self.axes)


def coded_tensors(site: Site, static: StaticAxes) -> tuple[CodedTensor, ...]:
    """The tensors of `site` that pass through identity neurons, in the order of its inputs."""
    if site.kind is Kind.LAYER_NORM:
        return (CodedTensor(deviation_name(site), (-1,)),)
    names = tuple(value.name or "" for value in site.inputs)
    if site.kind is Kind.RMS_NORM:
        return (CodedTensor(names[0], (-1,)),)
    if site.kind is Kind.SYNAPSE:
        return (CodedTensor(names[0], _synapse_axes(site, static.get(names[0]))),)
    if site.kind is Kind.PRODUCT:
        probabilities = site.parameters["probabilities"]
        return tuple(
            CodedTensor(name, None, True)
            if probabilities[i]
            else CodedTensor(name, _product_axes(site, i, static.get(name)))
            for i, name in enumerate(names)
        )
    return ()


def observations(sites: Iterable[Site], static: StaticAxes) -> list[Observation]:
    """Everything that calibration has to record for `sites`, each thing once."""
    needed: dict[Observation, None] = {}
    for site in sites:
        if site.kind is Kind.FUNCTION:
            needed[Observation(site.inputs[0].name or "", None)] = None
        needed.update((coded.observation, None) for coded in coded_tensors(site, static))
    return list(needed)


def observed_model(model: ir.Model, sites: Iterable[Site]) -> ir.Model:
    """A copy of `model` in which the deviation of every layer normalization of `sites` is a tensor."""
    observed = model.clone()
    values = {value.name: value for node in observed.graph for value in node.outputs}
    values |= {value.name: value for value in observed.graph.inputs}
    for site in sites:
        if site.kind is Kind.LAYER_NORM:
            _add_deviation(observed, values[site.inputs[0].name], deviation_name(site))
    return observed


def deviation_name(site: Site) -> str:
    """Name of x - mean(x) of a layer normalization in the observed model."""
    return f"{site.output.name}/deviation"


def _add_deviation(model: ir.Model, x: ir.Value, name: str) -> None:
    """Append nodes that compute x - mean(x) over the last axis as the tensor `name`."""
    if model.graph.opset_imports[""] >= REDUCE_AXES_INPUT_OPSET:
        axes = ir.val(f"{name}/axes", const_value=ir.tensor(np.array([-1], np.int64), name=f"{name}/axes"))
        model.graph.register_initializer(axes)
        mean = ir.node("ReduceMean", [x, axes])
    else:
        mean = ir.node("ReduceMean", [x], {"axes": [-1]})
    deviation = ir.node("Sub", [x, mean.outputs[0]])
    mean.outputs[0].name, deviation.outputs[0].name = f"{name}/mean", name
    deviation.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    model.graph.extend([mean, deviation])


def _synapse_axes(site: Site, sizes: Sequence[int | None] | None) -> tuple[int, ...] | None:
    """The axis that the weights sum over, counted from the end, where it has a fixed size."""
    axis = site.parameters["contraction_axis"]
    if axis is None or not (sizes or axis < 0):
        return None
    if not (site.parameters["contraction_is_fixed"] or (sizes and sizes[axis])):
        return None
    return (axis - len(sizes) if sizes and axis >= 0 else axis,)


def _product_axes(site: Site, operand: int, sizes: Sequence[int | None] | None) -> tuple[int, ...] | None:
    """Channels of one operand of a product of two activations."""
    if not sizes:
        return None
    other_is_probability = site.parameters["probabilities"][1 - operand]
    contracted = (site.parameters["contraction_axes"] or (None, None))[operand]
    axis = -1 if other_is_probability or contracted is None else contracted
    if len(sizes) < -axis or sizes[axis] is None:
        return None
    has_heads = len(sizes) > -HEAD_AXIS and sizes[HEAD_AXIS] is not None
    return (HEAD_AXIS, axis) if has_heads else (axis,)
