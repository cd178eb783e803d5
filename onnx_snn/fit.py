# SPDX-License-Identifier: Apache-2.0
"""Fitting neurons: from a function, or from the distribution of a signal, to the parameters of an `MbeNeuron`.

- `fit_function` places the N segments of a piecewise-linear function, with T bits inside each;
- `fit_identity` codes a signal, sparing levels where it is rare;
- `fit_paper` is the neuron of arXiv 2508.07710, with one resting potential for all bases.

No training and no random start: the same input gives the same bits, on any machine and number of threads.
"""

from __future__ import annotations

import numpy as np

from onnx_snn.density import Density, calibrated_density, folded, uniform_density
from onnx_snn.errors import ConfigError
from onnx_snn.functions import ScalarFunction
from onnx_snn.identity import fit_identity
from onnx_snn.neuron import MAX_TIMESTEPS, MbeNeuron
from onnx_snn.segments import Target, fit_segments

__all__ = ["Density", "calibrated_density", "fit_function", "fit_identity", "uniform_density"]


def fit_function(
    function: ScalarFunction, bases: int, timesteps: int, density: Density | None = None, *, gate: bool = True
) -> MbeNeuron:
    """The neuron with N = `bases` and T = `timesteps` that comes closest to `function` on `density`.

    Args:
        function: what to approximate; an odd one is fitted on the magnitude and mirrored (`polarity` 1).
        bases: number of segments N.
        timesteps: bits T of each segment.
        density: of the arguments; None is uniform on the function's domain.
        gate: whether saturated bases fire once instead of T times.

    Raises:
        ConfigError: N or T is out of range, or the function is not finite on the density.
    """
    check_size(bases, timesteps)
    target = target_of(function, density or uniform_density(*function.domain))
    origin = 0.0 if function.odd else function.origin
    return fit_segments(target, bases, timesteps, origin=origin, polarity=int(function.odd), gate=gate)


def target_of(function: ScalarFunction, density: Density) -> Target:
    """`function` on `density` (on its magnitudes where the function is odd), weighted as its errors count."""
    if function.odd:
        density = folded(density)
    values = function.formula(density.points)
    if not np.isfinite(values).all():
        raise ConfigError(
            f"function {function.name!r} is not finite at {density.points[~np.isfinite(values)][0]}"
        )
    weight = density.mass / values**2 if function.relative else density.mass
    return Target(density.points, values, weight / weight.sum(), anchored=function.odd)


def check_size(bases: int, timesteps: int) -> None:
    """Raise ConfigError unless a neuron can have N = `bases` and T = `timesteps`."""
    if bases < 1:
        raise ConfigError(f"bases is {bases}; expected 1 or more")
    if not 1 <= timesteps <= MAX_TIMESTEPS:
        raise ConfigError(f"timesteps is {timesteps}; expected 1 to {MAX_TIMESTEPS}")
