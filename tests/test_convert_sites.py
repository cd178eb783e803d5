# SPDX-License-Identifier: Apache-2.0
"""Conversion of every kind of site, at every number of time steps: the result stays close."""

from __future__ import annotations

import logging
from pathlib import Path

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from conversions import SITES, WEIGHT, X, converted
from graphs import graph
from networks import FULL_BASES, normal, relative_error, run, spiking_nodes

from onnx_snn import Status
from onnx_snn.config.convert_config import DEFAULT_MAX_ERROR


@pytest.mark.slow
@pytest.mark.parametrize("body", SITES.values(), ids=SITES.keys())
def test_every_kind_of_site_stays_close_and_keeps_its_output_name(body: str, tmp_path: Path) -> None:
    model = graph(body)
    path, report = converted(model, tmp_path)
    assert {node.status for node in report.nodes} == {Status.CONVERTED}
    feeds = {"x": normal(3, 4, 8, seed=5)}
    assert relative_error(run(model, feeds)["y"], run(path, feeds)["y"]) < 0.005


def test_each_operand_of_a_matrix_squared_has_its_own_code(tmp_path: Path) -> None:
    square = graph("y = MatMul (x, x)", inputs="float[N,4,4] x", outputs="float[N,4,4] y")
    # The left operand is scaled by columns, the right one by rows.
    uneven = normal(8, 4, 4) * np.array([1, 4, 16, 64], np.float32)
    path, _ = converted(square, tmp_path, {"x": uneven})
    (product,) = [node for node in onnx.load(path).graph.node if node.op_type == "MatMul"]
    left, right = spiking_nodes(path)
    assert {left.output[0], right.output[0]} == set(product.input)
    assert relative_error(run(square, {"x": uneven})["y"], run(path, {"x": uneven})["y"]) < 0.005


@pytest.mark.slow
@pytest.mark.parametrize("timesteps", range(1, 17))
def test_every_number_of_time_steps_is_as_exact_as_it_promises(timesteps: int, tmp_path: Path) -> None:
    model = networks.classifier()
    path, report = converted(model, tmp_path, {"x": normal(64, 8)}, timesteps=timesteps, **FULL_BASES)
    assert report.config.timesteps == timesteps
    feeds = {"x": normal(64, 8, seed=2)}
    error = relative_error(run(model, feeds)["scores"], run(path, feeds)["scores"])
    assert error < max(0.25 * 2.0**-timesteps, 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("timesteps", [4, 8, 16])
def test_sparse_neurons_fire_less_and_err_by_less_than_a_hundredth(timesteps: int, tmp_path: Path) -> None:
    model = networks.classifier()
    spikes = []
    for options in (FULL_BASES, {}):
        path, report = converted(model, tmp_path, {"x": normal(64, 8)}, timesteps=timesteps, **options)
        spikes.append(sum(sum(node.spikes.values()) for node in report.nodes))
    feeds = {"x": normal(64, 8, seed=2)}
    assert relative_error(run(model, feeds)["scores"], run(path, feeds)["scores"]) < max(0.01, 0.25 * 2.0**-timesteps)
    assert spikes[1] <= spikes[0]


@pytest.mark.slow
def test_sparse_neurons_that_lose_too_much_are_fitted_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    deep = " ".join(f"h{n + 1} = MatMul (h{n}, weight)" for n in range(12))
    model = graph(f"h0 = Gelu (x) {deep} y = MatMul (h12, weight)", initializers=WEIGHT)
    with caplog.at_level(logging.INFO, logger="onnx_snn.conversion.stopwatch"):
        path, _ = converted(model, tmp_path, timesteps=8)
    assert [record.message for record in caplog.records].count("fit") > 1
    assert relative_error(run(model, X)["y"], run(path, X)["y"]) < 5e-3


@pytest.mark.slow
def test_neurons_by_rule_are_not_sparse_with_few_or_many_time_steps(tmp_path: Path) -> None:
    model, data = networks.classifier(), {"x": normal(64, 8)}
    for timesteps in (4, 16):
        path, _ = converted(model, tmp_path, data, timesteps=timesteps)
        by_rule = onnx.load(path).graph
        path, _ = converted(model, tmp_path, data, timesteps=timesteps, **FULL_BASES)
        assert onnx.load(path).graph == by_rule


@pytest.mark.parametrize(("name", "alike"), [("past_key_values.0.key", False), ("pasture", True)])
def test_a_network_with_a_cache_gets_more_exact_neurons(name: str, alike: bool, tmp_path: Path) -> None:
    model = ir.to_proto(graph("y = MatMul (x, weight)", initializers=WEIGHT))
    model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 1]))
    data = {"x": normal(64, 4, 8), name: normal(64, 1)}
    spikes = []
    for options in ({}, {"max_error": DEFAULT_MAX_ERROR}):
        _, report = converted(model, tmp_path, data, timesteps=8, **options)
        spikes.append(sum(sum(node.spikes.values()) for node in report.nodes))
    assert (spikes[0] == spikes[1]) is alike


def test_preset_paper_takes_its_neurons(tmp_path: Path) -> None:
    model = networks.classifier()
    path, report = converted(model, tmp_path, {"x": normal(64, 8)}, preset="paper", timesteps=16, body="loop")
    assert {node.name: node.slots for node in report.nodes} == {
        "first": 8 * 16,
        "gelu": 4 * 16,
        "second": 8 * 16,
    }
    feeds = {"x": normal(16, 8, seed=2)}
    assert relative_error(run(model, feeds)["scores"], run(path, feeds)["scores"]) < 0.05
