# SPDX-License-Identifier: Apache-2.0
"""Inputs that are 0 in all calibration data, such as the first states of a network that returns new ones.

Neurons that are fitted to such a tensor know no range, and clip what other data holds. In a network that carries its
state within one run, as over a sequence, the neurons see the states that follow.
"""

from __future__ import annotations

import numpy as np

from onnx_snn.calibration.statistics import Calibration
from onnx_snn.data.feeds import Feeds


def silent_inputs_warning(calibration: Calibration, feeds: Feeds) -> str:
    """What to do about inputs of zeros, in words; empty unless there are some and neurons are fitted to zeros alone."""
    silent = sorted(name for name, seen in calibration.signed.items() if seen.minimum == seen.maximum == 0.0)
    if not silent:
        return ""
    zeros: set[str] | None = None
    for feed in feeds:
        given = {name for name, array in feed.items() if array.dtype.kind == "f" and not np.any(array)}
        zeros = given if zeros is None else zeros & given
    if not zeros:
        return ""
    names = ", ".join(repr(name) for name in sorted(zeros))
    return (
        f"the inputs {names} are 0 in all calibration data, and with them {len(silent)} tensors to which neurons are "
        f"fitted (such as {silent[0]!r}): these clip all other values; calibrate on real inputs, such as the states "
        "that the network returned for the samples before"
    )
