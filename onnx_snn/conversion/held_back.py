# SPDX-License-Identifier: Apache-2.0
"""Errors on samples that calibration did not see, and what they say; `onnx_snn.conversion.thin_data` measures them."""

from __future__ import annotations

import math
from dataclasses import dataclass

MULTIPLE = 2.0
"""Ratio of the errors on unseen and on seen samples from which the data is called thin."""


@dataclass(frozen=True)
class HeldBack:
    """Errors of a network that was calibrated without some of the samples.

    Attributes:
        seen: largest relative error of an output on samples that calibration saw.
        unseen: the same on the samples held back.
        samples: number of samples held back.
        budget: relative error of an output that the conversion may cause.
    """

    seen: float
    unseen: float
    samples: int
    budget: float

    @property
    def thin(self) -> bool:
        """Whether the samples tell too little of others: the error on these is a multiple, and takes half the budget.

        The neurons by rule are more exact than those that are chosen, which spend the budget.
        """
        return self.unseen > max(MULTIPLE * self.seen, self.budget / 2)

    def warning(self) -> str:
        """What the errors say, in words; empty unless the data is thin."""
        if not self.thin:
            return ""
        return (
            f"the calibration data is thin: a network that was calibrated without its last {self.samples} samples errs "
            f"by {self.unseen:.2%} on these and by {self.seen:.2%} on those that it saw, so that other data may err "
            f"{self.unseen / self.seen if self.seen else math.inf:.1f} times as much as calibration tells: calibrate "
            "on more samples, of more kinds"
        )
