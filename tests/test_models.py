# SPDX-License-Identifier: Apache-2.0
"""The networks of models/: converted, they decide as before, and give equal outputs in every runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hosts.runner import javascript_missing, run
from networks import spiking_nodes
from numpy.typing import NDArray
from spoiling import spoiled

import onnx_snn
from onnx_snn.config.convert_config import DEFAULT_MAX_ERROR

pytestmark = pytest.mark.slow

MODELS = Path(__file__).parents[1] / "models"
NAMES = sorted(str(file.parent.relative_to(MODELS)) for file in MODELS.glob("**/model.onnx"))
SAMPLES = 16
"""Enough that a broken conversion shows; accuracy proper is measured in benchmarks/accuracy.py."""

FEW_TIMESTEPS = [("roberta-mr", 4), ("resnet-cifar10", 4)]
"""A network of each kind, Transformer and convolutional, also with few time steps, whose codes have many segments."""

FAST = {("gpt2-war-and-peace", 8), ("roberta-mr", 4)}
"""Conversions by rule: networks of which another conversion chooses its neurons."""

Converted = Callable[..., tuple[Path, onnx_snn.ConversionReport]]


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """Converts a network of models/ once for each T, with closed bodies, which return the bits of the time loops."""
    folder, done = tmp_path_factory.mktemp("converted"), dict[Path, tuple[Path, onnx_snn.ConversionReport]]()

    def convert(name: str, timesteps: int = 8) -> tuple[Path, onnx_snn.ConversionReport]:
        path = folder / f"{name.replace('/', '-')}-{timesteps}.onnx"
        if path not in done:
            data = MODELS / name / "calibration.npz"
            report = onnx_snn.convert(
                MODELS / name / "model.onnx",
                path,
                data,
                timesteps=timesteps,
                calibration_samples=16,
                fast=(name, timesteps) in FAST,
                body="closed",
                progress=False,
            )
            done[path] = path, report
        return done[path]

    return convert


def test_the_three_networks_are_there() -> None:
    assert {"vit-cifar10", "roberta-mr", "gpt2-war-and-peace"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_nonlinear_node_is_converted(name: str, converted: Converted) -> None:
    _, report = converted(name)
    assert report.count(onnx_snn.Status.CONVERTED) == len(report.nodes) > 0


@pytest.mark.parametrize("name", NAMES)
def test_decisions_stay(name: str, converted: Converted) -> None:
    """Agreement of 93 %, one sample of 16 apart, where the benchmark over all test data finds 99.5 % or more."""
    path, _ = converted(name)
    test = MODELS / name / "test.npz"
    evaluation = onnx_snn.compare(MODELS / name / "model.onnx", path, test, samples=SAMPLES, progress=False)
    assert evaluation.metric in ("accuracy", "perplexity")
    assert evaluation.agreement >= 0.93
    assert evaluation.relative_error <= 0.02


@pytest.mark.parametrize("source", ["identity", "function"])
@pytest.mark.parametrize("name", NAMES)
def test_sensitivity_finds_a_spoiled_node(name: str, source: str, converted: Converted, tmp_path: Path) -> None:
    """The middle code, and the middle function, with a quarter of its range: the worst of all nodes."""
    path, report = converted(name)
    functions = {node.name for node in report.nodes if node.kind == "function"}
    nodes = [node for node in spiking_nodes(path) if node.op_type == "MbeNeuron"]
    alike = [node.name for node in nodes if (node.name in functions) == (source == "function")]
    victim = alike[len(alike) // 2]
    # Beside headroom, codes reach for channels that calibration found quiet: its square root at most.
    headroom = report.config.headroom**1.5
    broken = spoiled(path, victim, tmp_path / "spoiled.onnx", headroom=headroom)
    data = MODELS / name / "calibration.npz"
    found = onnx_snn.sensitivity(MODELS / name / "model.onnx", broken, data, samples=1, progress=False)
    assert found.nodes[0].name == victim


@pytest.mark.parametrize(("name", "timesteps"), [*((name, 8) for name in NAMES), *FEW_TIMESTEPS])
def test_kernels_and_functions_give_equal_outputs(name: str, timesteps: int, converted: Converted) -> None:
    """Whole networks, bit for bit: nothing but the spiking nodes differs between the two sessions."""
    path, _ = converted(name, timesteps)
    feed = first_sample(name)
    with_kernels = onnx_snn.session(path).run(None, feed)
    by_functions = onnx_snn.session(path, kernels=False).run(None, feed)
    for kernel_output, function_output in zip(with_kernels, by_functions, strict=True):
        np.testing.assert_array_equal(kernel_output, function_output)


def first_sample(name: str) -> dict[str, NDArray[Any]]:
    with np.load(MODELS / name / "test.npz") as arrays:
        return {key: array[:1] for key, array in arrays.items() if key != "labels"}


@pytest.mark.host
@pytest.mark.parametrize("backend", ["node", "web"])
@pytest.mark.parametrize("name", NAMES)
def test_other_runtimes_give_equal_outputs(name: str, backend: str, converted: Converted) -> None:
    """Equal but for native products, which sum in another order and may move a value across a level of a sparse code.

    Such a level is as wide as the budget allows, so that a few of them are up to half of it.
    """
    assert javascript_missing() is None, javascript_missing()
    path, _ = converted(name)
    feed = first_sample(name)
    expected, got = run("python", path, feed), run(backend, path, feed)
    for output, value in expected.items():
        error = np.linalg.norm(got[output] - value) / np.linalg.norm(value)
        assert error <= DEFAULT_MAX_ERROR / 2.0, output
