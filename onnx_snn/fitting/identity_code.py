# SPDX-License-Identifier: Apache-2.0
"""Identity codes: neurons that answer what they see, fine near zero and coarse far out, like a float.

A code has N segments on the magnitude; `polarity` 1 mirrors them for signed signals, so each sign has N.
There are two kinds, and `fit_identity` takes the one with the smaller error:

- **power of two**: level sizes L_n = 2**p_n, p ascending (see `onnx_snn.fitting.level_search`), knots
  K_n+1 = K_n + (2**T - 1) * L_n and weights 2**(T-1) * L_n, so that every answer is an integer multiple of L_0 and a
  product of codes is an integer sum;
- **fitted**: knots and readout as for any function, which pays while levels are few.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from onnx_snn.errors import ConfigError
from onnx_snn.fitting.density import Density, calibrated_density, check_density
from onnx_snn.fitting.knot_search import Target, check_size, error_of
from onnx_snn.fitting.level_search import best_exponents
from onnx_snn.fitting.piecewise_linear import fit_segments
from onnx_snn.neurons.mbe import MbeNeuron, halving_neuron

Float64 = NDArray[np.float64]

FITTED_TIMESTEPS = 7
"""Most time steps with which the fitted code is tried; with more, its grids, not its freedom, decide the error."""


def fit_identity(
    density: Density,
    bases: int,
    timesteps: int,
    *,
    limit: float,
    one_sided: bool = False,
    gate: bool = True,
) -> MbeNeuron:
    """The code with N = `bases` segments on [0, `limit`] that loses least of a signal.

    Args:
        density: of the signal's magnitude; points are >= 0, and those beyond `limit` count as `limit`.
        bases: number of segments N, on either sign.
        timesteps: bits T of each segment.
        limit: the largest magnitude that the code must reach.
        one_sided: the signal is never negative; negative input answers 0.
        gate: whether saturated bases fire once instead of T times.

    Raises:
        ConfigError: N, T or `limit` is out of range, or the density is none of magnitudes.
    """
    check_size(bases, timesteps)
    if not (math.isfinite(limit) and limit > 0.0):
        raise ConfigError(f"limit is {limit}; expected a positive, finite magnitude")
    check_density(density)
    if density.points[0] < 0.0:
        raise ConfigError(f"the density holds {density.points[0]}; expected magnitudes")
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
    """The code whose segments have levels of the sizes `level` [N], ascending; `polarity` 1 mirrors it."""
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
