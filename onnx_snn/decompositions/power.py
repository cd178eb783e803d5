# SPDX-License-Identifier: Apache-2.0
"""Powers of a constant, by an exponential.

Pow(c, x)    Exp(x * log(c))
"""

from __future__ import annotations

import math

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported
from onnx_snn.graph.constants import scalar


def power_of_constant(op: FormulaBuilder) -> Outputs:
    """Exp(x * log(c)).

    Raises:
        Unsupported: the base is no positive constant, or the exponent is one.
    """
    base, x = op.required(0), op.required(1)
    number = scalar(base)
    if scalar(x) is not None or number is None or number <= 0.0:
        raise Unsupported("computes a power of which neither base nor exponent is one constant number")
    if x.dtype is not base.dtype:
        raise Unsupported(f"its base has type {base.dtype}, its exponent {x.dtype}; the same type is needed")
    return [op.Exp(op.Mul(x, math.log(number)))]
