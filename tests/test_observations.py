# SPDX-License-Identifier: Apache-2.0
"""What calibration observes of a site, and which axes the scales of a coded tensor run along."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import graph
from networks import normal

from onnx_snn.calibration.observations import StaticAxes, coded_tensors, observations, observed_model
from onnx_snn.rules import recognise
from onnx_snn.runtime.tap_session import Observer

SQUARE = "float[8,8] w = {" + ",".join("1" * 64) + "}"
KERNEL = "float[4,4,3] k = {" + ",".join("1" * 48) + "}"
POSITIONS = "f = Cast<to = 1>(position_ids) y = MatMul(x, f)"


@pytest.mark.parametrize(
    ("body", "sizes", "axes"),
    [
        ("y = MatMul(x, w)", (None, 4, 8), (-1,)),
        ("y = MatMul(x, w)", (None, None, None), (-1,)),
        ("y = Conv(x, k)", (None, 4, 8), (-2,)),
        (POSITIONS, (None, 4, 8), (-1,)),
        (POSITIONS, (None, 4, None), None),
        (POSITIONS, (), None),
    ],
)
def test_scales_need_an_axis_of_one_size(
    body: str, sizes: tuple[int | None, ...], axes: tuple[int, ...] | None
) -> None:
    initializers = f"{SQUARE}, {KERNEL}"
    model = graph(body, inputs="float[N,4,8] x, int64[8,8] position_ids", initializers=initializers)
    (site,) = recognise(model).sites
    (coded,) = coded_tensors(site, StaticAxes(model, {"x": sizes} if sizes else {}))
    assert coded.axes == axes


@pytest.mark.parametrize("opset", [17, 20])
def test_deviation_and_divisor_of_a_layer_normalization_are_observed(opset: int) -> None:
    model = graph("y = LayerNormalization<epsilon = 0.5>(x, gamma, beta)", opset=opset)
    sites = recognise(model).sites
    x = normal(2, 4, 8)
    (coded,) = coded_tensors(sites[0], StaticAxes(model))
    assert {seen.value for seen in observations(sites, StaticAxes(model))} == {coded.tensor, coded.divisor}
    seen = Observer(observed_model(model, sites, StaticAxes(model)), ["y/deviation", "y/divisor"])({"x": x})
    deviation = x - x.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(seen[coded.tensor], deviation, atol=1e-6)
    divisor = np.sqrt(np.square(deviation).mean(axis=-1, keepdims=True) + 0.5)
    np.testing.assert_allclose(seen[str(coded.divisor)], divisor, rtol=1e-5)


def test_divisor_of_an_rms_normalization_is_observed_beside_its_input() -> None:
    body = "p = Mul(x, x) v = ReduceMean(p, last) w = Add(v, half) s = Sqrt(w) y = Div(x, s)"
    model = graph(body)
    sites = recognise(model).sites
    x = normal(2, 4, 8)
    assert [seen.value for seen in observations(sites, StaticAxes(model))] == ["x", "y/divisor"]
    (divisor,) = Observer(observed_model(model, sites, StaticAxes(model)), ["y/divisor"])({"x": x}).values()
    np.testing.assert_allclose(divisor, np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + 0.5), rtol=1e-5)
