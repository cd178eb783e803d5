# SPDX-License-Identifier: Apache-2.0
"""Sensitivities: every neuron is probed once, and what was not probed follows from what was."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.allocation.candidates import Candidate, NeuronFamily
from onnx_snn.allocation.cost_model import Load
from onnx_snn.allocation.knobs import Knob
from onnx_snn.allocation.sensitivities import distortions, grouped, interpolated, nearest, proportional
from onnx_snn.config.neuron_settings import NeuronSettings


class NamedKnob(Knob):
    """A knob of a given kind without a site."""

    kind = ("gelu", "function")


def knob(errors: Sequence[float]) -> Knob:
    family, settings = cast(NeuronFamily, None), NeuronSettings(8, True, 4.0)
    candidates = [Candidate(settings, float(i), error, family) for i, error in enumerate(errors)]
    return NamedKnob([], Load(1.0, 1.0), family, candidates)


@given(st.integers(1, 40), st.integers(1, 50))
def test_groups_hold_every_knob_once(count: int, most: int) -> None:
    groups = grouped([knob([0.1])] * count, range(count), most)
    assert sorted(i for group in groups for i in group) == list(range(count))
    assert len(groups) <= max(most, 2)


@pytest.mark.parametrize("measured", [float("inf"), float("nan")])
def test_what_leads_to_no_number_is_prohibitive(measured: float) -> None:
    def probe(_: Sequence[Candidate], alone: Collection[int]) -> float:
        return measured if 0 in alone else 1e-3

    broken, sound = distortions([knob([1e-2, 1e-3])] * 2, probe, [1e-2], progress=False)
    assert min(broken) > 1e20 > max(sound)


def test_a_probe_is_shared_by_the_errors_of_its_group() -> None:
    knobs = [knob([1e-2, 1e-3]), knob([1e-2, 4e-3])]

    def probe(choice: Sequence[Candidate], alone: Collection[int]) -> float:
        return sum(3.0 * choice[i].error for i in alone)

    for groups in (None, 1):
        found = distortions(knobs, probe, [1e-3], groups=groups, progress=False)
        for table, one in zip(found, knobs, strict=True):
            assert table == pytest.approx([3.0 * each.error for each in one.candidates], rel=0.01)


def test_a_knob_without_a_choice_is_not_probed() -> None:
    def probe(*_: Any) -> float:
        raise AssertionError("nothing to probe")

    assert distortions([knob([1e-3])], probe, [1e-3], progress=False) == [[0.0]]


def test_between_probes_distortions_are_a_power_of_the_error() -> None:
    one = knob([1e-1, 1e-2, 1e-3, 1e-4])
    found = interpolated(one, [(1, 1e-4), (3, 1e-8)])
    assert found == pytest.approx([1e-3, 1e-4, 1e-6, 1e-8])


def test_a_distortion_that_a_rounding_absorbs_tells_nothing_of_larger_errors() -> None:
    one = knob([1e-1, 1e-2, 1e-3, 1e-4])
    assert proportional(one, [(2, 0.0)]) == [1e-1, 1e-2, 0.0, 0.0]
    assert proportional(one, [(0, 1e-3), (2, 0.0)]) == pytest.approx([1e-3, 1e-4, 1e-5, 1e-6])
    assert proportional(one, [(0, 1e-3), (2, 1e-3)]) == pytest.approx([1e-1, 1e-2, 1e-3, 1e-4])


def test_the_nearest_error_is_so_in_ratio() -> None:
    assert nearest(knob([1e-1, 1e-2, 1e-4]).candidates, 2e-3) == 1
