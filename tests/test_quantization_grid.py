# SPDX-License-Identifier: Apache-2.0
"""Grids of quantized tensors: which tensors lie on one, and that its code represents every number of it exactly."""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir
import pytest
from graphs import graph
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.config.neuron_settings import GridCode, NeuronSettings
from onnx_snn.config.node_settings import NodeSettings
from onnx_snn.fitting.grid_code import MOST_SEGMENTS, exact_settings, grid_neuron
from onnx_snn.fitting.ratings import mean_spikes
from onnx_snn.graph.constants import numbers
from onnx_snn.graph.quantization_grid import SMALLEST_STEP, Grid, grid_of

SCALES = "float s = {0.25}, uint8 z = {100}, int8 i = {-128}, float[2] v = {0.5, 0.25}, float n = {-1.0}"
ROUNDED = "q = QuantizeLinear(x, s, z)"


@pytest.mark.parametrize(
    ("body", "grid"),
    [
        (f"{ROUNDED} y = DequantizeLinear(q, s, z)", Grid(0.25, 155)),
        ("q = QuantizeLinear(x, s, i) y = DequantizeLinear(q, s, i)", Grid(0.25, 255)),
        (f"{ROUNDED} d = DequantizeLinear(q, s, z) y = Transpose<perm = [0, 2, 1]>(d)", Grid(0.25, 155)),
        (f"{ROUNDED} y = com.microsoft.DequantizeLinear(q, s, z)", Grid(0.25, 155)),
        (f"{ROUNDED} d = DequantizeLinear(q, s, z) y = Relu(d)", None),
        (f"{ROUNDED} d = DequantizeLinear(q, s, z) y = Add(d, d)", None),
        ("q, t, w = DynamicQuantizeLinear(x) y = DequantizeLinear(q, t, w)", None),
        ("q, t, w = DynamicQuantizeLinear(x) y = DequantizeLinear(q, one, w)", Grid(1.0, 255)),
        (f"{ROUNDED} y = DequantizeLinear(q, n, z)", None),
        ("y = Neg(x)", None),
    ],
)
def test_what_lies_on_a_grid(body: str, grid: Grid | None) -> None:
    model = graph(body, initializers=SCALES)
    for value in (value for node in model.graph for value in node.outputs if value.name == "w"):
        value.dtype = ir.DataType.UINT8
    assert grid_of(model.graph.outputs[0]) == grid


GRIDS = st.builds(
    Grid,
    st.floats(2.0**-40, 2.0**40, width=32) | st.sampled_from([SMALLEST_STEP, 1.0 / SMALLEST_STEP]),
    st.integers(128, 255),
)


@given(GRIDS, st.integers(3, 16), st.booleans())
def test_every_number_of_a_grid_is_exact(grid: Grid, timesteps: int, gate: bool) -> None:
    settings = exact_settings(grid, NeuronSettings(timesteps, gate, 4.0))
    if settings is None:
        assert timesteps == 3  # 7 levels a segment
        assert grid.levels > 7 * MOST_SEGMENTS
        return
    assert isinstance(settings.shape, GridCode)
    assert settings.timesteps <= min(timesteps, 8)
    levels = np.arange(-grid.levels, grid.levels + 1).astype(np.float32)
    signal = levels * np.float32(grid.step)
    neuron = grid_neuron(settings.shape, settings, one_sided=False)
    np.testing.assert_array_equal(neuron(signal), signal)
    assert neuron.bases == 1 or timesteps < 8
    if neuron.bases == 1 and not gate:
        bits = [bin(level).count("1") for level in range(grid.levels + 1)]
        counts = np.ones(grid.levels + 1, np.int64)
        assert mean_spikes(neuron, signal[grid.levels :].astype(np.float64), counts) == pytest.approx(np.mean(bits))


def test_an_entry_of_a_configuration_gives_the_code_again() -> None:
    found = exact_settings(Grid(0.1, 255), NeuronSettings(6, True, 4.0))
    assert found is not None
    entry = NodeSettings(name="a", **found.options())
    assert entry.applied_to(NeuronSettings(8, False, 1.0)) == found
    assert NodeSettings.from_json(json.loads(json.dumps(entry.to_json()))) == entry


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("w = DequantizeLinear(q, s, z)", [[-24.75, -24.5], [-24.25, -24.0], [-23.75, -23.5]]),
        ("w = DequantizeLinear<axis = -1>(q, v)", [[0.5, 0.5], [1.5, 1.0], [2.5, 1.5]]),
        ("w = DequantizeLinear(q, s)", [[0.25, 0.5], [0.75, 1.0], [1.25, 1.5]]),
        ("w = Cast<to = 1>(q)", None),
    ],
)
def test_the_numbers_of_quantized_weights(body: str, expected: list[list[float]] | None) -> None:
    weights = f"uint8[3,2] q = {{1, 2, 3, 4, 5, 6}}, {SCALES}"
    model = graph(
        f"{body} y = MatMul(x, w)", inputs="float[N, 4, 3] x", outputs="float[N, 4, 2] y", initializers=weights
    )
    found = numbers(model.graph[-1].inputs[1])
    assert (None if found is None else found.tolist()) == expected
