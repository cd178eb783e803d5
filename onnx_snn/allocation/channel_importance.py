# SPDX-License-Identifier: Apache-2.0
"""Importance of the channels of coded tensors: what an error in a channel does to the output of the matmul behind it.

A matmul sums over the channels c of its operand. An error e_c of channel c, independent of those of other channels,
gives its output a mean squared error of

    sum_c importance_c**2 * e_c**2

with importance_c the norm of the weights of the channel, or the root mean square of the channel in the other operand.
The sum is least for a given number of bits where all importance_c * e_c are equal (reverse water-filling: T. M. Cover
and J. A. Thomas, *Elements of Information Theory*, section 10.3.3). So codes have step sizes inversely proportional to
the importance, and channels below the step fall silent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float64
from onnx_snn.calibration.observations import CodedTensor, StaticAxes, coded_tensors
from onnx_snn.calibration.statistics import Calibration
from onnx_snn.graph.constants import constant, numbers
from onnx_snn.graph.product_operators import product_operator
from onnx_snn.rules.site import ActivationMatmulSite, NormSite, Site, WeightMatmulSite


def channel_importance(
    sites: Iterable[Site], static: StaticAxes, calibration: Calibration
) -> dict[CodedTensor, Float64]:
    """Importance of each channel, float64 [C], of the coded tensors of `sites` for which it is known.

    That of a tensor with several readers is the root mean square over its readers, each relative to its mean square.
    """
    squares: dict[CodedTensor, list[Float64]] = {}
    sites = list(sites)
    for site in sites:
        for tensor, importance in _of_matmul(site, static, calibration):
            if _fits(importance, tensor, calibration):
                squares.setdefault(tensor, []).append(importance**2 / np.mean(importance**2))
    found = {tensor: np.asarray(np.sqrt(np.mean(each, axis=0))) for tensor, each in squares.items()}
    outputs = {tensor.tensor: importance for tensor, importance in found.items()}
    for site in sites:
        if isinstance(site, NormSite):
            (tensor,) = coded_tensors(site, static)
            deviations = _of_norm(site, outputs)
            if deviations is not None and _fits(deviations, tensor, calibration):
                found[tensor] = deviations
    return found


def _of_matmul(site: Site, static: StaticAxes, calibration: Calibration) -> Iterable[tuple[CodedTensor, Float64]]:
    """Yield the operands of a matmul whose channels are contracted, with their importance."""
    tensors = coded_tensors(site, static)
    if isinstance(site, WeightMatmulSite):
        norms = weight_norms(site)
        if norms is not None:
            yield tensors[0], norms
    elif isinstance(site, ActivationMatmulSite):
        for operand, tensor, other in zip(site.operands, tensors, reversed(tensors), strict=True):
            axes = operand.contraction_axis, tensor.axes, other.axes
            if None not in axes and operand.contraction_axis == (tensor.axes or (None,))[-1] and other.axes:
                yield tensor, calibration.channels[other.tensor, other.axes].rms()


def _of_norm(site: NormSite, outputs: Mapping[str, Float64]) -> Float64 | None:
    """Importance of the deviations of a normalization, whose output may be a coded tensor among `outputs`."""
    gamma = constant(site.gamma) if site.gamma is not None else None
    behind = outputs.get(str(site.output.name))
    if gamma is None or gamma.size == 1:
        return behind
    factors = np.abs(gamma.numpy().astype(np.float64).reshape(-1))
    return factors if behind is None or behind.shape != factors.shape else factors * behind


def _fits(importance: Float64, tensor: CodedTensor, calibration: Calibration) -> bool:
    """Whether `importance` is a finite number, not all 0, for every channel of `tensor`."""
    if tensor.axes is None or not (np.isfinite(importance).all() and importance.any()):
        return False
    return importance.shape == (calibration.channels[tensor.tensor, tensor.axes].channels,)


def weight_norms(site: WeightMatmulSite) -> Float64 | None:
    """Norm of the weights of each channel of the activation, float64 [C]; None where they are not a plain constant."""
    operator, array = product_operator(site.node), numbers(site.node.inputs[1 - site.operand])
    if operator is None or operator.packed or array is None:
        return None
    if site.node.op_type == "ConvTranspose":
        return _norms(array, 0)
    axis = operator.contraction_axes(site.node)[1 - site.operand]
    if axis is None or array.ndim < (-axis if axis < 0 else axis + 1):
        return None
    groups = site.node.attributes.get_int("group", 1) if site.node.op_type == "Conv" else 1
    return np.concatenate([_norms(part, axis) for part in np.split(array, groups)]) if groups else None


def _norms(array: NDArray[np.floating], axis: int) -> Float64:
    """Norm over all axes but `axis`, summed in float64."""
    rows = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    return np.asarray(np.sqrt([np.dot(row, row) for row in map(np.float64, rows)]))
