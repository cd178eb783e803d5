# SPDX-License-Identifier: Apache-2.0
"""Element types of tensors: conversion from onnxruntime's names, and types that NumPy has only through `ml_dtypes`."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

_REGISTERED = 2
"""Value of `numpy.dtype.isbuiltin` for a type that a package such as `ml_dtypes` registered with NumPy."""


def element_type(spelled: str) -> ir.DataType | None:
    """The element type of an onnxruntime type such as "tensor(bfloat16)"; None for types that are not tensors."""
    kind, _, rest = spelled.partition("(")
    name = rest.rstrip(")").upper()
    return ir.DataType[name] if kind == "tensor" and name in ir.DataType.__members__ else None


def is_foreign(dtype: np.dtype[Any]) -> bool:
    """Whether `dtype` comes from `ml_dtypes` and not from NumPy: bfloat16, float8 and types smaller than a byte."""
    return dtype.isbuiltin == _REGISTERED


def widened(array: NDArray[Any]) -> NDArray[Any]:
    """`array` converted to float32 if its type is a floating-point type of `ml_dtypes`, else `array` itself."""
    if not is_foreign(array.dtype) or not ir.DataType.from_numpy(array.dtype).is_floating_point():
        return array
    return array.astype(np.float32)
