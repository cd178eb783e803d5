# SPDX-License-Identifier: Apache-2.0
"""The one place where tensors go into an onnxruntime session and come out of it.

onnxruntime takes and gives NumPy arrays of the types that NumPy has of its own. Tensors of others (bfloat16, float8,
integers of four bits) pass as `OrtValue`: into the session in the memory where they lie, out of it as a copy.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from onnx_snn.data.element_types import element_type, is_foreign
from onnx_snn.errors import CalibrationError

Given: TypeAlias = "Mapping[str, NDArray[Any] | ort.OrtValue]"
"""Inputs of a session by name."""


def run(session: ort.InferenceSession, names: Sequence[str], feed: Given) -> dict[str, NDArray[Any]]:
    """The outputs `names` of `session` for `feed`, by name.

    Args:
        session: any onnxruntime session.
        names: its outputs to compute; tensors that are not taken from a branch are empty.
        feed: its inputs; arrays may have types of `ml_dtypes`, and tensors may be given as onnxruntime holds them.

    Returns:
        Arrays in the element types of the outputs, those of `ml_dtypes` where NumPy has none.

    Raises:
        CalibrationError: the run fails; the message names the shapes of the inputs that are arrays.
    """
    types = {output.name: element_type(output.type) for output in session.get_outputs()}
    foreign = any(dtype is not None and _is_foreign(dtype) for dtype in map(types.get, names))
    try:
        given = {name: value if isinstance(value, ort.OrtValue) else _taken(value) for name, value in feed.items()}
        arrays = _run_bound(session, names, given) if foreign else session.run(list(names), given)
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        shapes = {name: value.shape for name, value in feed.items() if isinstance(value, np.ndarray)}
        raise CalibrationError(f"onnxruntime fails on inputs of shapes {shapes}: {error}") from error
    return dict(zip(names, arrays, strict=True))


def ort_value(tensor: ir.TensorProtocol) -> ort.OrtValue:
    """The tensor for onnxruntime, in the memory where it lies; of any type that fills whole bytes but strings."""
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(contiguous(tensor.numpy()), tensor.dtype.value)


def contiguous(array: NDArray[Any]) -> NDArray[Any]:
    """`array` in row-major order; unlike np.ascontiguousarray it leaves a scalar one."""
    return np.asarray(array, order="C")


def _is_foreign(dtype: ir.DataType) -> bool:
    return dtype is not ir.DataType.STRING and is_foreign(dtype.numpy())


def _taken(array: NDArray[Any]) -> NDArray[Any] | ort.OrtValue:
    """`array` as onnxruntime takes it."""
    return ort_value(ir.Tensor(array)) if is_foreign(array.dtype) else array


def _run_bound(session: ort.InferenceSession, names: Sequence[str], given: Given) -> list[NDArray[Any]]:
    """Outputs of a run that stay with onnxruntime until they are copied, since it makes no arrays of some types."""
    binding = session.io_binding()
    for name, value in given.items():
        bind = binding.bind_ortvalue_input if isinstance(value, ort.OrtValue) else binding.bind_cpu_input
        bind(name, value)
    for name in names:
        binding.bind_output(name)
    session.run_with_iobinding(binding)
    return [_copied(value) for value in binding.get_outputs()]


def _copied(value: ort.OrtValue) -> NDArray[Any]:
    """An array of what onnxruntime holds on the CPU."""
    dtype = element_type(value.data_type())
    if dtype is None or not _is_foreign(dtype):
        return np.asarray(value.numpy())
    size = math.ceil(math.prod(value.shape()) * dtype.bitwidth / 8)
    raw = ctypes.string_at(value.data_ptr(), size)
    proto = onnx.TensorProto(data_type=dtype.value, dims=value.shape(), raw_data=raw)
    return ir.serde.deserialize_tensor(proto).numpy()
