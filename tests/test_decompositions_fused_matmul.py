# SPDX-License-Identifier: Apache-2.0
"""Fused products, written out, compute what onnxruntime computes for them."""

from __future__ import annotations

import itertools

import pytest
from fused_operators import assert_same, kinds
from networks import normal

from onnx_snn.rules import Kind


@pytest.mark.parametrize("flags", list(itertools.product((0, 1), repeat=4)), ids=str)
def test_a_transposed_and_scaled_product(flags: tuple[int, ...]) -> None:
    names = ("transA", "transB", "transBatchA", "transBatchB")
    attributes = ", ".join(f"{name} = {flag}" for name, flag in zip(names, flags, strict=True))
    feeds = {"a": normal(3, 3, 3, 3), "b": normal(3, 3, 3, 3, seed=2)}
    apart = assert_same(f"y = com.microsoft.FusedMatMul <alpha = 0.7, {attributes}> (a, b)", feeds)
    assert kinds(apart) == [Kind.PRODUCT]


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [
        ("Relu", ""),
        ("Tanh", ""),
        ("Sigmoid", ""),
        ("LeakyRelu", "0.3"),
        ("HardSigmoid", "0.3, 0.4"),
        ("Clip", "-0.5, 0.4"),
    ],
)
def test_a_convolution_with_its_activation(activation: str, parameters: str) -> None:
    listed = f", activation_params = [{parameters}]" if parameters else ""
    feeds = {"x": normal(2, 3, 8, 8), "w": normal(5, 3, 3, 3), "b": normal(5)}
    body = f'y = com.microsoft.FusedConv <activation = "{activation}"{listed}, pads = [1, 1, 1, 1]> (x, w, b)'
    assert_same(body, feeds)


def test_a_convolution_with_a_residual() -> None:
    feeds = {"x": normal(2, 3, 8, 8), "w": normal(5, 3, 3, 3), "b": normal(5), "z": normal(2, 5, 6, 6)}
    assert_same('y = com.microsoft.FusedConv <activation = "Relu"> (x, w, b, z)', feeds)


@pytest.mark.parametrize("activation", ["Relu", "Tanh", "LeakyRelu"])
def test_a_linear_layer_with_its_activation(activation: str) -> None:
    feeds = {"a": normal(3, 8), "b": normal(5, 8), "c": normal(5)}
    slope = ", activation_alpha = 0.3" if activation == "LeakyRelu" else ""
    body = f'y = com.microsoft.FusedGemm <activation = "{activation}"{slope}, alpha = 0.5, transB = 1> (a, b, c)'
    assert_same(body, feeds)
