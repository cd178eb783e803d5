# SPDX-License-Identifier: Apache-2.0
"""Element types of tensors, as onnxruntime spells them and as NumPy has them or, without `ml_dtypes`, has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

_REGISTERED = 2
"""Of `numpy.dtype.isbuiltin`: the type is none of NumPy's own, but one that a package such as `ml_dtypes` added."""


def element_type(spelled: str) -> ir.DataType | None:
    """The element type that onnxruntime spells like "tensor(bfloat16)"; None of what is no tensor."""
    kind, _, rest = spelled.partition("(")
    name = rest.rstrip(")").upper()
    return ir.DataType[name] if kind == "tensor" and name in ir.DataType.__members__ else None


def is_foreign(dtype: np.dtype[Any]) -> bool:
    """Whether NumPy has no such type of its own: bfloat16, float8, and what is smaller than a byte."""
    return dtype.isbuiltin == _REGISTERED


def widened(array: NDArray[Any]) -> NDArray[Any]:
    """`array`, or the same numbers in float32 where NumPy has no such floating-point type of its own."""
    if not is_foreign(array.dtype) or not ir.DataType.from_numpy(array.dtype).is_floating_point():
        return array
    return array.astype(np.float32)
