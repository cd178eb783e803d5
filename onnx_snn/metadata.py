# SPDX-License-Identifier: Apache-2.0
"""Keys of the metadata that a converted model and its nodes carry."""

VERSION_KEY = "onnx_snn.version"
"""Model: the version of onnx-snn that converted it."""

CONFIG_KEY = "onnx_snn.config"
"""Model: the options of the conversion, as JSON."""

SOURCE_KEY = "pkg.onnx_snn.source"
"""Spiking node: what it stands for, such as "gelu"; "identity" for a code."""

ORIGIN_KEY = "pkg.onnx_snn.origin"
"""Node of a decomposition: the name of the node of the original that it was written for."""
