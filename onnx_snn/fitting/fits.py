# SPDX-License-Identifier: Apache-2.0
"""Fitting neurons: from a function or the distribution of a signal to the parameters of an `MbeNeuron`.

- `fit_function` places the N segments of a piecewise-linear function, with T bits inside each;
- `fit_identity` codes a signal, sparing levels where it is rare;
- `fit_paper` is the neuron of arXiv 2508.07710, with one resting potential for all bases.

No training and no random start: the same input gives the same bits, on any machine and number of threads.
"""

from __future__ import annotations

from onnx_snn.errors import ConfigError
from onnx_snn.fitting.density import Density, calibrated_density, median, uniform_density
from onnx_snn.fitting.identity_code import fit_identity
from onnx_snn.fitting.knot_search import check_size, target_of
from onnx_snn.fitting.paper_neuron import fit_paper
from onnx_snn.fitting.piecewise_linear import fit_segments
from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import MbeNeuron

__all__ = [
    "Density",
    "calibrated_density",
    "fit_function",
    "fit_identity",
    "fit_paper",
    "uniform_density",
]


def fit_function(
    function: ScalarFunction, bases: int, timesteps: int, density: Density | None = None, *, gate: bool = True
) -> MbeNeuron:
    """The neuron with N = `bases` and T = `timesteps` that comes closest to `function` on `density`.

    Args:
        function: what to approximate; an odd one is fitted on the magnitude and mirrored (`polarity` 1).
        bases: number of segments N.
        timesteps: bits T of each segment.
        density: of the arguments; None is uniform on the function's domain.
        gate: whether saturated bases fire once instead of T times, with the same output.

    Raises:
        ConfigError: N or T is out of range, the function is not finite on the density, or the density leaves
            a domain that is fixed.
    """
    check_size(bases, timesteps)
    typical = function.origin if density is None else median(density)
    density = density or uniform_density(*function.domain)
    lo, hi = function.domain
    if function.fixed_domain and not (lo <= density.points[0] and density.points[-1] <= hi):
        extent = f"[{density.points[0]}, {density.points[-1]}]"
        raise ConfigError(f"the density of {function.name!r} covers {extent}; its domain is fixed: [{lo}, {hi}]")
    target = target_of(function, density, mirrored=function.odd)
    origin = 0.0 if function.odd else typical
    return fit_segments(target, bases, timesteps, origin=origin, polarity=int(function.odd), gate=gate)
