# SPDX-License-Identifier: Apache-2.0
"""Functions without float64: what they leave out, and how far they may be from those with it.

u is 2**-24, the largest relative error of a rounding to float32. A sum of n numbers differs by at most n * u times the
sum of their magnitudes, in any order (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from composites import COARSE, COARSE_DEVIATION, COARSE_RSQRT, COMPOSITES, DEVIATION, EPSILON, EVERYTHING, RSQRT, affine
from conversions import converted
from graphs import graph
from hypothesis import given, settings
from networks import normal, run
from numpy.typing import NDArray
from portable import OPSET, Portable, model_of, neuron_feeds
from strategies import Case, cases

import onnx_snn
from onnx_snn.arrays import Float32
from onnx_snn.neurons.bodies.guarantees import Guarantees
from onnx_snn.neurons.function_bodies import ANY_NEURONS, function_protos, guard_protos
from onnx_snn.neurons.mbe import MbeNeuron, time_loop
from onnx_snn.neurons.opset import GUARDED, MBE_NEURON, OPERATORS, Body, Operator, Precision

U = 2.0**-24


@pytest.mark.parametrize("guarantees", [ANY_NEURONS, EVERYTHING])
@pytest.mark.parametrize("opset", [13, 28])
def test_no_tensor_is_float64(opset: int, guarantees: Guarantees) -> None:
    for precision in Precision:
        protos = guard_protos(GUARDED, opset=opset, precision=precision)
        for body in Body:
            for metered in (False, True):
                options = {"body": body, "metered": metered, "guarantees": guarantees, "precision": precision}
                protos += function_protos(OPERATORS, opset=opset, **options)
        assert any(any(_float64(proto.node)) for proto in protos) == (precision is Precision.DOUBLE)


def _float64(nodes: list[onnx.NodeProto]) -> Iterator[str]:
    """Outputs of the Casts and Constants among `nodes` and in their subgraphs that are float64."""
    for node in nodes:
        for attribute in node.attribute:
            casts = attribute.name == "to" and attribute.i == onnx.TensorProto.DOUBLE
            if casts or attribute.t.data_type == onnx.TensorProto.DOUBLE:
                yield node.output[0]
            yield from _float64(attribute.g.node)


@cache
def single(operator: Operator, body: Body, polarity: int, guarantees: Guarantees = ANY_NEURONS) -> Portable:
    model = model_of(operator, body=body, metered=False, polarity=polarity)
    del model.functions[:]
    options = {"body": body, "guarantees": guarantees, "precision": Precision.SINGLE}
    model.functions.extend(function_protos([operator.name], opset=OPSET, **options))
    return Portable(model)


@settings(max_examples=25)
@given(case=cases())
def test_neurons_are_a_rounded_sum_away(case: Case) -> None:
    """The sum of N products and a bias is exact in float64; its levels are the same ones."""
    neuron, x, scale = case
    largest = np.abs(neuron.intensity.astype(np.float64)).sum(axis=0)
    magnitude = np.abs(neuron.weight.astype(np.float64)) @ largest + abs(float(neuron.bias))
    if magnitude > 2.0**100:
        return
    with np.errstate(invalid="ignore"):
        expected = time_loop(neuron, x, scale).y.astype(np.float64)
    y = single(MBE_NEURON, Body.LOOP, neuron.polarity).onnxruntime(neuron_feeds(neuron, x, scale))["y"]
    bound = ((neuron.bases + 1) * U * magnitude + 2.0**-149) * (np.float64(scale) if x.ndim else float(scale.max()))
    with np.errstate(invalid="ignore"):
        assert not (np.abs(y.astype(np.float64) - expected) > bound).any()
    assert np.isnan(y[np.isnan(x)]).all()


def rows(seed: int) -> Float32:
    rng = np.random.default_rng(seed)
    length = (5, 64, 197)[seed % 3]
    return (rng.normal(0, 1, (24, length)) * np.exp2(rng.integers(-2, 3, (24, 1)))).astype(np.float32)


def _relative_error(neuron: MbeNeuron, exponent: float, low: float, high: float) -> float:
    """Largest error of a neuron of m**exponent over its value, next to which a grid may miss it by 1 %."""
    m = np.linspace(low, high, 1 << 16, endpoint=False, dtype=np.float32)
    exact = m.astype(np.float64) ** exponent
    return 1.01 * float((np.abs(neuron(m) - exact) / exact).max())


VARIANTS = [
    (name, composites[name], body, guarantees)
    for composites, variants in (
        (COMPOSITES, [(Body.LOOP, ANY_NEURONS), (Body.CLOSED, ANY_NEURONS)]),
        (COARSE, [(Body.LOOP, ANY_NEURONS), (Body.CLOSED, EVERYTHING)]),
    )
    for name in composites
    for body, guarantees in variants
]


@pytest.mark.parametrize("seed", range(3))
def test_softmax_is_twice_the_error_of_its_neuron_away(seed: int) -> None:
    """y = e * 1/s: e is the same, s differs by n * u, and 1/s by the error of the neuron on either side."""
    x = rows(seed)
    for name, composite, body, guarantees in VARIANTS:
        if name != "softmax":
            continue
        feeds, expected = composite.feeds(x), composite.numpy(x).astype(np.float64)
        names = ("u_rest", "gain", "threshold", "reset", "intensity", "weight", "bias")
        reciprocal = MbeNeuron(*(feeds[f"reciprocal_{parameter}"] for parameter in names))
        error = _relative_error(reciprocal, -1.0, 0.5, 1.0)
        y = single(composite.operator, body, 0, guarantees).onnxruntime(feeds)["y"]
        bound = expected / (1.0 - error) * (2.0 * error + (x.shape[-1] + 8) * U)
        assert (np.abs(y - expected) <= bound + 2.0**-149).all()


@pytest.mark.parametrize("seed", range(3))
def test_normalizations_are_twice_the_errors_of_their_neurons_away(seed: int) -> None:
    """y = c * 1/r: the code c of a deviation d differs by twice the error of a level beside what d differs by.

    The root r of the mean of c**2 then differs by as much, and 1/r by the error of its neuron on either side.
    """
    x = rows(seed)
    for name, composite, body, guarantees in VARIANTS:
        if name == "softmax":
            continue
        code, root = (COARSE_DEVIATION, COARSE_RSQRT) if composite in COARSE.values() else (DEVIATION, RSQRT)
        feeds = composite.feeds(x)
        y = single(composite.operator, body, composite.polarity, guarantees).onnxruntime(feeds)["y"]
        bound = _normalization_bound(x, code, feeds["deviation_scale"], root, centred="layer" in name)
        assert (np.abs(y - composite.numpy(x).astype(np.float64)) <= bound).all(), name


def _normalization_bound(
    x: Float32, code: MbeNeuron, scale: Float32, root: MbeNeuron, *, centred: bool
) -> NDArray[np.float64]:
    wide, length = x.astype(np.float64), x.shape[-1]
    mean = x.mean(axis=-1, keepdims=True, dtype=np.float64).astype(np.float32) if centred else np.float32(0)
    d = x - mean
    differs = (length * U * np.abs(wide).mean(axis=-1, keepdims=True) + U * np.abs(d)) * centred
    grid = np.linspace(0, 2, 1 << 14, dtype=np.float32)
    within = np.abs(code(grid) - grid).max() if code is COARSE_DEVIATION else 2.0**-14
    c = code(d, scale).astype(np.float64)
    kappa = (differs > 0) * 2.02 * within * scale + differs
    r = np.sqrt((c**2).mean(axis=-1, keepdims=True) + EPSILON)
    r_differs = np.sqrt((kappa**2).mean(axis=-1, keepdims=True)) + (length + 4) * U * r
    lower, error = r - r_differs, _relative_error(root, -0.5, 0.5, 2.0)
    gamma = np.abs(affine(length)[0])
    inverse_differs = error * (1 / lower + 1 / r) + r_differs / (lower * r)
    bound = gamma * (kappa * (1 + error) / lower + np.abs(c) * inverse_differs)
    rounding = 8 * U * (gamma * np.abs(c) * (1 + error) / lower + 4)
    return np.where(lower > 0, bound + rounding, np.inf)


POSITIVE = np.exp2(np.random.default_rng(5).uniform(-20, 20, (8, 4, 8))).astype(np.float32)
REDUCED = {
    "Reciprocal": POSITIVE,
    "Sqrt": POSITIVE,
    "Log": POSITIVE,
    "Exp": np.random.default_rng(6).uniform(-80, 80, (8, 4, 8)).astype(np.float32),
}


@pytest.mark.parametrize("operator", REDUCED)
def test_functions_of_any_magnitude_keep_their_errors(operator: str, tmp_path: Path) -> None:
    """Both precisions are as far from the exact function: what float32 adds is small beside the neuron's error."""
    model, data = graph(f"y = {operator} (x)"), {"x": REDUCED[operator]}
    far = {"x": np.exp2(np.linspace(-30, 30, 32)).astype(np.float32).reshape(1, 4, 8)}
    feeds = [data, far] if operator in ("Reciprocal", "Sqrt", "Log") else [data]
    answers = []
    for precision in Precision:
        path, _ = converted(model, tmp_path, data, precision=precision, inline=True)
        answers.append([run(path, feed)["y"] for feed in feeds])
        assert (onnx.TensorProto.DOUBLE in _types(path)) == (precision is Precision.DOUBLE)
    for feed, double, single_ in zip(feeds, *answers, strict=True):
        exact = run(model, feed)["y"]
        unit = np.abs(exact) if operator in ("Reciprocal", "Sqrt", "Exp") else 1.0
        assert (np.abs(single_ - exact) / unit).max() < 1.1 * (np.abs(double - exact) / unit).max() + 1e-5


def _types(path: Path) -> set[int]:
    """Element types of all tensors of a file without functions."""
    inferred = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True, data_prop=True).graph
    values = [*inferred.value_info, *inferred.output, *inferred.input]
    return {value.type.tensor_type.elem_type for value in values} | {each.data_type for each in inferred.initializer}


BLOCK = "l = LayerNormalization <axis = -1> (x, gamma, beta) g = Gelu (l) y = Softmax <axis = -1> (g)"


def test_the_report_says_what_it_changes_and_kernels_change_nothing(tmp_path: Path) -> None:
    feeds, reports, by_kernels = {"x": normal(2, 4, 8)}, [], []
    for precision in Precision:
        path, report = converted(graph(BLOCK), tmp_path, precision=precision)
        by_kernels.append(onnx_snn.session(path).run(None, feeds)[0])
        reports.append(report)
    assert by_kernels[0].tobytes() == by_kernels[1].tobytes()
    assert not reports[0].single
    (output,) = reports[1].single
    assert 0 <= output.relative_error < 1e-2
    assert "float32 against float64" in reports[1].text()
    assert reports[1].to_json()["single"][0]["name"] == "y"
    assert onnx_snn.inspect(path).changed["precision"] == "single"
