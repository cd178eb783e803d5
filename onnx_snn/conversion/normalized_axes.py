# SPDX-License-Identifier: Apache-2.0
"""Spiking ops run over the last axis: the normalized axes of a site become the last one, and return to their places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from onnx_snn.graph.node_builder import NodeBuilder, SharedInitializers
from onnx_snn.rules.site import NormSite, Site, SoftmaxSite


def normalized_axes(site: Site) -> tuple[int, ...]:
    """The axes that a softmax or normalization runs over, from the end; the last one for other sites."""
    if isinstance(site, NormSite):
        return site.axes
    return (site.axis,) if isinstance(site, SoftmaxSite) else (-1,)


def on_last_axis(
    builder: NodeBuilder,
    constants: SharedInitializers,
    site: Site,
    x: ir.Value,
    spiking: Callable[[ir.Value], ir.Value],
) -> ir.Value:
    """The result of `spiking`, which runs over the last axis, over the normalized axes of `site`.

    Args:
        builder: builder of the nodes.
        constants: initializers of the model.
        site: a site.
        x: its input; where other axes than the last ones are normalized, `site.inputs[0]` has a known rank.
        spiking: adds a spiking node.
    """
    axes = normalized_axes(site)
    forth, back = _permutations(site, axes)
    x = _transposed(builder, x, forth)
    if len(axes) == 1:
        return _transposed(builder, spiking(x), back)
    shape = builder.op("Shape", [x])
    kept = builder.op("Slice", [shape, _integers(constants, [0]), _integers(constants, [-len(axes)])])
    merged = builder.op("Concat", [kept, _integers(constants, [-1])], {"axis": 0})
    y = builder.op("Reshape", [spiking(builder.op("Reshape", [x, merged])), shape])
    return _transposed(builder, y, back)


def _permutations(site: Site, axes: tuple[int, ...]) -> tuple[list[int] | None, list[int] | None]:
    """Permutation that moves `axes` to the end, and its inverse; None where they are there.

    A single axis changes places with the last one.
    """
    if axes == tuple(range(-len(axes), 0)):
        return None, None
    shape = site.inputs[0].shape
    assert shape is not None, "fitting refuses other axes than the last ones where the rank is unknown"
    order = list(range(len(shape)))
    if len(axes) == 1:
        order[axes[0]], order[-1] = order[-1], order[axes[0]]
    else:
        moved = [order[axis] for axis in axes]
        order = [axis for axis in order if axis not in moved] + moved
    return order, [int(place) for place in np.argsort(order)]


def _transposed(builder: NodeBuilder, value: ir.Value, permutation: list[int] | None) -> ir.Value:
    return builder.op("Transpose", [value], {"perm": permutation}) if permutation else value


def _integers(constants: SharedInitializers, numbers: list[int]) -> ir.Value:
    return constants.get(numbers, ir.DataType.INT64, "onnx_snn.constant")
