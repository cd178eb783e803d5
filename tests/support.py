# SPDX-License-Identifier: Apache-2.0
"""What is examined of a network of the corpus, by the benchmark that writes docs/supported.md and by the tests."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from corpus import Entry, Feeds, feeds
from networks import relative_error, run

import onnx_snn
from onnx_snn import ConversionReport, Status
from onnx_snn.rules.activations import ActivationFlow

ERROR_BOUNDS = {8: 1e-2, 4: 5e-2}
"""Largest relative error of an output, by time steps."""

CALIBRATION_BATCHES, CALIBRATION_BATCH = 4, 4
UNSEEN = 99
"""Seed of the inputs on which errors are measured."""

NONLINEAR = frozenset(
    "Abs Acos Asin Atan Attention Celu Clip Cos Elu Erf Exp Gelu HardSigmoid HardSwish Hardmax InstanceNormalization "
    "GroupNormalization LayerNormalization LeakyRelu Log LogSoftmax LpNormalization LRN Max MaxPool Min Mish Pow PRelu "
    "RMSNormalization Reciprocal ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMin ReduceProd ReduceSumSquare Relu "
    "Selu Sigmoid Sin Softmax Softplus Softsign Sqrt Swish Tanh ThresholdedRelu".split()
)
"""Operators that are nonlinear in any activation, written down apart from the rules of the converter."""


def recognised(model: onnx.ModelProto) -> dict[str, Any]:
    """How many nodes conversion finds and would convert, and its reasons to keep the others, with their number."""
    return _coverage(onnx_snn.convert(model, dry_run=True))


def converted(model: onnx.ModelProto, timesteps: int) -> tuple[dict[str, Any], float]:
    """The coverage of a conversion of `model` and the largest error of its outputs, after all checks.

    Raises:
        AssertionError: a check fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "spiking.onnx"
        data = [feeds(model, seed=seed, batch=CALIBRATION_BATCH) for seed in range(CALIBRATION_BATCHES)]
        report = onnx_snn.convert(model, path, data, timesteps=timesteps, progress=False)
        spiking = onnx.load(path)
        onnx.checker.check_model(spiking, full_check=True)
        silent = sorted(set(nonlinear_nodes(spiking)) - {node.name for node in report.nodes})
        assert not silent, f"nonlinear nodes are left that the report does not name: {silent}"
        return _coverage(report), _error(model, path, feeds(model, seed=UNSEEN))


def nonlinear_nodes(model: onnx.ModelProto) -> Iterator[str]:
    """The names by which a report calls the nonlinear nodes of `model` that see an activation."""
    graph = ir.from_proto(model)
    flow = ActivationFlow(graph)
    for node in graph.graph.all_nodes():
        quotient = node.op_type == "Div" and flow.is_activation(node.inputs[1])
        nonlinear = node.op_type in NONLINEAR or quotient
        if node.domain == "" and nonlinear and any(flow.is_activation(value) for value in node.inputs):
            yield node.name or node.outputs[0].name or ""


def _coverage(report: ConversionReport) -> dict[str, Any]:
    kept = Counter(f"{node.kind}: {node.reason}" for node in report.nodes if node.status is not Status.CONVERTED)
    counts = {"found": len(report.nodes), "converted": report.count(Status.CONVERTED)}
    return {**counts, "kept": dict(sorted(kept.items()))}


def _error(original: onnx.ModelProto, spiking: Path, inputs: Feeds) -> float:
    """The largest relative error of an output, the same with and without the kernels."""
    with_kernels, without = (onnx_snn.session(spiking, kernels=kernels).run(None, inputs) for kernels in (True, False))
    for name, one, other in zip((out.name for out in original.graph.output), with_kernels, without, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=f"output {name!r} differs with and without the kernels")
    expected = run(original, inputs).values()
    pairs = zip(expected, with_kernels, strict=True)
    return max(relative_error(one, other) for one, other in pairs if np.issubdtype(one.dtype, np.floating))
