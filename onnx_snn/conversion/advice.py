# SPDX-License-Identifier: Apache-2.0
"""Advice after a conversion: which nodes make most of an error that is too large, and what to do about them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import onnx_ir as ir

from onnx_snn.conversion.neuron_choice import judged_outputs
from onnx_snn.conversion.report import ConversionReport
from onnx_snn.data.drawing import evenly_spaced
from onnx_snn.data.specs import Feed
from onnx_snn.errors import OnnxSnnError
from onnx_snn.evaluation.remedies import remedies
from onnx_snn.evaluation.sensitivity import sensitivity_of

logger = logging.getLogger(__name__)

ADVICE_SAMPLES = 4
"""Number of verified samples, drawn evenly, on which nodes are ranked: those of the largest errors are far apart."""


def costly_nodes(
    decomposed: ir.Model, converted: ir.Model, verified: Sequence[Feed], report: ConversionReport
) -> list[str]:
    """Advice about the nodes that make most of the error of a converted network, if it is beyond its budget.

    Args:
        decomposed: the original, with the fused operators written out of which sites are converted.
        converted: the converted network.
        verified: feeds of one sample.
        report: the report of the conversion.
    """
    judged = judged_outputs([output.name for output in report.outputs])
    outputs = [output for output in report.outputs if output.name in judged]
    worst = max(outputs, key=lambda output: output.relative_error, default=None)
    if worst is None or worst.relative_error <= report.config.error_budget:
        return []
    feeds = [verified[i] for i in evenly_spaced(len(verified), ADVICE_SAMPLES)]
    try:
        return remedies(sensitivity_of(decomposed, converted, feeds, worst.name))
    except OnnxSnnError as error:  # a spiking node in a loop cannot be switched
        logger.info("nodes cannot be ranked by their errors: %s", error)
        return []
