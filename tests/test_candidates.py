# SPDX-License-Identifier: Apache-2.0
"""Candidates of a neuron: what is kept, none betters."""

from __future__ import annotations

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.allocation.candidates import LEAST_GAIN, Candidate, NeuronFamily, worthwhile
from onnx_snn.config.neuron_settings import FittedBases, NeuronSettings


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 1)), min_size=1, max_size=20))
def test_worthwhile_candidates_are_bettered_by_none(pairs: list[tuple[float, float]]) -> None:
    settings, family = NeuronSettings(4, True, 4.0, FittedBases(1)), cast(NeuronFamily, None)
    found = [Candidate(settings, spikes, error, family) for spikes, error in pairs]
    kept = worthwhile(found)
    assert [one.spikes for one in kept] == sorted({one.spikes for one in kept})
    assert [one.error for one in kept] == sorted({one.error for one in kept}, reverse=True)
    for one in found:
        assert any(other.spikes <= one.spikes and other.error * (1.0 - LEAST_GAIN) <= one.error for other in kept)
