# SPDX-License-Identifier: Apache-2.0
"""Networks that onnxruntime's optimizers have fused are converted as wholly as those that they came from."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime
import pytest
from corpus import Feeds, entries, feeds
from networks import relative_error, run
from onnxruntime_tools import by_optimizer
from support import nonlinear_nodes

import onnx_snn
from onnx_snn import Status

pytestmark = pytest.mark.slow

ENTRIES = {entry.name: entry for entry in entries()}
LARGEST_ERROR = 1e-2
"""What every family is held to at T=8."""


def by_session(model: onnx.ModelProto, path: Path) -> None:
    """Write what a session of onnxruntime makes of `model`."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.fixture(autouse=True)
def _quiet_optimizer() -> Iterator[None]:
    """onnxruntime's optimizer logs every fusion that it tries."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def assert_converted(original: onnx.ModelProto, optimized: Path, fused: set[str]) -> None:
    """`optimized`, which holds the operators `fused`, is converted whole and close to `original`."""
    operators = Counter(node.op_type for node in onnx.load(optimized).graph.node)
    assert fused <= operators.keys()
    data = [feeds(original, seed=seed, batch=8) for seed in range(4)]
    path = optimized.with_name("spiking.onnx")
    report = onnx_snn.convert(optimized, path, data, progress=False, body="closed", fast=True)
    assert {node.status for node in report.nodes} == {Status.CONVERTED}
    assert set(nonlinear_nodes(onnx.load(path))) <= {node.name for node in report.nodes}
    assert {node.domain for node in onnx.load(path).graph.node} == {"", "onnx_snn"}
    unseen: Feeds = feeds(original, seed=99, batch=4)
    expected, got = run(original, unseen), run(path, unseen)
    assert max(relative_error(expected[name], got[name]) for name in expected) <= LARGEST_ERROR


@pytest.mark.parametrize(
    ("name", "fused"),
    [
        ("bert.optimum", {"BiasGelu", "FusedGemm"}),
        ("gpt2.dynamo", {"FastGelu", "FusedMatMul", "SkipLayerNormalization"}),
        ("llama.optimum", {"SimplifiedLayerNormalization", "QuickGelu", "FusedMatMul"}),
    ],
)
def test_what_a_session_has_optimized(name: str, fused: set[str], tmp_path: Path) -> None:
    original = ENTRIES[name].load()
    by_session(original, tmp_path / "optimized.onnx")
    assert_converted(original, tmp_path / "optimized.onnx", fused)


@pytest.mark.parametrize(
    ("name", "kind", "multi_head", "fused"),
    [
        ("bert.optimum", "bert", False, {"EmbedLayerNormalization", "Attention", "SkipLayerNormalization", "BiasGelu"}),
        ("bert.optimum", "bert", True, {"MultiHeadAttention"}),
        ("gpt2.optimum", "gpt2", False, {"FastGelu", "SkipLayerNormalization"}),
        ("clip-vision.optimum", "clip", False, {"QuickGelu", "SkipLayerNormalization"}),
    ],
)
def test_what_the_optimizer_of_transformers_has_fused(
    name: str, kind: str, multi_head: bool, fused: set[str], tmp_path: Path
) -> None:
    original = ENTRIES[name].load()
    by_optimizer(original, tmp_path / "optimized.onnx", kind, multi_head=multi_head)
    assert_converted(original, tmp_path / "optimized.onnx", fused)


def test_fused_attention_can_be_kept(tmp_path: Path) -> None:
    original = ENTRIES["bert.optimum"].load()
    by_optimizer(original, tmp_path / "optimized.onnx", "bert")
    optimized = onnx.load(tmp_path / "optimized.onnx")
    data = [feeds(original, seed=0)]
    report = onnx_snn.convert(
        optimized, tmp_path / "spiking.onnx", data, progress=False, exclude="Attention_0", fast=True
    )
    kept = {node.name: node.kind for node in report.nodes if node.status is not Status.CONVERTED}
    assert kept == {"Attention_0": "Attention"}
    (attention,) = [node for node in optimized.graph.node if node.name == "Attention_0"]
    assert attention in list(onnx.load(tmp_path / "spiking.onnx").graph.node)
