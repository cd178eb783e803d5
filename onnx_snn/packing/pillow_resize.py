# SPDX-License-Identifier: Apache-2.0
"""Resizing as Pillow does it: a product with a matrix of weights for each axis.

Weights are those of Pillow's Resample.c, with antialiasing where an image becomes smaller. Of an axis with m pixels
that becomes n, with the kernel k of a filter and s = m / n::

    w[i, j] = k((j - c[i] + 0.5) / max(s, 1)),    c[i] = (i + 0.5) s,    i < n, j < m,

each row divided by its sum and rounded to multiples of 2^-22. Sums of 8-bit pixels with such weights are exact in
float64; they are rounded to 8 bits after each axis, the horizontal one first. Versions of Pillow that begin with the
vertical one where this is cheaper give pixels that differ by one of the 256 levels there, and by more where a filter
with negative weights leaves the range of pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from onnx_snn.errors import PackError
from onnx_snn.packing.graph_writer import GraphWriter

PRECISION = float(2**22)
"""Weights are integers in units of its reciprocal."""

Kernel = Callable[[GraphWriter, ir.Value], ir.Value]


def _double(number: float) -> np.ndarray[tuple[()], np.dtype[np.float64]]:
    return np.array(number, np.float64)


def _polynomial(write: GraphWriter, x: ir.Value, *coefficients: float) -> ir.Value:
    """A polynomial by Horner's rule, from the highest coefficient on."""
    value = write.Mul(x, _double(coefficients[0]))
    for coefficient in coefficients[1:-1]:
        value = write.Mul(write.Add(value, _double(coefficient)), x)
    return write.Add(value, _double(coefficients[-1]))


def _within(
    write: GraphWriter, x: ir.Value, limit: float, inside: ir.Value, outside: ir.Value | None = None
) -> ir.Value:
    """`inside` where x is less than `limit`, else `outside`, 0 by default."""
    return write.Where(write.Less(x, _double(limit)), inside, _double(0.0) if outside is None else outside)


def _bilinear(write: GraphWriter, x: ir.Value) -> ir.Value:
    """1 - x for x < 1."""
    return _within(write, x, 1.0, write.Sub(_double(1.0), x))


def _bicubic(write: GraphWriter, x: ir.Value) -> ir.Value:
    """Keys' cubic convolution with a = -1/2."""
    near = _polynomial(write, x, 1.5, -2.5, 0.0, 1.0)
    far = _polynomial(write, x, -0.5, 2.5, -4.0, 2.0)
    return _within(write, x, 1.0, near, _within(write, x, 2.0, far))


def _sinc(write: GraphWriter, x: ir.Value) -> ir.Value:
    """sin(pi x) / (pi x), and 1 at 0."""
    angle = write.Mul(x, _double(np.pi))
    zero = write.Equal(x, _double(0.0))
    return write.Where(zero, _double(1.0), write.Div(write.Sin(angle), write.Where(zero, _double(1.0), angle)))


def _hamming(write: GraphWriter, x: ir.Value) -> ir.Value:
    """sinc(x) (0.54 + 0.46 cos(pi x)) for x < 1."""
    cosine = write.Cos(write.Mul(x, _double(np.pi)))
    window = write.Add(write.Mul(cosine, _double(0.46)), _double(0.54))
    return _within(write, x, 1.0, write.Mul(_sinc(write, x), window))


def _lanczos(write: GraphWriter, x: ir.Value) -> ir.Value:
    """sinc(x) sinc(x / 3) for x < 3."""
    return _within(write, x, 3.0, write.Mul(_sinc(write, x), _sinc(write, write.Div(x, _double(3.0)))))


KERNELS: dict[int, Kernel] = {1: _lanczos, 2: _bilinear, 3: _bicubic, 5: _hamming}
"""Kernels of |x| by Pillow's number of the filter."""

NEAREST = 0
"""Pillow's number of the filter that copies pixels."""


def write_resize(write: GraphWriter, image: ir.Value, height: ir.Value, width: ir.Value, resample: int) -> ir.Value:
    """`image`, 8-bit pixels [channels, height, width] as float64, with another height and width.

    Raises:
        PackError: the filter is unknown.
    """
    shape = write.Shape(image)
    old_height, old_width = write.Gather(shape, 1), write.Gather(shape, 2)
    if resample == NEAREST:
        rows = _nearest(write, old_height, height)
        return write.Gather(write.Gather(image, rows, axis=1), _nearest(write, old_width, width), axis=2)
    if resample not in KERNELS:
        raise PackError(f"resample is {resample}; Pillow's filters {sorted([NEAREST, *KERNELS])} can be written")
    across = _weights(write, old_width, width, KERNELS[resample])
    image = _rounded(write, write.MatMul(image, write.Transpose(across, perm=[1, 0])))
    return _rounded(write, write.MatMul(_weights(write, old_height, height, KERNELS[resample]), image))


def _weights(write: GraphWriter, old: ir.Value, new: ir.Value, kernel: Kernel) -> ir.Value:
    """Weights in units of 1 / `PRECISION`, float64 [new, old], from sizes that are int64 scalars."""
    scale = write.Div(_as_double(write, old), _as_double(write, new))
    stretch = write.Div(_double(1.0), write.Max(scale, _double(1.0)))
    centre = write.Mul(write.Add(_as_double(write, write.Range(0, new, 1)), _double(0.5)), scale)
    distance = write.Sub(_as_double(write, write.Range(0, old, 1)), write.Unsqueeze(centre, [1]))
    x = write.Abs(write.Mul(write.Add(distance, _double(0.5)), stretch))
    weights = kernel(write, x)
    normal = write.Div(weights, write.ReduceSum(weights, [1], keepdims=1))
    # Rounded half away from zero.
    scaled = write.Mul(normal, _double(PRECISION))
    return write.Mul(write.Sign(scaled), write.Floor(write.Add(write.Abs(scaled), _double(0.5))))


def _rounded(write: GraphWriter, sums: ir.Value) -> ir.Value:
    """Sums in units of 1 / `PRECISION`, rounded half up to 8-bit integers."""
    pixels = write.Floor(write.Div(write.Add(sums, _double(PRECISION / 2)), _double(PRECISION)))
    return write.Min(write.Max(pixels, _double(0.0)), _double(255.0))


def _nearest(write: GraphWriter, old: ir.Value, new: ir.Value) -> ir.Value:
    """The pixel that each one is copied from, int64 [new]: floor((i + 0.5) old / new), summed up as Pillow does."""
    scale = write.Div(_as_double(write, old), _as_double(write, new))
    steps = write.Expand(scale, write.Reshape(write.Sub(new, 1), [1]))
    centre = write.CumSum(write.Concat(write.Reshape(write.Mul(scale, _double(0.5)), [1]), steps, axis=0), 0)
    return write.Cast(write.Floor(centre), to=ir.DataType.INT64)


def _as_double(write: GraphWriter, value: ir.Value) -> ir.Value:
    return write.Cast(value, to=ir.DataType.DOUBLE)
