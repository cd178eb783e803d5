# SPDX-License-Identifier: Apache-2.0
"""Functions of arguments of any magnitude: close everywhere, exact where the function is not finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from conversions import converted
from graphs import graph
from networks import run

import onnx_snn

POSITIVE = np.exp2(np.random.default_rng(1).uniform(-12, 12, (8, 4, 8))).astype(np.float32)
MAGNITUDES = np.exp2(np.random.default_rng(2).uniform(-140, 127, (2, 4, 8))).astype(np.float32)
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, 2.0**-149, 1.0], np.float32)


def bits(array: np.ndarray) -> list[int]:
    return [int(each) for each in array.view(np.uint32).ravel()]


@pytest.mark.parametrize("operator", ["Reciprocal", "Sqrt", "Log"])
def test_wide_arguments_keep_their_precision(operator: str, tmp_path: Path) -> None:
    model = graph(f"y = {operator}(x)")
    path, _ = converted(model, tmp_path, {"x": POSITIVE})
    special = np.broadcast_to(SPECIAL, (1, 4, 8))
    kernels = onnx_snn.session(path)
    for x in (POSITIVE, MAGNITUDES, special):
        expected, (y,) = run(model, {"x": x})["y"], kernels.run(None, {"x": x})
        plain = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        assert bits(y) == bits(plain)
        np.testing.assert_allclose(y, expected, rtol=2e-3, atol=2e-3 if operator == "Log" else 1e-44)


@pytest.mark.parametrize("exponent", [2, 3, 5, -2, -3])
def test_whole_powers_have_relative_errors(exponent: int, tmp_path: Path) -> None:
    """Of quiet signals as of loud ones; where the power has no float32, it is that of the standard operator."""
    model = graph("y = Pow(x, exponent)", initializers=f"float[1] exponent = {{{exponent}}}")
    signed = POSITIVE * np.where(np.arange(8) % 2, 1, -1).astype(np.float32)
    path, _ = converted(model, tmp_path, {"x": signed})
    special = np.broadcast_to(SPECIAL, (1, 4, 8))
    kernels = onnx_snn.session(path)
    for x in (signed, -MAGNITUDES, special):
        expected, (y,) = run(model, {"x": x})["y"], kernels.run(None, {"x": x})
        plain = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        assert bits(y) == bits(plain)
        np.testing.assert_allclose(y, expected, rtol=2e-3 * abs(exponent), atol=1e-44)


def test_the_root_of_a_sum_of_squares_keeps_quiet_parts(tmp_path: Path) -> None:
    """Magnitudes of a spectrum: a millionth of the power of the loudest one keeps its relative error."""
    body = "a = Pow(x, two) b = Pow(z, two) s = Add(a, b) y = Sqrt(s)"
    model = graph(body, inputs="float[N,4,8] x, float[N,4,8] z")
    loudness = np.logspace(0, -3, 8, dtype=np.float32)[:, None, None]
    x, z = loudness * np.random.default_rng(6).normal(0, 1, (2, 8, 4, 8)).astype(np.float32)
    path, _ = converted(model, tmp_path, {"x": x, "z": z})
    (y,) = onnx_snn.session(path).run(None, {"x": x, "z": z})
    np.testing.assert_allclose(y, np.hypot(x, z), rtol=5e-3)


def test_the_inverse_of_a_negative_number_is_negative(tmp_path: Path) -> None:
    signed = POSITIVE * np.where(np.arange(8) % 2, 1, -1).astype(np.float32)
    path, _ = converted(graph("y = Div(one, x)"), tmp_path, {"x": signed})
    np.testing.assert_allclose(onnx_snn.session(path).run(None, {"x": signed})[0], 1 / signed, rtol=2e-3)


@pytest.mark.parametrize("operator", ["Sqrt", "Log"])
def test_a_computed_argument_that_errs_across_zero_has_its_magnitude(operator: str, tmp_path: Path) -> None:
    path, _ = converted(graph(f"v = Neg(x) y = {operator}(v)"), tmp_path, {"x": -POSITIVE})
    (beside,), (within,) = (onnx_snn.session(path).run(None, {"x": x}) for x in (POSITIVE, -POSITIVE))
    assert bits(beside) == bits(within)


def test_the_root_of_a_square_is_finite_everywhere(tmp_path: Path) -> None:
    x = np.random.default_rng(5).normal(0, 1, (8, 4, 8)).astype(np.float32)
    outputs = "float[N,4,8] y, float[N,4,8] q"
    path, _ = converted(graph("q = Pow(x, two) y = Sqrt(q)", outputs=outputs), tmp_path, {"x": x})
    near = np.linspace(-1e-3, 1e-3, 32, dtype=np.float32).reshape(1, 4, 8)
    for values in (x, near, np.zeros_like(near)):
        root, square = onnx_snn.session(path).run(None, {"x": values})
        assert np.isfinite(root).all()
        assert (square >= 0.0).all()


def test_root_of_a_product_as_a_reciprocal(tmp_path: Path) -> None:
    path, report = converted(graph("s = Sqrt(x) y = Reciprocal(s)"), tmp_path, {"x": POSITIVE})
    assert [node.function for node in report.nodes] == ["rsqrt"]
    (y,) = onnx_snn.session(path).run(None, {"x": MAGNITUDES})
    np.testing.assert_allclose(y, 1 / np.sqrt(MAGNITUDES), rtol=2e-3)


EXPONENTS = np.random.default_rng(6).uniform(-110, 95, (8, 4, 8)).astype(np.float32)
ENDS = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 88.7, -103.9, 1e30], np.float32)


def test_exponentials_keep_their_precision_from_denormals_to_infinity(tmp_path: Path) -> None:
    model = graph("y = Exp(x)")
    seen = EXPONENTS[np.abs(EXPONENTS) < 88][:224].reshape(-1, 4, 8)
    path, report = converted(model, tmp_path, {"x": seen})
    assert [node.function for node in report.nodes] == ["exp"]
    for x in (EXPONENTS, np.broadcast_to(ENDS, (1, 4, 8)), -np.broadcast_to(ENDS, (1, 4, 8))):
        expected, (y,) = run(model, {"x": x})["y"], onnx_snn.session(path).run(None, {"x": x})
        plain = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        assert bits(y) == bits(plain)
        np.testing.assert_allclose(y, expected, rtol=2e-3, atol=1e-44)


@pytest.mark.parametrize("operator", ["Sin", "Cos"])
def test_angles_of_any_size_are_those_of_one_period(operator: str, tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(0, 0.5, (8, 4, 8)).astype(np.float32)
    path, _ = converted(graph(f"y = {operator}(x)"), tmp_path, {"x": x})
    far = np.random.default_rng(4).uniform(-1000, 1000, (2, 4, 8)).astype(np.float32)
    expected = getattr(np, operator.lower())
    for angles, tolerance in ((x, 1e-2), (far, 0.15)):
        np.testing.assert_allclose(onnx_snn.session(path).run(None, {"x": angles})[0], expected(angles), atol=tolerance)


@pytest.mark.slow
def test_chosen_neurons_and_low_precision(tmp_path: Path) -> None:
    model = graph("l = Log(x) y = Sqrt(x)", outputs="float16[N,4,8] l, float16[N,4,8] y", inputs="float16[N,4,8] x")
    x = POSITIVE.astype(np.float16)
    path, _ = converted(model, tmp_path, {"x": x}, fast=False)
    logarithm, root = onnx_snn.session(path).run(None, {"x": x})
    np.testing.assert_allclose(logarithm, np.log(x.astype(np.float32)), atol=3e-2)
    np.testing.assert_allclose(root, np.sqrt(x.astype(np.float32)), rtol=3e-2)


def test_a_function_is_not_fitted_beyond_where_it_is_finite(tmp_path: Path) -> None:
    with pytest.raises(onnx_snn.ModelError, match="acosh can be fitted from 1 to inf"):
        converted(graph("y = Acosh(x)"), tmp_path, {"x": POSITIVE})
