# SPDX-License-Identifier: Apache-2.0
"""What single precision changes: outputs of bodies without float64, beside those of the same neurons with it."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from onnx_snn.conversion.inlining import inlined
from onnx_snn.conversion.report import OutputReport
from onnx_snn.conversion.verification import measure
from onnx_snn.data.specs import Feed
from onnx_snn.neurons.opset import Body, Precision


def single_precision_error(model: ir.Model, feeds: Iterable[Feed], body: Body) -> tuple[OutputReport, ...]:
    """Differences at the outputs of the converted `model` between bodies in single and in double precision.

    Both are inlined, since the kernels would compute in double precision.

    Args:
        model: the model.
        feeds: inputs, one sample each.
        body: form of the bodies, with the same results in double precision.
    """
    double, single = (inlined(model, body, precision) for precision in (Precision.DOUBLE, Precision.SINGLE))
    return tuple(measure(double, single, feeds, []).outputs)
