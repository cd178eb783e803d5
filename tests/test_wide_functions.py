# SPDX-License-Identifier: Apache-2.0
"""Functions of a huge or tiny range: fitted within float32, and refused alone where they leave it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from both_runtimes import checked_conversion
from conversions import statuses
from graphs import graph
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn import Status
from onnx_snn.allocation.calibrated_signals import CalibratedSignals, Refusal
from onnx_snn.allocation.neuron_fits import LARGEST_VALUE, MOST_GROWTH, NeuronFits
from onnx_snn.calibration.signed_histogram import SignedHistogram
from onnx_snn.calibration.statistics import Calibration
from onnx_snn.config.convert_config import Preset
from onnx_snn.config.neuron_settings import NeuronSettings
from onnx_snn.neurons import functions
from onnx_snn.neurons.functions import ScalarFunction

SETTINGS = NeuronSettings(8, gate=True, headroom=math.pi)
MODEL = graph("e = Cosh (x) t = Tanh (x) y = Identity (e)", outputs="float[N,4,8] y, float[N,4,8] t")


def between(low: float, high: float) -> list[dict[str, np.ndarray]]:
    """Arguments spread evenly, in no order, so that every sample has large ones."""
    x = np.random.default_rng(0).permutation(np.linspace(low, high, 512, dtype=np.float32))
    return [{"x": part} for part in x.reshape(4, 4, 4, 8)]


def fits(*values: float) -> NeuronFits:
    """Fits to a calibration in which the tensor x took `values`."""
    histogram = SignedHistogram()
    histogram.add(np.array(values, np.float32))
    calibration = Calibration()
    calibration.signed["x"] = histogram
    return NeuronFits(CalibratedSignals(calibration, Preset.DEFAULT))


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high"), [(-1.0, 5.0), (-1.0, 20.0), (65.0, 80.0)])
def test_fast_growth_is_exact_relative_to_its_largest_values(low: float, high: float, tmp_path: Path) -> None:
    found = checked_conversion(MODEL, tmp_path, between(low, high))
    assert statuses(found.report) == {"e": Status.CONVERTED, "t": Status.CONVERTED}
    assert found.error < 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    ("high", "says"), [(50.0, "vanish in the errors"), (85.0, "has the magnitude"), (100.0, "has the magnitude")]
)
def test_one_function_that_cannot_be_fitted_does_not_stop_the_others(high: float, says: str, tmp_path: Path) -> None:
    found = checked_conversion(MODEL, tmp_path, between(-1.0, high))
    assert statuses(found.report) == {"e": Status.REFUSED, "t": Status.CONVERTED}
    (reason,) = (node.reason for node in found.report.nodes if node.name == "e")
    assert "'cosh'" in reason
    assert says in reason


@given(st.floats(-80.0, 80.0), st.floats(0.01, 13.0))
def test_headroom_never_lets_a_function_outgrow_what_occurs(low: float, width: float) -> None:
    high = min(low + width, 83.0)
    calibrated = fits(low, high)
    density = calibrated.density("cosh", "x", SETTINGS)
    largest = np.cosh(calibrated.signals.histogram("x").ends).max()
    assert np.cosh(density.points).max() <= MOST_GROWTH * largest * (1 + 1e-6)
    assert density.points[-1] >= min(high, 0.0)


@pytest.mark.parametrize("name", ["tanh", "gelu", "sigmoid", "relu", "softplus", "leaky_relu(0.01)"])
def test_functions_of_linear_growth_keep_their_headroom(name: str) -> None:
    density = fits(-3.0, 5.0).density(name, "x", SETTINGS)
    assert density.points[-1] == pytest.approx(5.0 * SETTINGS.headroom)


def test_the_largest_value_of_a_neuron_is_a_bound() -> None:
    below, above = np.arccosh(LARGEST_VALUE) - 1.0, np.arccosh(LARGEST_VALUE) + 0.1
    assert np.cosh(fits(70.0, below).density("cosh", "x", SETTINGS).points).max() <= LARGEST_VALUE
    with pytest.raises(Refusal, match="neurons represent at most"):
        fits(0.0, above).density("cosh", "x", SETTINGS)


@pytest.mark.parametrize("exponent", [-60, 60])
def test_scaling_a_function_scales_its_neuron_exactly(exponent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(x: np.ndarray) -> np.ndarray:
        return np.tanh(x) + 2.0

    formulas = {"huge": lambda x: np.ldexp(shifted(x), exponent), "plain": shifted}
    for name, formula in formulas.items():
        monkeypatch.setitem(functions._registry, name, ScalarFunction(name, formula, (-4.0, 4.0)))
    huge, plain = (fits(-3.0, 2.0).function(name, "x", 8, SETTINGS) for name in formulas)
    x = np.linspace(-4.0, 4.0, 100)
    np.testing.assert_array_equal(huge(x), np.ldexp(plain(x), exponent))
