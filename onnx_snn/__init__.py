# SPDX-License-Identifier: Apache-2.0
"""onnx-snn converts pretrained ONNX networks into spiking ONNX networks, without training.

Usage::

    report = onnx_snn.convert("model.onnx", "snn.onnx", "calibration.npz", timesteps=8)
    print(report.text())
    session = onnx_snn.session("snn.onnx")  # an ordinary onnxruntime.InferenceSession
"""

import warnings
from typing import Any

from onnx_snn.config.convert_config import ConvertConfig, Preset, Scope
from onnx_snn.config.node_settings import NodeSettings
from onnx_snn.conversion.pipeline import convert
from onnx_snn.conversion.report import ConversionReport, NodeReport, OutputReport, Status
from onnx_snn.data.data_files import DataFiles
from onnx_snn.deployment.genai import deploy_genai
from onnx_snn.deployment.triton import deploy_triton
from onnx_snn.errors import (
    CalibrationError,
    ConfigError,
    DeployError,
    LibraryError,
    ModelError,
    NeuronError,
    OnnxSnnError,
    OutputError,
    PackError,
    SaturationWarning,
    WorkerError,
)
from onnx_snn.evaluation.comparison import compare
from onnx_snn.evaluation.evaluation import Evaluation
from onnx_snn.evaluation.metrics import Metric
from onnx_snn.evaluation.node_sensitivity import NodeSensitivity, Sensitivity
from onnx_snn.evaluation.sensitivity import sensitivity
from onnx_snn.events.neurobench.figures import NeuroBench
from onnx_snn.events.neurobench.meter import neurobench
from onnx_snn.events.replay.replayer import replay
from onnx_snn.events.replay.report import Replay, ReplayedProduct
from onnx_snn.events.trains.export import SpikeExport, export_spikes
from onnx_snn.events.trains.record import SpikeRecord, read_spikes
from onnx_snn.events.trains.source import WrittenNeuron
from onnx_snn.exporter import export
from onnx_snn.generation.generator import TextGenerator, TextStream, generate
from onnx_snn.generation.options import GenerationOptions
from onnx_snn.generation.result import Generation
from onnx_snn.neurons.functions import ScalarFunction, register
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import Body
from onnx_snn.packing.packer import PackReport, pack
from onnx_snn.profiling.activity import NeuronActivity, Operand, ProductActivity, ProductKind
from onnx_snn.profiling.energy import EnergyCosts, EnergyRule
from onnx_snn.profiling.energy_report import EnergyFigure, EnergyReport
from onnx_snn.profiling.inspection import Inspection, inspect
from onnx_snn.profiling.profiler import Profile, profile
from onnx_snn.reporting.charts.page import write_html, write_images
from onnx_snn.reporting.survey import survey
from onnx_snn.reporting.views import Candidate, NeuronView, NodeView, Survey
from onnx_snn.runtime.session import get_library_path, session, session_options
from onnx_snn.tuning.folder import tune_folder
from onnx_snn.tuning.solver import Minimize
from onnx_snn.tuning.trial_runner import TuningPoint
from onnx_snn.tuning.tuner import tune
from onnx_snn.tuning.tuning_report import TuningReport
from onnx_snn.unrolling.unroller import Unrolled, unroll
from onnx_snn.version import __version__
from onnx_snn.workers.local_pool import LocalPool
from onnx_snn.workers.shards import Workers

__all__ = [
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
    "SaturationWarning",
    "ScalarFunction",
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
    "WorkerError",
    "Workers",
    "WrittenNeuron",
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

_RENAMED = {"Blame": "Sensitivity", "NodeBlame": "NodeSensitivity", "blame": "sensitivity"}
"""Deprecated public names, each with the name that replaces it."""


def __getattr__(name: str) -> Any:
    """Resolve a deprecated public name, with a DeprecationWarning that tells the new one.

    Raises:
        AttributeError: `name` is neither a current nor a deprecated name of this package.
    """
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = _RENAMED[name]
    warnings.warn(f"{__name__}.{name} is now called {__name__}.{new}", DeprecationWarning, stacklevel=2)
    return globals()[new]
