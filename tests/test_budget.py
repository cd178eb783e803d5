# SPDX-License-Identifier: Apache-2.0
"""The search for the cheapest neurons within a budget, on a network whose error is that of its neurons."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from typing import Any, cast

import numpy as np
import pytest
from test_sensitivities import knob

from onnx_snn.allocation import budget
from onnx_snn.allocation.budget import Allocation, Budget
from onnx_snn.allocation.candidates import Candidate
from onnx_snn.allocation.trial_network import TrialNetwork

EXACT = np.array([[1.0, -1.0]])
FEED = {"x": np.zeros((1, 2), np.float32)}


class Network:
    """A network of three neurons, whose squared errors add up at the output."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain
        self.knobs = [knob([4.0**-i for i in range(1, 8)]) for _ in range(3)]

    def original(self, *_: Any) -> dict[str, Any]:
        return {"y": EXACT}

    def spiking(
        self, _: Any, names: Sequence[str], choice: Sequence[Candidate], alone: Collection[int] | None = None
    ) -> dict[str, Any]:
        spiking = range(3) if alone is None else alone
        error = self.gain * math.sqrt(sum((1 + i) * choice[i].error for i in spiking))
        return dict.fromkeys(names, EXACT * (1.0 + error))


def allocated(network: Network, max_error: float) -> Allocation:
    search = Budget(cast(TrialNetwork, network), [FEED], ["y"], max_error, progress=False)
    return search.allocate(100)


@pytest.mark.parametrize("max_error", [0.9, 0.3, 0.1, 0.05])
def test_the_cheapest_choice_within_the_budget_is_found(max_error: float) -> None:
    found = allocated(Network(), max_error)
    assert found.within
    assert found.error <= max_error
    squares = [[(1 + i) * one.error for one in each.candidates] for i, each in enumerate(Network().knobs)]
    within = [
        sum(choice)
        for choice in itertools.product(range(7), repeat=3)
        if sum(squares[i][index] for i, index in enumerate(choice)) <= max_error**2
    ]
    assert sum(one.spikes for one in found.choice) <= min(within) + 1.0


def test_where_no_choice_is_finite_the_most_exact_one_is_taken() -> None:
    network = Network(math.inf)
    found = allocated(network, 0.01)
    assert not found.within
    assert found.choice == [one.candidates[-1] for one in network.knobs]


def test_where_no_choice_is_within_the_budget_one_near_the_most_exact_is_taken() -> None:
    network = Network(1e6)
    found = allocated(network, 0.01)
    exact = 1e6 * math.sqrt(sum((1 + i) * each.candidates[-1].error for i, each in enumerate(network.knobs)))
    assert not found.within
    assert found.error <= budget.FLOOR_SLACK * exact


def test_below_a_floor_of_the_error_neurons_are_cheap() -> None:
    """What errs by 0.2 whatever the neurons are takes none of the spikes that a budget of 0.01 would."""

    class Floored(Network):
        def spiking(self, *arguments: Any) -> dict[str, Any]:
            return {name: EXACT * max(1.2, array[0, 0]) for name, array in super().spiking(*arguments).items()}

    found, exact = allocated(Floored(), 0.01), [one.candidates[-1] for one in Network().knobs]
    assert not found.within
    assert sum(one.spikes for one in found.choice) < 0.7 * sum(one.spikes for one in exact)


def test_outputs_that_tell_no_error_get_the_most_exact_neurons() -> None:
    network = Network()
    network.original = lambda *_: {"y": np.array([1, 2])}  # type: ignore[method-assign]
    found = allocated(network, 0.01)
    assert found.choice == [one.candidates[-1] for one in network.knobs]


def test_the_number_of_runs_is_limited_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A progress bar that is not shown counts nothing."""
    monkeypatch.setattr(budget, "TRIALS", 2)
    runs = Budget(cast(TrialNetwork, Network()), [FEED], ["y"], 0.05, progress=False)
    runs.allocate(100)
    assert len(runs._tried) <= 3  # the most exact choice may follow
