# SPDX-License-Identifier: Apache-2.0
"""Candidates of a neuron: what is kept, none betters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.allocation.candidates import Candidate, worthwhile
from onnx_snn.allocation.plan import Coding
from onnx_snn.config.neuron_settings import FittedBases, NeuronSettings
from onnx_snn.neurons.mbe import halving_neuron


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 1)), min_size=1, max_size=20))
def test_worthwhile_candidates_are_bettered_by_none(pairs: list[tuple[float, float]]) -> None:
    neuron, settings = halving_neuron([0.0], [1.0], [1.0], 0.0, 1), NeuronSettings(4, True, 4.0, FittedBases(1))
    found = [Candidate(settings, Coding(neuron, spikes=spikes), error) for spikes, error in pairs]
    kept = worthwhile(found)
    assert [one.spikes for one in kept] == sorted({one.spikes for one in kept})
    assert [one.error for one in kept] == sorted({one.error for one in kept}, reverse=True)
    for one in found:
        assert any(other.spikes <= one.spikes and other.error <= one.error for other in kept)
