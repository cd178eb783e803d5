# SPDX-License-Identifier: Apache-2.0
"""Word lengths of neurons: integers of so many bits give the same spikes and the same answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from graphs import graph
from hypothesis import given, settings
from networks import normal
from strategies import Case, cases

import onnx_snn
from onnx_snn.cli.main import main
from onnx_snn.config.neuron_settings import BetaCode
from onnx_snn.fitting.beta_codes import BetaSteps
from onnx_snn.neurons.fixed_point import FixedPoint, Word, fixed_point
from onnx_snn.neurons.mbe import MbeNeuron, halving_neuron, spike_trains, time_loop
from onnx_snn.neurons.step_kernels import size_kernels


def assert_fits(word: Word, values: np.ndarray) -> None:
    """The integers are within the bounds of the word, and so within its bits."""
    assert word.lowest <= values.min(initial=word.lowest)
    assert values.max(initial=word.highest) <= word.highest
    low, high = (-(2 ** (word.bits - 1)), 2 ** (word.bits - 1) - 1) if word.signed else (0, 2**word.bits - 1)
    assert low <= word.lowest
    assert word.highest <= high


@np.errstate(all="ignore")
def in_integers(neuron: MbeNeuron, found: FixedPoint, x: np.ndarray) -> np.ndarray:
    """Spikes [S, N, elements] of membranes that are integers of the word."""
    assert found.membrane is not None
    grid, word = 2.0**found.membrane.exponent, found.membrane
    x = np.where(x < 0, -x, x) if neuron.polarity else x
    u = ((x.ravel() - neuron.u_rest[:, None]) * neuron.gain[:, None]).astype(np.float64)
    start = float(neuron.threshold.min()) / grid - 1
    k = np.where(np.isnan(u), start, np.clip(np.floor(u / grid), start, word.highest)).astype(np.int64)
    spikes = []
    for threshold, reset in zip(neuron.threshold, neuron.reset, strict=True):
        assert_fits(word, k)
        s = k >= np.round(threshold[:, None] / grid)
        silenced = s & np.isinf(reset[:, None])
        taken = np.where(np.isinf(reset), 0, reset)[:, None] / grid
        k = np.where(silenced, int(start), k - s * taken.astype(np.int64))
        spikes.append(s)
    return np.stack(spikes)


def check(neuron: MbeNeuron, x: np.ndarray) -> FixedPoint:
    found = fixed_point(neuron)
    if found.membrane is None:
        assert found.reason
    else:
        np.testing.assert_array_equal(in_integers(neuron, found, x), spike_trains(neuron, x))
    return found


@settings(max_examples=30)
@given(cases(halving=True))
def test_halving_neurons_have_the_same_spikes_in_integers(case: Case) -> None:
    """A membrane of T bits, whatever the argument."""
    found = check(case.neuron, np.asarray(case.x, np.float32))
    assert case.neuron.halving is not None
    timesteps = case.neuron.halving.timesteps
    assert found.membrane is not None
    assert (found.membrane.bits, found.membrane.exponent, found.membrane.signed) == (timesteps, 1 - timesteps, False)


@settings(max_examples=40)
@given(cases())
def test_any_neuron_has_them_or_says_why_not(case: Case) -> None:
    check(case.neuron, np.asarray(case.x, np.float32))


@settings(max_examples=40)
@given(cases())
def test_answers_are_integers_of_their_word(case: Case) -> None:
    found, x = fixed_point(case.neuron), np.asarray(case.x, np.float32)
    trains = spike_trains(case.neuron, x).astype(np.float64)
    c = case.neuron.weight.astype(np.float64) * case.neuron.intensity
    sums = case.neuron.bias.astype(np.float64) + np.einsum("sne,sn->e", trains, c)
    integers = np.ldexp(sums, -found.answer.exponent)
    assert (integers == np.round(integers)).all()
    assert_fits(found.answer, integers)
    expected = time_loop(case.neuron, np.abs(x) if case.neuron.polarity else x).y.ravel()
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(sums.astype(np.float32)[known], expected[known])
    assert_fits(found.weight, np.ldexp(case.neuron.weight.astype(np.float64), -found.weight.exponent))


@pytest.mark.parametrize("decay", [0.5, 0.75, 0.9])
def test_beta_codes_have_words_of_their_grid(decay: float) -> None:
    sizes = BetaSteps(8, BetaCode(decay=decay, increment=0.0, octaves=(0,))).sizes
    one = np.ones(1, np.float32)
    neuron = MbeNeuron(np.zeros(1), one, weight=one, bias=np.float32(0), **size_kernels(sizes[:, None], gate=True))  # type: ignore[arg-type]
    found = check(neuron, np.random.default_rng(0).uniform(-1, 9, 4000).astype(np.float32))
    assert found.membrane is not None
    assert found.membrane.bits <= 24


def test_words_in_words() -> None:
    found = fixed_point(halving_neuron([0.0], [1.0], [0.75], 0.0, 8, polarity=1))
    assert found.membrane is not None
    assert (found.membrane.text(), found.weight.text(), found.shifts) == ("u8 * 2^-7", "u2 * 2^-2", 0)
    assert found.answer.text() == "s11 * 2^-9"


def test_command_reports_every_neuron(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.onnx"
    network = graph(
        "y = MatMul(x, w)",
        inputs="float[N,2] x",
        outputs="float[N,2] y",
        initializers="float[2,2] w = {1, 2, 3, 4}",
    )
    onnx_snn.convert(network, path, {"x": normal(8, 2)}, timesteps=5, fast=True, progress=False)
    assert main(["inspect", str(path), "--fixed-point"]) == 0
    text = capsys.readouterr().out
    assert "x/code" in text
    assert "u5 * 2^-4" in text
    assert main(["inspect", str(path), "--fixed-point", "--json"]) == 0
    words = json.loads(capsys.readouterr().out)["neurons"]
    assert [each["name"] for each in words] == ["x/code"]
    assert words[0]["membrane"]["bits"] == 5
