# SPDX-License-Identifier: Apache-2.0
"""Limits of spikes and errors for neurons that are sparse by rule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Allowance:
    """Limits for a sparse neuron: the most exact one within `spikes`, or the sparsest one within `error`.

    The limit of the error takes precedence where the two contradict each other.

    Attributes:
        spikes: largest number of spikes per element, mean over the calibration data.
        error: largest root mean square of the error over that of the signal.
    """

    spikes: float
    error: float

    def halved(self, times: int) -> Allowance:
        """The allowance after halving the error `times` times: each costs one more bit, which fires half the time."""
        return Allowance(self.spikes + times / 2, self.error / 2**times)


@dataclass(frozen=True)
class Allowances:
    """Allowances by the purpose of the neuron.

    Attributes:
        function: allowance of activation functions.
        operand: allowance of operands of activation matmuls and inputs of normalizations, whose errors average out over
            many terms.
        weighted: allowance of operands of weight matmuls. An accumulate costs about a fifth of a multiply-accumulate,
            so that five spikes cost as much as the original network.
    """

    function: Allowance
    operand: Allowance
    weighted: Allowance

    def halved(self, times: int) -> Allowances:
        """All allowances after halving the error `times` times."""
        return Allowances(self.function.halved(times), self.operand.halved(times), self.weighted.halved(times))


SPARSE = Allowances(
    function=Allowance(spikes=5.3, error=8e-3),
    operand=Allowance(spikes=3.45, error=4e-3),
    weighted=Allowance(spikes=4.5, error=1e-3),
)
"""Allowances of sparse neurons at the first attempt of a conversion."""
