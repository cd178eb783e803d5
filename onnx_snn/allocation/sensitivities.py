# SPDX-License-Identifier: Apache-2.0
"""Sensitivity of the output to every neuron: the distortion that each of its candidates causes alone.

The network runs with the neuron alone spiking, at a candidate of typical error, and the distortion of the output is
measured. That of the other candidates follows from their errors. Where a network is so large that these runs would take
longer than the rest of the conversion, neighbouring neurons of the same kind are probed together, and share what they
cause by their errors.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from onnx_snn.allocation.candidates import Candidate
from onnx_snn.allocation.knobs import Knob

DIGITS = 3
"""Number of significant digits that measured distortions are rounded to, so that they are equal on all machines."""

PROHIBITIVE = 1e30
"""Distortion in place of an infinite one, where a candidate changes the shapes that the network computes."""

Probe = Callable[[Sequence[Candidate], Collection[int]], float]
"""Distortion of the output with a candidate for each knob, of which only those with the given indices spike."""

Probes = Callable[["Sequence[tuple[Sequence[Candidate], Collection[int]]]", "tqdm[Any]"], list[float]]
"""Distortions of several runs, pairs of the arguments of a probe; a bar shows how many have ended."""

Table = Callable[[Knob, Sequence[tuple[int, float]]], list[float]]
"""Distortions of all candidates of a knob from those of some, pairs of an index and a distortion."""


def distortions(
    knobs: Sequence[Knob],
    probe: Probe,
    errors: Sequence[float],
    *,
    groups: int | None = None,
    progress: bool,
    table: Table | None = None,
    together: Probes | None = None,
) -> list[list[float]]:
    """The distortion of every candidate of every knob.

    Args:
        knobs: the knobs.
        probe: runs the network.
        errors: relative squared errors near which candidates are probed.
        groups: largest number of probes for each of `errors`; None for one for each knob.
        progress: show a progress bar on a terminal.
        table: gives the distortions of all candidates of a knob by those of the probes: `interpolated` by default.
        together: runs all probes, in place of `probe`.
    """
    table = table or interpolated
    open_ = [i for i, knob in enumerate(knobs) if len(knob.candidates) > 1]
    members = grouped(knobs, open_, len(open_) if groups is None else groups)
    measured: dict[int, list[tuple[int, float]]] = {i: [] for i in range(len(knobs))}
    probes = list(itertools.product(errors, members))
    near = {error: [nearest(knob.candidates, error) for knob in knobs] for error in errors}
    choices = {
        error: [knob.candidates[index] for knob, index in zip(knobs, indices, strict=True)]
        for error, indices in near.items()
    }
    with tqdm(desc="sensitivity", total=len(probes), disable=None if progress else True, unit="probe") as bar:
        found = (together or partial(_one_by_one, probe))([(choices[error], group) for error, group in probes], bar)
    for (error, group), distortion in zip(probes, found, strict=True):
        choice = choices[error]
        shares = sum(choice[i].error for i in group)
        for i in group:
            share = choice[i].error / shares if shares else 1.0 / len(group)
            measured[i].append((near[error][i], _rounded(distortion * share)))
    return [table(knob, measured[i]) if measured[i] else [0.0] for i, knob in enumerate(knobs)]


def _one_by_one(
    probe: Probe, runs: Sequence[tuple[Sequence[Candidate], Collection[int]]], bar: tqdm[Any]
) -> list[float]:
    distortions = []
    for choice, alone in runs:
        distortions.append(probe(choice, alone))
        bar.update()
    return distortions


def grouped(knobs: Sequence[Knob], indices: Sequence[int], most: int) -> list[list[int]]:
    """`indices` of knobs in at most about `most` groups of neighbours of one kind."""
    if len(indices) <= most:
        return [[i] for i in indices]
    kinds: dict[tuple[str, ...], list[int]] = {}
    for i in indices:
        kinds.setdefault(knobs[i].kind, []).append(i)
    size = math.ceil(len(indices) / max(1, most - len(kinds)))
    return [
        list(map(int, part)) for kind in kinds.values() for part in np.array_split(kind, math.ceil(len(kind) / size))
    ]


def nearest(candidates: Sequence[Candidate], error: float) -> int:
    """Index of the candidate whose error is closest to `error` in ratio."""
    distances = [abs(math.log(max(one.error, 1e-30) / error)) for one in candidates]
    return int(np.argmin(distances))


def interpolated(knob: Knob, probes: Sequence[tuple[int, float]]) -> list[float]:
    """Distortions of all candidates of `knob` from those at `probes`, pairs of an index and a distortion.

    Between the probes the distortion is a power of the error, outside it is proportional to the error.
    """
    known = sorted({(knob.candidates[i].error, distortion) for i, distortion in probes})
    errors = [one.error for one in knob.candidates]
    (low, at_low), (high, at_high) = known[0], known[-1]
    if not (low > 0.0 and at_low > 0.0 and at_high > at_low and high > low):
        rate = at_high / high if high > 0.0 else 0.0
        return [rate * error for error in errors]
    power = math.log(at_high / at_low) / math.log(high / low)

    def distortion(error: float) -> float:
        if error < low:
            return at_low * error / low
        if error > high:
            return at_high * error / high
        return float(at_low * (error / low) ** power)

    return [distortion(error) for error in errors]


def proportional(knob: Knob, probes: Sequence[tuple[int, float]]) -> list[float]:
    """Distortions of all candidates of `knob`, proportional to their errors by the largest ratio at `probes`.

    Where a rounding behind the neuron absorbs all that was probed, larger errors count as if they reached the output as
    they are.
    """
    errors = [one.error for one in knob.candidates]
    rate = max((distortion / errors[i] for i, distortion in probes if errors[i] > 0.0), default=0.0)
    if rate > 0.0:
        return [rate * error for error in errors]
    absorbed = max(errors[i] for i, _ in probes)
    return [0.0 if error <= absorbed else error for error in errors]


def _rounded(value: float) -> float:
    """`value` to `DIGITS` digits; an infinite one, or none at all, is prohibitive."""
    return float(f"{value if value < PROHIBITIVE else PROHIBITIVE:.{DIGITS - 1}e}")
