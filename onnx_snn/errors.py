# SPDX-License-Identifier: Apache-2.0
"""Exceptions and warnings of onnx-snn: one class for each thing a user can put right."""


class OnnxSnnError(Exception):
    """Base class of every error that onnx-snn raises on purpose."""


class ModelError(OnnxSnnError):
    """The model cannot be read, is not valid ONNX or holds nothing that can be converted."""


class CalibrationError(OnnxSnnError):
    """Input data, for calibration or for evaluation, is missing, does not fit the model, is empty or is not finite."""


class ConfigError(OnnxSnnError, ValueError):
    """An option is out of its range or contradicts another one."""


class NeuronError(OnnxSnnError, ValueError):
    """Neuron parameters have wrong shapes, are not finite or do not sum exactly."""


class LibraryError(OnnxSnnError):
    """The library with the kernels is not installed, or onnxruntime cannot load it."""


class PackError(OnnxSnnError):
    """A tokenizer or image processor has no operators in ONNX, or these give other ids or pixels than it does."""


class WorkerError(OnnxSnnError):
    """Workers were lost twice with the same piece of work, or the work cannot be sent to them."""


class DeployError(OnnxSnnError):
    """A network or its folder cannot be configured for the server or the generator that it is to run in."""


class OutputError(OnnxSnnError):
    """The result cannot be written where it was asked for."""


class SaturationWarning(UserWarning):
    """Values are beyond the range that a network was converted for, and saturate."""
