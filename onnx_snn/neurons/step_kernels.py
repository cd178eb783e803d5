# SPDX-License-Identifier: Apache-2.0
"""Kernels with step sizes: a spike subtracts from the membrane potential what it adds to the intensity.

Threshold, reset and intensity equal the size of each step. *Halving* sizes are 2**-t. A saturation spike ("gate") is a
further leading step: threshold and intensity are the sum of all sizes, and a reset of +inf silences the basis
afterwards.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from onnx_snn.arrays import Float32


def halving_kernels(bases: int, timesteps: int, *, gate: bool = False) -> dict[str, Float32]:
    """Threshold, reset and intensity [S, N] of halving kernels, S = `timesteps` + `gate`."""
    return size_kernels(np.repeat(2.0 ** -np.arange(timesteps)[:, None], bases, axis=1), gate=gate)


def size_kernels(sizes: ArrayLike, *, gate: bool) -> dict[str, Float32]:
    """Threshold, reset and intensity [S, N] of steps of `sizes` [T, N], S = T + `gate`."""
    steps: Float32 = np.asarray(sizes, np.float32)
    reset = steps
    if gate:
        saturation = steps.sum(axis=0, keepdims=True)
        reset = np.concatenate([np.full_like(saturation, np.inf), steps])
        steps = np.concatenate([saturation, steps])
    return {"threshold": steps, "reset": reset, "intensity": steps}
