# SPDX-License-Identifier: Apache-2.0
"""Fit of a scalar function by N segments of a piecewise-linear function, with T bits in each."""

from __future__ import annotations

from onnx_snn.errors import ConfigError
from onnx_snn.fitting.density import Density, median, uniform_density
from onnx_snn.fitting.knot_search import check_size, target_of
from onnx_snn.fitting.piecewise_linear import fit_segments
from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import MbeNeuron


def fit_function(
    function: ScalarFunction, bases: int, timesteps: int, density: Density | None = None, *, gate: bool = True
) -> MbeNeuron:
    """The neuron with N = `bases` and T = `timesteps` of least mean squared error for `function` on `density`.

    Args:
        function: function to approximate; an odd one is fitted on the magnitude and mirrored (`polarity` 1).
        bases: number of segments N.
        timesteps: bits T of each segment.
        density: distribution of the arguments; None for a uniform one on the function's domain.
        gate: whether saturated bases fire once instead of T times, with the same output.

    Raises:
        ConfigError: N or T is out of range, the function is not finite on the density, or the density exceeds
            a fixed domain.
    """
    check_size(bases, timesteps)
    typical = function.origin if density is None else median(density)
    density = density or uniform_density(*function.domain)
    lo, hi = function.domain
    if function.fixed_domain and not (lo <= density.points[0] and density.points[-1] <= hi):
        extent = f"[{density.points[0]}, {density.points[-1]}]"
        raise ConfigError(
            f"the density of {function.name!r} covers {extent}, beyond the domain [{lo}, {hi}] of the function"
        )
    target = target_of(function, density, mirrored=function.odd)
    origin = 0.0 if function.odd else typical
    return fit_segments(target, bases, timesteps, origin=origin, polarity=int(function.odd), gate=gate)
