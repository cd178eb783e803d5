# SPDX-License-Identifier: Apache-2.0
"""Errors on samples that calibration did not see, and what they say; `onnx_snn.conversion.thin_data` measures them."""

from __future__ import annotations

from dataclasses import dataclass

MULTIPLE = 3.0
"""Ratio of the errors on unseen and on seen samples from which the data is called thin."""

SMALL_ERROR = 4e-3
"""Error on unseen samples up to which it does not matter that it is a multiple."""


@dataclass(frozen=True)
class HeldBack:
    """Errors of a network that was calibrated without some of the samples.

    Attributes:
        seen: largest relative error of an output on samples that calibration saw.
        unseen: the same on the samples held back.
        samples: number of samples held back.
    """

    seen: float
    unseen: float
    samples: int

    @property
    def thin(self) -> bool:
        """Whether the samples tell too little of others: the error on these is a multiple, and not a small one."""
        return self.unseen > max(MULTIPLE * self.seen, SMALL_ERROR)

    def warning(self) -> str:
        """What the errors say, in words; empty unless the data is thin."""
        if not self.thin:
            return ""
        return (
            f"the calibration data is thin: calibrated without the last {self.samples} samples, the network errs by "
            f"{self.unseen:.2%} on these and by {self.seen:.2%} on those that it saw; on other data expect more than the "
            "error above: calibrate on more samples, of more kinds"
        )
