# SPDX-License-Identifier: Apache-2.0
"""onnx-snn: pretrained ONNX networks into spiking ONNX networks, without training.

Usage::

    report = onnx_snn.convert("model.onnx", "snn.onnx", "calibration.npz", timesteps=8)
    print(report.text())
    session = onnx_snn.session("snn.onnx")  # an ordinary onnxruntime.InferenceSession
"""

from onnx_snn.activity import NeuronActivity, Operand, ProductActivity, ProductKind
from onnx_snn.blame import Blame, NodeBlame, blame
from onnx_snn.charts.page import write_html, write_images
from onnx_snn.config import ConvertConfig, Preset, Scope
from onnx_snn.convert import convert
from onnx_snn.energy import EnergyCosts, EnergyFigure, EnergyReport, EnergyRule
from onnx_snn.errors import (
    CalibrationError,
    ConfigError,
    LibraryError,
    ModelError,
    NeuronError,
    OnnxSnnError,
    OutputError,
)
from onnx_snn.evaluate import Evaluation, compare
from onnx_snn.export import export
from onnx_snn.functions import ScalarFunction, register
from onnx_snn.inspection import Inspection, inspect
from onnx_snn.metrics import Metric
from onnx_snn.neuron import MbeNeuron
from onnx_snn.opset import Body
from onnx_snn.profile import Profile, profile
from onnx_snn.report import ConversionReport, NodeReport, OutputReport, Status
from onnx_snn.runtime import get_library_path, session, session_options
from onnx_snn.settings import NodeSettings
from onnx_snn.solver import Minimize
from onnx_snn.survey import Candidate, NeuronView, NodeView, Survey, survey
from onnx_snn.tune import TuningReport, tune
from onnx_snn.version import __version__
from onnx_snn.workbench import TuningPoint

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
