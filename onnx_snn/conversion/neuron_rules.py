# SPDX-License-Identifier: Apache-2.0
"""Neurons by rule, for `fast` conversions: with the full number of bases or, with 7 or 8 time steps, sparse.

A conversion with sparse neurons is retried with smaller errors until its output error is within bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, TypeAlias, TypeVar

from onnx_snn.allocation.fit_sites import Fitter, fit_sites
from onnx_snn.allocation.plan import SitePlan
from onnx_snn.config.allowances import SPARSE, Allowances
from onnx_snn.conversion.coverage import Coverage
from onnx_snn.conversion.selection import resolve
from onnx_snn.conversion.verification import Comparison
from onnx_snn.rules.site import Site

OUTPUT_ERROR = 4e-3
"""Largest relative error of an output over all verified samples that sparse neurons may cause."""

SAMPLE_ERROR = 1e-2
"""Largest relative error of an output on a single verified sample that sparse neurons may cause."""

MOST_HALVINGS = 2
"""Largest number of times that the error allowed to sparse neurons is halved. At a quarter of it they take about
as many spikes as neurons with the full number of bases."""


class Attempt(Protocol):
    """A conversion whose error at the output has been measured."""

    @property
    def comparison(self) -> Comparison:
        """The error of the converted network against the original."""


Converted = TypeVar("Converted", bound=Attempt)

Planned: TypeAlias = tuple[list[SitePlan], dict[Site, str]]
"""Plans of sites, and reasons for the sites that cannot be converted."""

PlansOf: TypeAlias = Callable[[Coverage], Planned]
"""Function that returns the plans of a network."""


def by_rule(convert: Callable[[PlansOf], Converted], fitter: Fitter) -> Converted:
    """The conversion with neurons by rule.

    Args:
        convert: converts with the plans of a function of the coverage.
        fitter: fitter of the neurons.
    """

    def attempt(allowances: Allowances | None) -> Converted:
        return convert(lambda coverage: _fitted(coverage, fitter, allowances))

    return sparsest_within_bounds(attempt) if fitter.config.sparse else attempt(None)


def _fitted(coverage: Coverage, fitter: Fitter, allowances: Allowances | None) -> Planned:
    """Plans for the selected sites of `coverage` with neurons within `allowances`, and the refused ones."""
    settings = resolve(coverage.recognition.sites, fitter.config)
    return fit_sites(coverage.selected, fitter.within(allowances, settings))


def sparsest_within_bounds(attempt: Callable[[Allowances | None], Converted]) -> Converted:
    """The conversion with the sparsest neurons whose output error is within bounds.

    The output error is about proportional to the errors of the neurons, so the first attempt tells how often their
    allowance has to be halved. If the second attempt fails too, neurons get their full number of bases.

    Args:
        attempt: converts with neurons within the given allowances, or with the full number of bases for None.
    """
    sparse = attempt(SPARSE)
    excess = excess_of(sparse.comparison)
    if excess <= 1.0:
        return sparse
    if excess <= 2.0**MOST_HALVINGS:
        refined = attempt(SPARSE.halved(math.ceil(math.log2(excess))))
        if excess_of(refined.comparison) <= 1.0:
            return refined
    return attempt(None)


def excess_of(comparison: Comparison) -> float:
    """Ratio of the output error to its bound: the larger one of the two bounds' ratios."""
    return max(comparison.worst_error / OUTPUT_ERROR, comparison.worst_sample / SAMPLE_ERROR)
