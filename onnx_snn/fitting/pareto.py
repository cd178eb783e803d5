# SPDX-License-Identifier: Apache-2.0
"""The Pareto front: of many candidates those that no other one betters in both cost and error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Candidate = TypeVar("Candidate")


def pareto_front(
    candidates: Iterable[Candidate],
    *,
    cost: Callable[[Candidate], Any],
    error: Callable[[Candidate], float],
    margin: float = 0.0,
) -> list[Candidate]:
    """The candidates that none betters, from the cheapest to the most exact.

    Args:
        candidates: what to choose from.
        cost: a sort key: the cost, then whatever decides between candidates that cost the same.
        error: what must fall where the cost rises.
        margin: share by which an error must be smaller to count as such.
    """
    front: list[Candidate] = []
    for candidate in sorted(candidates, key=cost):
        if not front or error(candidate) < error(front[-1]) * (1.0 - margin):
            front.append(candidate)
    return front
