"""Interpolated n-gram model with modified Kneser-Ney smoothing (Chen & Goodman 1999), in plain Python."""

from __future__ import annotations

import math
from collections import Counter

Gram = tuple[int, ...]


def discounts_of(counts: Counter[Gram]) -> list[float]:
    """Discounts for counts 1, 2 and 3 or more, from the numbers of n-grams that occur one to four times."""
    seen = Counter(min(count, 5) for count in counts.values())
    one, two, three, four = (max(seen[value], 1) for value in (1, 2, 3, 4))
    share = one / (one + 2 * two)
    return [0.0, 1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three]


class Level:
    """Smoothed probabilities of one order."""

    def __init__(self, counts: Counter[Gram]) -> None:
        self.counts = counts
        self.discounts = discounts_of(counts)
        self.totals: Counter[Gram] = Counter()
        self.removed: dict[Gram, float] = {}
        for gram, count in counts.items():
            context = gram[:-1]
            self.totals[context] += count
            self.removed[context] = self.removed.get(context, 0.0) + self.discounts[min(count, 3)]

    def refine(self, context: Gram, token: int, lower: float) -> float:
        """Probability of ``token`` after ``context``, given the next lower order's."""
        total = self.totals.get(context, 0)
        if not total:
            return lower
        count = self.counts.get((*context, token), 0)
        return (count - self.discounts[min(count, 3)] + self.removed[context] * lower) / total


class KneserNey:
    """Model of the given order; lower orders count distinct left neighbours instead of occurrences."""

    def __init__(self, tokens: list[int], order: int, vocabulary: int) -> None:
        self.order, self.vocabulary = order, vocabulary
        counts: Counter[Gram] = Counter(zip(*(tokens[shift:] for shift in range(order)), strict=False))
        self.levels = [Level(counts)]
        while len(self.levels) < order:
            counts = Counter(gram[1:] for gram in counts)
            self.levels.insert(0, Level(counts))

    def probability(self, history: Gram, token: int) -> float:
        """Probability of ``token`` after ``history`` (the last tokens, at most order - 1 of them)."""
        value = 1.0 / self.vocabulary
        for used, level in enumerate(self.levels[: len(history) + 1]):
            value = level.refine(history[len(history) - used :], token, value)
        return value

    def perplexity(self, tokens: list[int]) -> float:
        """Perplexity of all tokens but the first."""
        total = 0.0
        for index in range(1, len(tokens)):
            history = tuple(tokens[max(0, index - self.order + 1) : index])
            total -= math.log(self.probability(history, tokens[index]))
        return math.exp(total / (len(tokens) - 1))
