# SPDX-License-Identifier: Apache-2.0
"""onnx-snn: pretrained ONNX networks into spiking ONNX networks, without training.

Usage::

    report = onnx_snn.convert("model.onnx", "snn.onnx", "calibration.npz", timesteps=8)
    print(report.text())
    session = onnx_snn.session("snn.onnx")  # an ordinary onnxruntime.InferenceSession
"""

from onnx_snn.config.convert_config import ConvertConfig, Preset, Scope
from onnx_snn.config.node_settings import NodeSettings
from onnx_snn.conversion.pipeline import convert
from onnx_snn.conversion.report import ConversionReport, NodeReport, OutputReport, Status
from onnx_snn.errors import (
    CalibrationError,
    ConfigError,
    LibraryError,
    ModelError,
    NeuronError,
    OnnxSnnError,
    OutputError,
)
from onnx_snn.evaluation.comparison import Evaluation, compare
from onnx_snn.evaluation.metrics import Metric
from onnx_snn.evaluation.sensitivity import Blame, NodeBlame, blame
from onnx_snn.exporter import export
from onnx_snn.neurons.functions import ScalarFunction, register
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import Body
from onnx_snn.profiling.activity import NeuronActivity, Operand, ProductActivity, ProductKind
from onnx_snn.profiling.energy import EnergyCosts, EnergyFigure, EnergyReport, EnergyRule
from onnx_snn.profiling.inspection import Inspection, inspect
from onnx_snn.profiling.profiler import Profile, profile
from onnx_snn.reporting.charts.page import write_html, write_images
from onnx_snn.reporting.survey import Candidate, NeuronView, NodeView, Survey, survey
from onnx_snn.runtime.session import get_library_path, session, session_options
from onnx_snn.tuning.solver import Minimize
from onnx_snn.tuning.trial_runner import TuningPoint
from onnx_snn.tuning.tuner import tune
from onnx_snn.tuning.tuning_report import TuningReport
from onnx_snn.version import __version__

__all__ = [
    "Blame",
    "Body",
    "CalibrationError",
    "Candidate",
    "ConfigError",
    "ConversionReport",
    "ConvertConfig",
    "EnergyCosts",
    "EnergyFigure",
    "EnergyReport",
    "EnergyRule",
    "Evaluation",
    "Inspection",
    "LibraryError",
    "MbeNeuron",
    "Metric",
    "Minimize",
    "ModelError",
    "NeuronActivity",
    "NeuronError",
    "NeuronView",
    "NodeBlame",
    "NodeReport",
    "NodeSettings",
    "NodeView",
    "OnnxSnnError",
    "Operand",
    "OutputError",
    "OutputReport",
    "Preset",
    "ProductActivity",
    "ProductKind",
    "Profile",
    "ScalarFunction",
    "Scope",
    "Status",
    "Survey",
    "TuningPoint",
    "TuningReport",
    "__version__",
    "blame",
    "compare",
    "convert",
    "export",
    "get_library_path",
    "inspect",
    "profile",
    "register",
    "session",
    "session_options",
    "survey",
    "tune",
    "write_html",
    "write_images",
]
