# SPDX-License-Identifier: Apache-2.0
"""The NumPy reference of the neuron: its equations, its closed form, and the parameters it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from portable import assert_same_bits
from strategies import SPECIAL, Case, cases, mirrored, with_neighbours

from onnx_snn.errors import NeuronError
from onnx_snn.neurons.mbe import MAX_TIMESTEPS, MbeNeuron, Response, closed_form, halving_neuron, time_loop
from onnx_snn.neurons.step_kernels import halving_kernels, size_kernels

TIMESTEPS = range(1, MAX_TIMESTEPS + 1)


def assert_same_response(actual: Response, expected: Response, what: str) -> None:
    assert_same_bits(actual.y, expected.y, f"y of {what}")
    assert_same_bits(actual.spikes, expected.spikes, f"spikes of {what}")


def one_element(neuron: MbeNeuron, x: np.float32, scale: np.float32) -> tuple[np.float32, np.ndarray]:
    """The equations of the neuron, written down once more for one number: y and the spikes [S, N]."""
    spikes = np.zeros(neuron.threshold.shape, np.int64)
    scaled = x / scale
    negative = bool(neuron.polarity and scaled < 0)
    total = float(neuron.bias)
    for n in range(neuron.bases):
        u = ((-scaled if negative else scaled) - neuron.u_rest[n]) * neuron.gain[n]
        for t in range(neuron.timesteps):
            if u >= neuron.threshold[t, n]:
                u = u - neuron.reset[t, n]
                spikes[t, n] = 1
                total += float(neuron.weight[n]) * float(neuron.intensity[t, n])
    y = np.float32(total)
    y = (np.float32(0) - y if negative else y) * scale
    return (x if np.isnan(x) else y), spikes


@given(cases())
def test_time_loop_is_the_equations(case: Case) -> None:
    """The vectorised loop against the equations element by element: `total` is exact in any order."""
    neuron, x, scale = case
    some = slice(0, 40)
    flat = x.ravel()[some]
    factor = np.broadcast_to(scale, x.shape).ravel()[some] if x.ndim else scale
    with np.errstate(all="ignore"):
        expected = [one_element(neuron, *pair) for pair in zip(flat, factor, strict=True)]
    actual = time_loop(neuron, flat, factor)
    assert_same_bits(actual.y, np.array([y for y, _ in expected], np.float32), "y")
    none = np.zeros(neuron.threshold.shape, np.int64)
    assert_same_bits(actual.spikes, sum((spikes for _, spikes in expected), none), "spikes")


@given(cases(halving=True))
def test_closed_form_is_the_time_loop(case: Case) -> None:
    assert case.neuron.halving is not None
    assert_same_response(closed_form(*case), time_loop(*case), "the closed form")


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("timesteps", TIMESTEPS)
def test_closed_form_at_every_level_boundary(timesteps: int, gate: bool) -> None:
    """Every level of a rising and a falling basis: its boundary, two floats to either side, and mirrored."""
    u_rest, gain = np.float32([-1.7, 2.3]), np.float32([0.61, -0.37])
    neuron = halving_neuron(u_rest, gain, [0.75, -1.25], 0.5, timesteps, gate=gate, polarity=1)
    charge = np.arange(-1, 2**timesteps + 1)[:, None] * 2.0 ** (1 - timesteps)
    x = np.concatenate([mirrored(with_neighbours((u_rest + charge / gain).ravel())), SPECIAL])
    assert_same_response(closed_form(neuron, x), time_loop(neuron, x), "the closed form")


@given(cases())
def test_output_has_the_shape_of_the_input(case: Case) -> None:
    assert case.neuron(case.x, case.scale).shape == case.x.shape


@given(cases())
def test_nan_passes_with_its_bits(case: Case) -> None:
    missing = np.isnan(case.x)
    y = case.neuron(case.x, case.scale)
    assert_same_bits(y[missing], case.x[missing], "NaN")
    assert np.isnan(y[~missing]).sum() == 0


@given(cases(halving=True))
def test_gate_saves_spikes_and_changes_no_output(case: Case) -> None:
    neuron, x, scale = case
    timesteps = neuron.halving.timesteps
    shape = neuron.u_rest, neuron.gain, neuron.weight, neuron.bias, timesteps
    plain = halving_neuron(*shape, polarity=neuron.polarity)
    gated = halving_neuron(*shape, polarity=neuron.polarity, gate=True)
    without, with_gate = time_loop(plain, x, scale), time_loop(gated, x, scale)
    assert_same_bits(with_gate.y, without.y, "y of the gated neuron")
    saturated = with_gate.spikes[0]
    assert without.spikes.sum() - with_gate.spikes.sum() == (timesteps - 1) * saturated.sum()


@given(cases())
def test_powers_of_two_only_move_the_exponent(case: Case) -> None:
    """Rescaling input and output by a power of two commutes with the neuron, short of under- and overflow."""
    neuron, x, _ = case
    x = x[np.isfinite(x) & (np.abs(x) < 2.0**60) & ((np.abs(x) > 2.0**-60) | (x == 0))]
    plain, scaled = neuron(x), neuron(x * np.float32(2**20), np.float32([2**20]))
    representable = (plain == 0) | (np.abs(plain) > 2.0**-100) & (np.abs(plain) < 2.0**100)
    assert_same_bits(scaled[representable], (plain * np.float32(2**20))[representable], "rescaled neuron")


def test_halving_kernels_encode_by_successive_approximation() -> None:
    """T = 3 by hand: u = 1.25 is level 5 = 0b101, worth 1.25; u = 9 saturates at level 7."""
    neuron = halving_neuron([0], [1], [1], 0, 3)
    response = time_loop(neuron, [1.25])
    assert response.y.tolist() == [1.25]
    assert response.spikes.ravel().tolist() == [1, 0, 1]
    gated = time_loop(halving_neuron([0], [1], [1], 0, 3, gate=True), [9, 1.25])
    assert gated.y.tolist() == [1.75, 1.25]
    assert gated.spikes.ravel().tolist() == [1, 1, 0, 1]


def test_negative_gain_reads_the_input_from_the_right() -> None:
    neuron = halving_neuron([1], [-1], [2], 0.5, 2)
    assert neuron([2, 1, 0.4, -5]).tolist() == [0.5, 0.5, 1.5, 3.5]


def test_odd_neuron_restores_the_sign() -> None:
    neuron = halving_neuron([0], [1], [1], 0.25, 4, polarity=1)
    assert neuron([1, -1, 0, -0.0]).tolist() == [1.25, -1.25, 0.25, 0.25]


def test_silent_neuron_answers_positive_zero() -> None:
    """Whatever the signs of zero in parameters and input, so that no order of the sum can show."""
    neuron = halving_neuron([5], [1], [-1], -0.0, 4, polarity=1)
    y = neuron(np.float32([-1, -0.0, 0, 1]))
    assert_same_bits(y, np.zeros(4, np.float32), "silence")


def test_counts_of_bases_slots_and_parameters() -> None:
    neuron = halving_neuron([0, 1, 2], [1, 1, 1], [1, 1, 1], 0, 4, gate=True)
    assert (neuron.bases, neuron.timesteps, neuron.slots) == (3, 5, 15)
    assert neuron.parameters == 3 * 3 + 3 * 15 + 1
    assert neuron.halving == (4, True)


@pytest.mark.parametrize("field", ["threshold", "reset", "intensity"])
def test_other_kernels_have_no_closed_form(field: str) -> None:
    neuron = MbeNeuron(**valid_parameters() | {field: [[1, 1], [0.25, 0.25]]})
    assert neuron.halving is None
    assert neuron.sizes is None
    with pytest.raises(NeuronError, match="halving"):
        closed_form(neuron, [1.0])
    assert_same_bits(neuron([1.3]), time_loop(neuron, [1.3]).y, "call")


@pytest.mark.parametrize("gate", [False, True])
def test_sizes_are_what_a_spike_takes_and_adds(gate: bool) -> None:
    steps = np.float32([[1.0, 1.0], [0.75, 0.5], [0.5, 0.25]])
    neuron = MbeNeuron(**valid_parameters() | size_kernels(steps, gate=gate))
    assert neuron.halving is None
    assert neuron.sizes is not None
    assert neuron.sizes.gate == gate
    assert np.array_equal(neuron.sizes.steps, steps)


@given(cases(halving=True))
def test_halving_neurons_have_sizes(case: Case) -> None:
    halving, sizes = case.neuron.halving, case.neuron.sizes
    assert sizes is not None
    assert (len(sizes.steps), sizes.gate) == halving


def test_parameters_are_read_only_copies() -> None:
    u_rest = np.zeros(2, np.float32)
    neuron = MbeNeuron(**valid_parameters() | {"u_rest": u_rest})
    u_rest[0] = 9
    assert neuron.u_rest[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        neuron.u_rest[0] = 1


def valid_parameters() -> dict[str, Any]:
    """Two bases, two time steps."""
    return {"u_rest": [0, 1], "gain": [1, 1], "weight": [1, 1], "bias": 0, **halving_kernels(2, 2)}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("u_rest", [[0, 1]], r"u_rest has shape \(1, 2\); expected \[N\]"),
        ("u_rest", [], r"u_rest has shape \(0,\); expected \[N\] with N >= 1"),
        ("gain", [1], r"gain has shape \(1,\); expected \(2,\)"),
        ("weight", [1, 1, 1], r"weight has shape \(3,\); expected \(2,\)"),
        ("bias", [0], r"bias has shape \(1,\); expected \(\)"),
        ("threshold", [1, 1], r"threshold has shape \(2,\); expected \[S, N\]"),
        ("threshold", np.ones((0, 2)), r"threshold has shape \(0, 2\); expected \[S, N\] with S >= 1"),
        ("threshold", np.ones((2, 3)), r"threshold has shape \(2, 3\); expected \(2, 2\)"),
        ("reset", np.ones((3, 2)), r"reset has shape \(3, 2\); expected \(2, 2\)"),
        ("intensity", np.ones((2, 1)), r"intensity has shape \(2, 1\); expected \(2, 2\)"),
        ("polarity", 2, r"polarity is 2; expected 0 .* or 1"),
        ("polarity", -1, r"polarity is -1; expected 0 .* or 1"),
        ("u_rest", [0, np.nan], r"u_rest holds nan"),
        ("gain", [np.inf, 1], r"gain holds inf"),
        ("gain", [1, 0], r"gain holds 0\.0"),
        ("gain", [1, -0.0], r"gain holds 0\.0"),
        ("gain", [2.0**120, 1], r"gain holds 1\.3\d+e\+36"),
        ("weight", [-np.inf, 1], r"weight holds -inf"),
        ("bias", np.nan, r"bias holds nan"),
        ("bias", 1e39, r"bias holds inf"),
        ("threshold", [[np.inf, 1], [1, 1]], r"threshold holds inf"),
        ("reset", [[-np.inf, 1], [1, 1]], r"reset holds -inf"),
        ("reset", [[np.nan, 1], [1, 1]], r"reset holds nan"),
        ("intensity", [[np.inf, 1], [1, 1]], r"intensity holds inf"),
        ("intensity", [[1, 1], [2.0**-24, 0.5]], r"intensity sums to 1.5 in units of 5.9.*, .* float32"),
        ("weight", [1, 2.0**-60], r"weight and bias sum to 1.5 in units of 4.33681e-19, .* float64"),
        ("bias", 2.0**-60, r"weight and bias sum to 3 in units of 8.67362e-19, .* float64"),
        ("bias", 2.0**60, r"weight and bias sum to 1.15292e\+18 in units of 0.5, .* float64"),
        ("weight", [2.0**-149, 0], r"weight and bias sum in units of 7.00649e-46, below the smallest float32"),
    ],
)
def test_refuses(field: str, value: Any, message: str) -> None:
    with np.errstate(over="ignore"), pytest.raises(NeuronError, match=message):
        MbeNeuron(**valid_parameters() | {field: value})
