# SPDX-License-Identifier: Apache-2.0
"""The public surface: whoever changes this list changes what users build on."""

from __future__ import annotations

import inspect

import pytest

import onnx_snn

NAMES = [
    "Body",
    "CalibrationError",
    "Candidate",
    "ConfigError",
    "ConversionReport",
    "ConvertConfig",
    "DataFiles",
    "DeployError",
    "EnergyCosts",
    "EnergyFigure",
    "EnergyReport",
    "EnergyRule",
    "Evaluation",
    "Generation",
    "GenerationOptions",
    "Inspection",
    "LibraryError",
    "LocalPool",
    "MbeNeuron",
    "Metric",
    "Minimize",
    "ModelError",
    "NeuroBench",
    "NeuronActivity",
    "NeuronError",
    "NeuronView",
    "NodeReport",
    "NodeSensitivity",
    "NodeSettings",
    "NodeView",
    "OnnxSnnError",
    "Operand",
    "OutputError",
    "OutputReport",
    "PackError",
    "PackReport",
    "Preset",
    "ProductActivity",
    "ProductKind",
    "Profile",
    "Replay",
    "ReplayedProduct",
    "ScalarFunction",
    "SaturationWarning",
    "Scope",
    "Sensitivity",
    "SpikeExport",
    "SpikeRecord",
    "Status",
    "Survey",
    "TextGenerator",
    "TextStream",
    "TuningPoint",
    "TuningReport",
    "Unrolled",
    "WrittenNeuron",
    "WorkerError",
    "Workers",
    "__version__",
    "compare",
    "convert",
    "deploy_genai",
    "deploy_triton",
    "export",
    "export_spikes",
    "generate",
    "get_library_path",
    "inspect",
    "neurobench",
    "pack",
    "profile",
    "read_spikes",
    "register",
    "replay",
    "sensitivity",
    "session",
    "session_options",
    "survey",
    "tune",
    "tune_folder",
    "unroll",
    "write_html",
    "write_images",
]

COMPARISON = [
    "original",
    "spiking",
    "data",
    "labels",
    "metric",
    "output",
    "batch_size",
    "samples",
    "progress",
    "kernels",
    "custom_ops",
]

PARAMETERS = {
    "sensitivity": COMPARISON,
    "convert": [
        "model",
        "output",
        "calibration",
        "config",
        "calibration_cache",
        "calibration_samples",
        "batch_size",
        "dry_run",
        "progress",
        "custom_ops",
        "layout",
        "executor",
        "options",
    ],
    "compare": [*COMPARISON, "executor"],
    "deploy_genai": ["model", "folder"],
    "deploy_triton": ["model", "repository", "name", "max_batch_size", "served_from", "custom_ops"],
    "export": ["model", "output", "task", "opset"],
    "get_library_path": [],
    "inspect": ["path"],
    "profile": ["model", "data", "costs", "batch_size", "samples", "progress", "kernels", "custom_ops", "executor"],
    "session": ["path", "providers", "session_options", "kernels", "custom_ops"],
    "session_options": ["quiet", "kernels", "custom_ops"],
    "survey": [
        "original",
        "spiking",
        "data",
        "also",
        "metric",
        "sample",
        "samples",
        "costs",
        "batch_size",
        "progress",
        "kernels",
        "custom_ops",
    ],
    "tune": [
        "model",
        "output",
        "calibration",
        "data",
        "target_loss",
        "max_spikes",
        "max_timesteps",
        "minimize",
        "metric",
        "labels",
        "compared_output",
        "config",
        "calibration_cache",
        "batch_size",
        "samples",
        "progress",
        "custom_ops",
    ],
    "tune_folder": ["folder", "output", "calibration", "data", "layout", "options"],
    "write_html": ["survey", "path"],
    "write_images": ["survey", "folder"],
}

OPTIONS = [
    "timesteps",
    "scope",
    "preset",
    "body",
    "gate",
    "headroom",
    "max_error",
    "fast",
    "include",
    "exclude",
    "strict",
    "meter",
    "guard",
    "inline",
    "precision",
    "nodes",
]


def test_the_names_are_these() -> None:
    assert sorted(onnx_snn.__all__) == sorted(NAMES)
    assert all(hasattr(onnx_snn, name) for name in NAMES)


@pytest.mark.parametrize("function", PARAMETERS)
def test_the_parameters_are_these(function: str) -> None:
    assert list(inspect.signature(getattr(onnx_snn, function)).parameters) == PARAMETERS[function]


def test_the_options_are_these() -> None:
    assert list(inspect.signature(onnx_snn.ConvertConfig).parameters) == OPTIONS


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("Error")])
def test_every_error_has_one_base(name: str) -> None:
    assert issubclass(getattr(onnx_snn, name), onnx_snn.OnnxSnnError)


@pytest.mark.parametrize("name", NAMES)
def test_everything_public_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(onnx_snn, name))


@pytest.mark.parametrize(
    ("old", "new"), [("blame", "sensitivity"), ("Blame", "Sensitivity"), ("NodeBlame", "NodeSensitivity")]
)
def test_names_of_before_still_work_with_a_warning(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"onnx_snn.{old} is now called onnx_snn.{new}"):
        assert getattr(onnx_snn, old) is getattr(onnx_snn, new)
    assert old not in onnx_snn.__all__


def test_a_name_that_never_was_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'onnx_snn' has no attribute 'blames'"):
        _ = onnx_snn.blames
