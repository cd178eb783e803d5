# SPDX-License-Identifier: Apache-2.0
"""The choices of least cost at every price of distortion.

Costs and distortions of knobs add up, so the best choice at a price is that of each knob alone: the candidate of least
cost + price * distortion (Lagrangian relaxation, as in rate-distortion optimized bit allocation: Y. Shoham and
A. Gersho, "Efficient bit allocation for an arbitrary set of quantizers", IEEE Trans. ASSP 36, 1988).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from onnx_snn.allocation.knobs import Knob
from onnx_snn.arrays import Float64

Indices: TypeAlias = list[int]
"""Indices of the chosen candidates of all knobs, in the order of the knobs."""

Tables: TypeAlias = Sequence[Sequence[float]]
"""A number for each candidate of each knob."""

PRICES = 4000
"""Number of prices at which choices are computed."""

LEAST_LOG_PRICE, MOST_LOG_PRICE = -16.0, 24.0
"""Natural logarithms of the least and the largest price of distortion, relative to the price at which the sums of the
largest costs and of the largest distortions of all knobs are equal."""


def predicted_front(costs: Tables, distortions: Tables) -> list[Indices]:
    """The distinct choices at all prices, from the cheapest to the most exact."""
    cost, distortion = (sum(map(max, table)) for table in (costs, distortions))
    middle = math.log(cost / distortion) if cost > 0.0 and distortion > 0.0 else 0.0
    tables = [(np.asarray(a), np.asarray(b)) for a, b in zip(costs, distortions, strict=True)]
    front: list[Indices] = []
    for price in np.exp(middle + np.linspace(LEAST_LOG_PRICE, MOST_LOG_PRICE, PRICES)):
        choice = [int(np.argmin(cost + price * distortion)) for cost, distortion in tables]
        if not front or choice != front[-1]:
            front.append(choice)
    return front


def total(table: Tables, choice: Indices) -> float:
    """Sum of the numbers of the chosen candidates."""
    return sum(numbers[index] for numbers, index in zip(table, choice, strict=True))


def spike_costs(knobs: Sequence[Knob], *, spikes: float, operations: float) -> list[list[float]]:
    """Cost of each candidate of each knob.

    Args:
        knobs: the knobs.
        spikes: weight of the spikes, as a share of the elements of all knobs.
        operations: weight of the synaptic operations, as a share of those of one spike for each element.
    """
    elements: Float64 = np.array([knob.load.elements for knob in knobs])
    fan_out: Float64 = elements * np.array([knob.load.fan_out for knob in knobs])
    weights = spikes * elements / elements.sum() + operations * fan_out / fan_out.sum()
    return [[weight * one.spikes for one in knob.candidates] for knob, weight in zip(knobs, weights, strict=True)]
