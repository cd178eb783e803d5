# SPDX-License-Identifier: Apache-2.0
"""Trials of a network with any neurons: each knob turns the neuron that it stands for."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphs import graph
from networks import normal

import onnx_snn
from onnx_snn.allocation import candidates
from onnx_snn.graph.model_writer import save_model

REPEATED = """
    u = Unsqueeze (k, between) e = Expand (u, repeats) r = Reshape (e, joined)
    t = Transpose <perm = [0, 1, 3, 2]> (r) y = MatMul (x, t)
"""
SIZES = "int64[1] between = {2}, int64[5] repeats = {1,1,2,1,1}, int64[4] joined = {0,4,6,8}"


def test_operands_that_heads_share_are_tried_where_they_are_coded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their code goes in before they are repeated, at another node than the product."""
    monkeypatch.setattr(candidates, "SHARES_OF_TIMESTEPS", (1.0, 0.5))
    monkeypatch.setattr(candidates, "FUNCTION_BASES", (2, 4))
    model = graph(REPEATED, inputs="float[N,4,6,8] x, float[N,2,6,8] k", outputs="float[N,4,6,6] y", initializers=SIZES)
    paths = tmp_path / "model.onnx", tmp_path / "spiking.onnx"
    save_model(model, str(paths[0]))
    data = {"x": normal(8, 4, 6, 8), "k": normal(8, 2, 6, 8)}
    report = onnx_snn.tune(*paths, data, target_loss=0.05, max_timesteps=4, progress=False)
    assert {(entry.name, entry.neuron) for entry in report.config.nodes} == {
        (report.conversion.nodes[0].name, "operand 0"),
        (report.conversion.nodes[0].name, "operand 1"),
    }
    assert report.chosen.relative_error < 0.2
