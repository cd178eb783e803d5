# SPDX-License-Identifier: Apache-2.0
"""The range of arguments that a neuron represents, beyond which it saturates.

A code saturates beyond its outermost levels. So does the neuron of a function, but where the function itself is flat
that is no error: the range has no end on that side, as that of a sigmoid, or of GELU below 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.ramps import Ends, resolved_ends

FLAT = 0.01
"""Largest change of a flat function beyond a range, relative to its change within. The error of the neuron within
counts as well where it is larger."""

UNLIMITED = Ends(-math.inf, math.inf)
"""The range of a neuron that never saturates."""

_POINTS = 1025
"""Number of arguments within a range at which a function is compared."""

_DISTANCES = np.ldexp(1.0, np.arange(-6, 41))
"""Distances beyond a range at which a function is compared, in units of the width of the range."""


def argument_range(neuron: MbeNeuron, function: ScalarFunction | None) -> Ends:
    """Range of the scaled arguments that `neuron` represents; an end is infinite where it does not saturate.

    Args:
        neuron: a neuron with step sizes.
        function: what it computes; None for a code.
    """
    ends = resolved_ends(neuron)
    if function is None:
        return ends
    if function.fixed_domain or function.reduced is not None:
        return UNLIMITED
    within = np.linspace(*ends, _POINTS)
    exact = _values(function, within)
    finite = exact[np.isfinite(exact)]
    error = np.abs(neuron(within) - exact)[np.isfinite(exact)]
    if not finite.size:
        return ends
    tolerance = max(float(error.max()), FLAT * float(np.ptp(finite)))
    distances = _DISTANCES * (ends.highest - ends.lowest)
    flat_below, flat_above = (
        _is_flat(function, neuron, end, arguments, tolerance)
        for end, arguments in ((ends.lowest, ends.lowest - distances), (ends.highest, ends.highest + distances))
    )
    return Ends(-math.inf if flat_below else ends.lowest, math.inf if flat_above else ends.highest)


def _is_flat(
    function: ScalarFunction, neuron: MbeNeuron, end: float, beyond: NDArray[np.float64], tolerance: float
) -> bool:
    """Whether the function stays within `tolerance` of what the neuron answers at the end of its range."""
    return bool((np.abs(_values(function, beyond) - float(neuron(end))) <= tolerance).all())


@np.errstate(all="ignore")
def _values(function: ScalarFunction, arguments: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(function.formula(arguments), np.float64)
