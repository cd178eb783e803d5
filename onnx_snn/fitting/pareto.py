# SPDX-License-Identifier: Apache-2.0
"""The Pareto front of candidates: those than which no other one is better in both cost and error."""

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
    """The non-dominated candidates, from the cheapest to the most exact.

    Args:
        candidates: the candidates.
        cost: sort key of a candidate: its cost, then the order of candidates of equal cost.
        error: error of a candidate.
        margin: relative difference below which errors count as equal.
    """
    front: list[Candidate] = []
    for candidate in sorted(candidates, key=cost):
        if not front or error(candidate) < error(front[-1]) * (1.0 - margin):
            front.append(candidate)
    return front
