# SPDX-License-Identifier: Apache-2.0
"""Execution of onnxruntime sessions with NumPy arrays of any element type.

onnxruntime exchanges NumPy arrays only in NumPy's own types. Tensors of other types (bfloat16, float8, 4-bit integers)
are passed as `OrtValue`: inputs share the memory of the array, outputs are copied.
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
"""Inputs of a session by name: arrays, or tensors that onnxruntime holds."""


def run(session: ort.InferenceSession, names: Sequence[str], feed: Given) -> dict[str, NDArray[Any]]:
    """The outputs `names` of `session` for `feed`, by name.

    Args:
        session: any onnxruntime session.
        names: names of the outputs to compute.
        feed: inputs by name: arrays, also of types of `ml_dtypes`, or `OrtValue`.

    Returns:
        Arrays in the element types of the outputs, those of `ml_dtypes` where NumPy has none; of outputs that are no
        tensors what `as_array` makes of them.

    Raises:
        CalibrationError: the run fails; the message has the shapes of the inputs.
    """
    types = {output.name: element_type(output.type) for output in session.get_outputs()}
    foreign = any(dtype is not None and _is_foreign(dtype) for dtype in map(types.get, names))
    try:
        given = {name: value if isinstance(value, ort.OrtValue) else _taken(value) for name, value in feed.items()}
        bound = [name for name in names if types[name] is not None] if foreign else []
        others = [name for name in names if name not in bound]
        values = dict(zip(bound, _run_bound(session, bound, given), strict=True)) if bound else {}
        values |= dict(zip(others, session.run(others, given), strict=True)) if others else {}
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise _failure(feed, error) from error
    return {name: as_array(values[name]) for name in names}


def as_array(value: Any) -> NDArray[Any]:
    """An output of onnxruntime as an array.

    Args:
        value: a tensor; a sequence, whose elements become one array [elements, ...] where their shapes are equal, else
            [total size]; a map or a sequence of maps, of which the values remain, in the order of the keys, [maps,
            keys]; or None for an optional without a value, which becomes an array of shape [0].
    """
    if isinstance(value, Mapping):
        return np.asarray([value[key] for key in sorted(value)])
    if value is None:
        return np.empty(0, np.float32)
    if not isinstance(value, list):
        return np.asarray(value)
    elements = [as_array(element) for element in value]
    if len({element.shape for element in elements}) == 1:
        return np.stack(elements)
    return np.concatenate([element.ravel() for element in elements]) if elements else np.empty(0, np.float32)


def counted_parts(spelled: str) -> str:
    """What `as_array` keeps of outputs of an onnxruntime type such as "seq(tensor(float))"; empty for tensors."""
    if "map(" in spelled:
        return "values of maps, in the order of their keys"
    return "elements of sequences" if "seq(" in spelled else ""


class BoundOutputs:
    """Runs of a session that write its outputs into arrays that stay, which is faster than new arrays for each run.

    Args:
        session: any onnxruntime session.
        outputs: arrays of the outputs to compute, by name: in row-major order, of the outputs' types and shapes.
    """

    def __init__(self, session: ort.InferenceSession, outputs: Mapping[str, NDArray[Any]]) -> None:
        self._session, self._outputs = session, outputs
        self._binding = session.io_binding()
        for name, array in outputs.items():
            self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def run(self, feed: Mapping[str, NDArray[Any]]) -> None:
        """Write the outputs for `feed`.

        Args:
            feed: inputs by name, also of types of `ml_dtypes`.

        Raises:
            CalibrationError: the run fails; the message has the shapes of the inputs.
        """
        if any(array.dtype == object for array in feed.values()):  # onnxruntime binds no strings
            for name, array in run(self._session, list(self._outputs), feed).items():
                self._outputs[name][...] = array
            return
        try:
            _bind_inputs(self._binding, {name: _taken(array) for name, array in feed.items()})
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise _failure(feed, error) from error


def ort_value(tensor: ir.TensorProtocol) -> ort.OrtValue:
    """The tensor as an OrtValue that shares its memory; of any type of whole bytes except strings."""
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(contiguous(tensor.numpy()), tensor.dtype.value)


def copied(value: ort.OrtValue) -> NDArray[Any]:
    """A copy of a tensor of onnxruntime on the CPU, as an array."""
    dtype = element_type(value.data_type())
    if dtype is None or not _is_foreign(dtype):
        return np.asarray(value.numpy())
    size = math.ceil(math.prod(value.shape()) * dtype.bitwidth / 8)
    raw = ctypes.string_at(value.data_ptr(), size)
    proto = onnx.TensorProto(data_type=dtype.value, dims=value.shape(), raw_data=raw)
    return ir.serde.deserialize_tensor(proto).numpy()


def contiguous(array: NDArray[Any]) -> NDArray[Any]:
    """`array` in row-major order; unlike np.ascontiguousarray it keeps the rank of a scalar."""
    return np.asarray(array, order="C")


NAMED_INPUTS = 8
"""Largest number of inputs whose shapes a message gives: those of the network come first."""


def _failure(feed: Given, error: Exception) -> CalibrationError:
    shapes = [(name, value.shape) for name, value in feed.items() if isinstance(value, np.ndarray)]
    named = dict(shapes[:NAMED_INPUTS])
    more = f" and {len(shapes) - len(named)} more" if len(shapes) > len(named) else ""
    return CalibrationError(f"onnxruntime fails on inputs of shapes {named}{more}: {error}")


def _is_foreign(dtype: ir.DataType) -> bool:
    return dtype is not ir.DataType.STRING and is_foreign(dtype.numpy())


def _taken(array: NDArray[Any]) -> NDArray[Any] | ort.OrtValue:
    """`array` itself, or an OrtValue if its type is not one of NumPy's own."""
    return ort_value(ir.Tensor(array)) if is_foreign(array.dtype) else array


def _run_bound(session: ort.InferenceSession, names: Sequence[str], given: Given) -> list[NDArray[Any]]:
    """Outputs of a run with I/O binding, for outputs of types that onnxruntime does not return as arrays."""
    binding = session.io_binding()
    _bind_inputs(binding, given)
    for name in names:
        binding.bind_output(name)
    session.run_with_iobinding(binding)
    return [copied(value) for value in binding.get_outputs()]


def _bind_inputs(binding: ort.IOBinding, given: Given) -> None:
    for name, value in given.items():
        if isinstance(value, ort.OrtValue):
            binding.bind_ortvalue_input(name, value)
        else:
            binding.bind_cpu_input(name, contiguous(value))
