# SPDX-License-Identifier: Apache-2.0
"""Kinds of spiking nodes in charts and lists, and colours of errors in decibels."""

from __future__ import annotations

import math

import numpy as np

from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.metadata import IDENTITY
from onnx_snn.neurons.opset import MBE_NEURON, SPIKING_SOFTMAX
from onnx_snn.reporting.charts.chart import BLUE, GREEN, ORANGE, PURPLE, ColourScale
from onnx_snn.reporting.views import NodeView

SQNR_COLOURS: ColourScale = (
    (0.0, "#b2182b"),
    (20.0, "#e8874f"),
    (35.0, "#f2cf6b"),
    (50.0, "#5aa9a8"),
    (65.0, "#2166ac"),
)
"""Colours of nodes by SQNR in decibels: at 0 dB the error is as large as the signal, at 20 dB 10 %, at 40 dB 1 %."""

EXACT_DB = 150.0
"""SQNR in decibels at which an exact result (infinite SQNR) is drawn: above the resolution of float32."""

CODE, FUNCTION, SOFTMAX, NORMALIZATION = "identity code", "function", "softmax", "normalization"
"""Names of the kinds of spiking nodes."""

FAMILY_COLOURS = {CODE: BLUE, FUNCTION: ORANGE, SOFTMAX: GREEN, NORMALIZATION: PURPLE}
"""Colour of each kind of spiking node."""


def family_of(node: NodeView) -> str:
    """The kind of a spiking node: one of `FAMILY_COLOURS`."""
    if node.operator == MBE_NEURON.name:
        return CODE if node.source == IDENTITY else FUNCTION
    return SOFTMAX if node.operator == SPIKING_SOFTMAX.name else NORMALIZATION


def decibels(difference: Difference | None) -> float:
    """SQNR in decibels, clipped to the range of the charts; NaN if there is no difference."""
    return math.nan if difference is None else float(np.clip(difference.sqnr_db, -10.0, EXACT_DB))
