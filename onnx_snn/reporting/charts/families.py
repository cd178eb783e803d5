# SPDX-License-Identifier: Apache-2.0
"""Kinds of spiking nodes as charts and lists tell them apart, and errors in decibels as they colour them."""

from __future__ import annotations

import math

import numpy as np

from onnx_snn.evaluation.error_stats import Difference
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
"""Colours by SQNR in decibels: at 0 the error is as large as the signal, at 20 10 % of it, at 40 1 %, at 60 0.1 %."""

EXACT_DB = 150.0
"""SQNR in decibels at which an exact result is drawn: beyond what float32 resolves."""

CODE, FUNCTION, SOFTMAX, NORMALIZATION = "code of an operand", "function", "softmax", "normalization"
FAMILY_COLOURS = {CODE: BLUE, FUNCTION: ORANGE, SOFTMAX: GREEN, NORMALIZATION: PURPLE}


def family_of(node: NodeView) -> str:
    """What kind of operation a spiking node stands for."""
    if node.operator == MBE_NEURON.name:
        return CODE if node.source == "identity" else FUNCTION
    return SOFTMAX if node.operator == SPIKING_SOFTMAX.name else NORMALIZATION


def decibels(difference: Difference | None) -> float:
    """SQNR within what can be drawn; NaN where nothing was compared."""
    return math.nan if difference is None else float(np.clip(difference.sqnr_db, -10.0, EXACT_DB))
