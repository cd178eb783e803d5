# SPDX-License-Identifier: Apache-2.0
"""Energy by rule: what each counts, and at which cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnx_snn import ConfigError, EnergyCosts, EnergyReport, NeuronActivity, Operand, ProductActivity, ProductKind
from onnx_snn.neurons.mbe import MbeNeuron, halving_neuron
from onnx_snn.neurons.step_kernels import size_kernels
from onnx_snn.profiling.energy import RULES, NodeWork, Operations, Work
from onnx_snn.profiling.op_counts import work_of_product, work_of_spiking


def neuron(source: str, elements: int, spikes: list[list[int]], which: str = "") -> NeuronActivity:
    return NeuronActivity("node", which, source, elements, np.array(spikes, np.int64), True, 0)


def by_rule(node: NodeWork, costs: EnergyCosts | None = None) -> dict[str, tuple[float, float]]:
    figures = EnergyReport((node,), costs or EnergyCosts()).figures()
    return {figure.rule.name: (figure.original, figure.spiking) for figure in figures}


def test_a_coded_product_costs_accumulates_in_place_of_macs() -> None:
    """1000 MACs against 300 synaptic operations: 4.6 and 0.9 pJ each."""
    activity = ProductActivity("dense", "MatMul", ProductKind.WEIGHTS, 1000, (Operand("x/code", 10, 3, 300),))
    energy = by_rule(work_of_product(activity, outputs=100))
    for name in ("accumulate-only", "with neurons", "with routed neurons"):
        assert energy[name] == pytest.approx((4600.0, 270.0))
    # Words of 5 pJ: two for each MAC and one for each output; three for each operation and one for each spike.
    assert energy["with memory"] == pytest.approx((4600.0 + 5 * 2100, 270.0 + 5 * 903))


def test_a_product_that_stays_costs_the_same_in_both() -> None:
    activity = ProductActivity("dense", "MatMul", ProductKind.WEIGHTS, 1000, ())
    for original, spiking in by_rule(work_of_product(activity, outputs=100)).values():
        assert original == spiking > 0


def test_a_code_costs_nothing_in_the_original() -> None:
    """10 elements, 2 steps of 4 bases, 7 spikes.

    As defined: 4 additions and multiplications and 8 comparisons an element, two additions a spike. Routed: a bisection
    of 4 segments in 2 comparisons, then one basis.
    """
    code = neuron("identity", 10, [[1, 2, 0, 0], [1, 1, 1, 1]])
    energy = by_rule(work_of_spiking("MbeNeuron", [code], [True]))
    assert energy["accumulate-only"] == (0, 0)
    assert energy["with neurons"] == pytest.approx((0, 10 * (4 * 0.9 + 4 * 3.7 + 8 * 0.9) + 7 * 2 * 0.9))
    assert energy["with routed neurons"] == pytest.approx((0, 10 * (2 * 0.9 + 0.9 + 3.7 + 2 * 0.9) + 7 * 2 * 0.9))


def test_sums_are_scaled_where_steps_do_not_halve() -> None:
    """100 outputs: 2 of 3 steps are no shift, and neither is the readout; a halving code of one basis has none.

    Two bases are added once, and two readouts of 0.75 are multiplications.
    """
    activity = ProductActivity("dense", "MatMul", ProductKind.WEIGHTS, 1000, (Operand("x/code", 10, 3, 300),))
    one = np.ones(1, np.float32)
    beta = MbeNeuron(
        np.zeros(1), one, weight=one, bias=np.float32(0), **size_kernels([[1.0], [0.75], [0.5625]], gate=False)
    )
    codes = {
        "beta": ([beta], 100 * 3 * 3.7),
        "halving": ([halving_neuron([0.0], [1.0], [0.5], 0.0, 3)], 0.0),
        "two bases": ([halving_neuron([0.0, 2.0], [1.0, 1.0], [0.75, 0.75], 0.0, 3)], 100 * (2 * 3.7 + 0.9)),
    }
    for name, (neurons, scaling) in codes.items():
        energy = by_rule(work_of_product(activity, 100, neurons))
        assert energy["with scaling"] == pytest.approx((4600.0, 270.0 + scaling)), name
        assert energy["accumulate-only"] == pytest.approx((4600.0, 270.0))


def test_an_event_driven_core_updates_every_basis() -> None:
    """By table 2 of Davies et al. 2018: 23.6 pJ a synaptic operation, 1.7 pJ a spike, 81 pJ an update."""
    activity = ProductActivity("dense", "MatMul", ProductKind.WEIGHTS, 1000, (Operand("x/code", 10, 3, 300),))
    energy = by_rule(work_of_product(activity, outputs=100))
    assert energy["event-driven core"] == pytest.approx((energy["with memory"][0], 300 * 23.6 + 3 * 1.7))
    code = by_rule(work_of_spiking("MbeNeuron", [neuron("identity", 10, [[1, 2, 0, 0], [1, 1, 1, 1]])], [True]))
    assert code["event-driven core"] == pytest.approx((0, 10 * 8 * 81.0))
    kept = by_rule(work_of_product(ProductActivity("dense", "MatMul", ProductKind.WEIGHTS, 1000, ()), outputs=100))
    assert kept["event-driven core"][0] == kept["event-driven core"][1] == kept["with memory"][0]


def test_overlapping_segments_are_not_routed() -> None:
    code = neuron("identity", 10, [[1, 2, 0, 0]])
    energy = by_rule(work_of_spiking("MbeNeuron", [code], [False]))
    assert energy["with neurons"] == energy["with routed neurons"]


@pytest.mark.parametrize(("source", "costlier"), [("gelu", "relu"), ("registered", "relu"), ("elu(1.5)", "relu")])
def test_functions_cost_in_the_original_what_they_take(source: str, costlier: str) -> None:
    high, low = (
        by_rule(work_of_spiking("MbeNeuron", [neuron(name, 10, [[1, 1]])], [True]))["with neurons"][0]
        for name in (source, costlier)
    )
    assert high > low == 10 * 0.9


def test_softmax_and_norms_count_what_is_around_their_neurons_in_both() -> None:
    for op_type, names in (
        ("SpikingSoftmax", ("exp2", "reciprocal")),
        ("SpikingLayerNormalization", ("deviation", "rsqrt")),
        ("SpikingRMSNormalization", ("deviation", "rsqrt")),
    ):
        silent = [neuron("x", 20, [[0]], names[0]), neuron("x", 4, [[0]], names[1])]
        original, spiking = by_rule(work_of_spiking(op_type, silent, [True, True]))["with routed neurons"]
        neurons_alone = 24 * (0.9 + 3.7 + 0.9)
        assert original > 0
        assert spiking > neurons_alone, op_type


def test_costs_are_the_users() -> None:
    activity = ProductActivity("dense", "MatMul", ProductKind.WEIGHTS, 1000, (Operand("x/code", 10, 3, 300),))
    report = EnergyReport((work_of_product(activity, 0),))
    figure = report.with_costs(EnergyCosts(accumulate=0.1, multiply_accumulate=3.2)).figures()[0]
    assert (figure.original, figure.spiking) == pytest.approx((3200, 30))
    assert figure.ratio == pytest.approx(30 / 3200)


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ({"accumulates": 1.0}, r"unknown energy costs \['accumulates'\]; known are \['accumulate', "),
        ({"accumulate": -1}, "energy cost accumulate is -1; expected picojoules"),
        ({"access": float("inf")}, "energy cost access is inf"),
        ({"multiply": True}, "energy cost multiply is True"),
    ],
)
def test_costs_are_checked(costs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EnergyCosts.from_json(costs)


def test_every_rule_says_what_it_counts_and_whose_it_is() -> None:
    assert [rule.name for rule in RULES] == [
        "accumulate-only",
        "with neurons",
        "with routed neurons",
        "with scaling",
        "with memory",
        "event-driven core",
    ]
    for rule in RULES:
        assert rule.formula
        assert rule.source
        assert set(rule.parts) <= set(Work.__dataclass_fields__)


def test_figures_of_all_nodes_are_sums_of_theirs() -> None:
    nodes = tuple(
        NodeWork(f"n{i}", "x", Work(synapses=Operations(i, i, i, i, i)), Work(neurons=Operations(1, 2, 3, 4, i)))
        for i in range(4)
    )
    report = EnergyReport(nodes)
    for index, figure in enumerate(report.figures()):
        alone = [report.figures([node])[index] for node in nodes]
        assert figure.original == pytest.approx(sum(entry.original for entry in alone))
        assert figure.spiking == pytest.approx(sum(entry.spiking for entry in alone))
