# SPDX-License-Identifier: Apache-2.0
"""Identity codes: neurons whose output approximates their input, with fine levels near zero and coarse ones far out.

A code has N segments on the magnitude; `polarity` 1 mirrors them for signed signals, so each sign has N.
`fit_identity` returns the one of smaller error of two kinds:

- **power of two**: level sizes L_n = 2**p_n, p ascending (see `onnx_snn.fitting.level_search`), knots
  K_n+1 = K_n + (2**T - 1) * L_n and weights 2**(T-1) * L_n, so that every output is an integer multiple of L_0 and a
  product of codes is an integer sum;
- **fitted**: knots and readout fitted as for any function, which has a smaller error for few levels.
"""

from __future__ import annotations

import math

import numpy as np

from onnx_snn.arrays import Float64
from onnx_snn.errors import ConfigError
from onnx_snn.fitting.density import Density, calibrated_density, check_density
from onnx_snn.fitting.knot_search import Target, check_size, error_of
from onnx_snn.fitting.level_search import best_exponents
from onnx_snn.fitting.piecewise_linear import fit_segments
from onnx_snn.neurons.mbe import MbeNeuron, halving_neuron

FITTED_TIMESTEPS = 7
"""Largest number of time steps T at which the fitted code is tried. Above it, the grids of its knots and readout limit
its error."""


def fit_identity(
    density: Density,
    bases: int,
    timesteps: int,
    *,
    limit: float,
    one_sided: bool = False,
    gate: bool = True,
) -> MbeNeuron:
    """The code with N = `bases` segments on [0, `limit`] of least mean squared error.

    Args:
        density: distribution of the signal's magnitude; points above `limit` are clipped to it.
        bases: number of segments N on each sign.
        timesteps: bits T of each segment.
        limit: largest magnitude that the code must represent.
        one_sided: whether the signal is never negative; the output for negative input is then 0.
        gate: whether saturated bases fire once instead of T times.

    Raises:
        ConfigError: N, T or `limit` is out of range, or the density has negative points.
    """
    check_size(bases, timesteps)
    if not (math.isfinite(limit) and limit > 0.0):
        raise ConfigError(f"limit is {limit}; expected a positive, finite magnitude")
    check_density(density)
    if density.points[0] < 0.0:
        raise ConfigError(f"the density holds {density.points[0]}; expected magnitudes, which are >= 0")
    points, mass = calibrated_density(density.points, density.mass, 0.0, limit)
    target = Target(points, points, mass, anchored=True, reach=limit)
    polarity = 0 if one_sided else 1
    level = np.ldexp(1.0, best_exponents(target, bases, timesteps))
    code = code_of_levels(level, timesteps, polarity=polarity, gate=gate)
    if timesteps <= FITTED_TIMESTEPS:
        fitted = fit_segments(target, bases, timesteps, origin=0.0, polarity=polarity, gate=gate)
        if error_of(fitted, target) < error_of(code, target):
            return fitted
    return code


def code_of_levels(level: Float64, timesteps: int, *, polarity: int, gate: bool) -> MbeNeuron:
    """The code with the level sizes `level` [N], ascending; `polarity` 1 mirrors it to negative values."""
    knots = np.concatenate([[0.0], np.cumsum(level * (2.0**timesteps - 1.0))])
    scale = 2.0 ** (timesteps - 1)
    return halving_neuron(
        knots[:-1] - level / 2,
        1.0 / (level * scale),
        level * scale,
        0.0,
        timesteps,
        gate=gate,
        polarity=polarity,
    )
