# SPDX-License-Identifier: Apache-2.0
"""Importance of channels: the norm of the weights behind them, for every operator and layout of weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx_ir as ir
import pytest
from graphs import graph
from networks import normal
from numpy.typing import NDArray

from onnx_snn.allocation.channel_importance import channel_importance, weight_norms
from onnx_snn.calibration.observations import StaticAxes
from onnx_snn.calibration.statistics import Calibration
from onnx_snn.rules import recognise
from onnx_snn.rules.site import WeightMatmulSite


def initializer(name: str, array: NDArray[Any]) -> str:
    sizes, values = ",".join(map(str, array.shape)), ",".join(map(repr, array.ravel().astype(float).tolist()))
    return f"float[{sizes}] {name} = {{{values}}}"


def norms_of(body: str, weights: NDArray[Any], inputs: str = "float[N,4,8] x") -> NDArray[Any] | None:
    model = graph(body, inputs=inputs, outputs="float[a,b,c] y", initializers=initializer("w", weights))
    (site,) = (site for site in recognise(model).sites if isinstance(site, WeightMatmulSite))
    return weight_norms(site)


@pytest.mark.parametrize(
    ("body", "sizes", "axes"),
    [
        ("y = MatMul(x, w)", (8, 6), 1),
        ("y = MatMul(w, x)", (6, 4), 0),
        ('y = Einsum<equation = "bij,jk->bik">(x, w)', (8, 6), 1),
        ("y = Conv(x, w)", (5, 4, 3), (0, 2)),
        ("y = ConvTranspose(x, w)", (4, 5, 3), (1, 2)),
    ],
)
def test_importance_is_the_norm_of_the_weights_of_a_channel(
    body: str, sizes: tuple[int, ...], axes: int | tuple[int, ...]
) -> None:
    weights = normal(*sizes)
    expected = np.sqrt((weights.astype(np.float64) ** 2).sum(axis=axes))
    np.testing.assert_allclose(norms_of(body, weights), expected, rtol=1e-6)


def test_transposed_weights_of_gemm() -> None:
    weights = normal(6, 8)
    found = norms_of("y = Gemm<transB = 1>(x, w)", weights, inputs="float[N,8] x")
    np.testing.assert_allclose(found, np.linalg.norm(weights, axis=0), rtol=1e-6)


def test_groups_of_a_convolution_have_channels_of_their_own() -> None:
    weights = normal(6, 2, 3)
    found = norms_of("y = Conv<group = 2>(x, w)", weights)
    parts = [np.sqrt((part.astype(np.float64) ** 2).sum(axis=(0, 2))) for part in np.split(weights, 2)]
    np.testing.assert_allclose(found, np.concatenate(parts), rtol=1e-6)


def test_weights_that_are_computed_tell_nothing() -> None:
    assert norms_of("r = Relu(w) y = MatMul(x, r)", normal(8, 6)) is None


def importance_in(model: ir.Model) -> list[NDArray[Any]]:
    """Importance of the coded tensors of `model`, whose tensors have 8 channels."""

    class Channels(dict[Any, Any]):
        def __missing__(self, key: Any) -> Any:
            return SimpleNamespace(channels=8)

    calibration = cast(Calibration, SimpleNamespace(channels=Channels()))
    static = StaticAxes(model, {"x": (None, 4, 8)})
    return list(channel_importance(recognise(model).sites, static, calibration).values())


def test_readers_of_one_tensor_count_alike() -> None:
    first, second = normal(8, 6), normal(8, 6, seed=2)
    body = "a = MatMul(x, v) b = MatMul(x, w) y = Add(a, b)"
    text = f"{initializer('v', first)}, {initializer('w', 100.0 * second)}"
    (found,) = importance_in(graph(body, outputs="float[N,4,6] y", initializers=text))
    squares = [(array.astype(np.float64) ** 2).sum(axis=1) for array in (first, second)]
    np.testing.assert_allclose(found**2, np.mean([each / each.mean() for each in squares], axis=0), rtol=1e-5)


def test_channels_without_weights_have_no_importance_and_weights_of_zero_tell_nothing() -> None:
    weights = normal(8, 6)
    weights[3] = 0.0
    (found,) = importance_in(graph("y = MatMul(x, w)", initializers=initializer("w", weights)))
    assert (found == 0.0).tolist() == [i == 3 for i in range(8)]
    assert importance_in(graph("y = MatMul(x, w)", initializers=initializer("w", 0.0 * weights))) == []


def test_scales_of_a_normalization_weight_its_deviations() -> None:
    gamma, weights = normal(8), normal(8, 6)
    body = "n = LayerNormalization(x, g, beta) y = MatMul(n, w)"
    text = f"{initializer('g', gamma)}, {initializer('w', weights)}"
    model = graph(body, outputs="float[N,4,6] y", initializers=text)
    behind = np.linalg.norm(weights, axis=1)
    found = [each / each.mean() for each in importance_in(model)]
    expected = np.abs(gamma) * behind
    assert any(np.allclose(each, expected / expected.mean(), rtol=1e-4) for each in found)
