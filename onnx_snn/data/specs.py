# SPDX-License-Identifier: Apache-2.0
"""Specifications of a model's inputs, and the check of feeds against them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from onnx_snn.data.element_types import element_type, is_foreign
from onnx_snn.errors import CalibrationError, ModelError

Feed: TypeAlias = dict[str, NDArray[Any]]


class NumberedFeed(NamedTuple):
    """A feed of a sequence.

    Attributes:
        number: its number in the sequence; feeds of one number follow one another.
        start: number of samples before it.
        feed: the feed.
    """

    number: int
    start: int
    feed: Feed


class InputSpec(NamedTuple):
    """A model input.

    Attributes:
        name: Name of the input.
        dtype: Element type; `object` for strings.
        shape: Size of each axis, or its symbolic name; None where neither is known.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...]


def input_specs(model: ir.Model) -> list[InputSpec]:
    """The inputs that every run of `model` must be given; those with a default value are left out.

    Raises:
        CalibrationError: an input is not a tensor of known type and rank.
    """
    specs = []
    for value in model.graph.inputs:
        name = str(value.name)
        if name in model.graph.initializers:
            continue
        if value.dtype is None or value.shape is None:
            raise CalibrationError(f"model input '{name}' is not a tensor of known type and rank")
        shape = tuple(dim if isinstance(dim, int) else dim.value for dim in value.shape)
        specs.append(InputSpec(name, _numpy_type(value.dtype), shape))
    return specs


def _numpy_type(dtype: ir.DataType) -> np.dtype[Any]:
    return np.dtype(object) if dtype is ir.DataType.STRING else dtype.numpy()


def session_specs(network: ort.InferenceSession) -> list[InputSpec]:
    """The inputs of an onnxruntime session.

    Raises:
        ModelError: an input is not a tensor.
    """
    specs = []
    for value in network.get_inputs():
        dtype = element_type(value.type)
        if dtype is None:
            raise ModelError(f"input {value.name!r} is {value.type}; expected a tensor")
        specs.append(InputSpec(value.name, _numpy_type(dtype), tuple(value.shape)))
    return specs


def sample_count(feed: Feed) -> int:
    """Number of samples in a feed: the size of the first axis of its first input that is not a scalar; else 1."""
    return next((len(array) for array in feed.values() if array.ndim), 1)


def check_feed(
    feed: Mapping[str, Any], inputs: Sequence[InputSpec], *, where: str = "feed", finite: bool = True
) -> Feed:
    """Check one feed against the model's inputs.

    Args:
        feed: Arrays by input.
        inputs: The model's inputs.
        where: What messages call the feed.
        finite: Require finite numbers.

    Returns:
        The feed as arrays, in the order of the inputs.

    Raises:
        CalibrationError: names, types, ranks or fixed sizes disagree, or the feed is empty or not finite.
    """
    if not isinstance(feed, Mapping):
        raise CalibrationError(f"{where} is a {type(feed).__name__}; expected a dict from input name to array")
    names = [spec.name for spec in inputs]
    for name in names:
        if name not in feed:
            raise CalibrationError(f"{where} lacks model input '{name}'{suggestion(name, feed)}")
    for name in feed:
        if name not in names:
            raise CalibrationError(f"{where} holds '{name}', which is not a model input{suggestion(name, names)}")
    checked = {spec.name: _check_array(np.asarray(feed[spec.name]), spec, where) for spec in inputs}
    if sample_count(checked) == 0:
        raise CalibrationError(f"{where} is empty: its first axis has size 0")
    found = non_finite(checked) if finite else None
    if found is not None:
        raise CalibrationError(f"{where}: input {found}; expected finite inputs")
    return checked


def non_finite(arrays: Mapping[str, NDArray[Any]]) -> str | None:
    """Name, value and place of the first number of `arrays` that is NaN or infinite; None where all are finite."""
    for name, array in arrays.items():
        if array.dtype.kind not in "OUSbiu" and not np.isfinite(array).all():
            index = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
            return f"'{name}' holds {array[index]} at {index}"
    return None


def suggestion(name: str, candidates: Iterable[str]) -> str:
    """The end of an error message about an unknown `name`: similar candidates, or all where none is similar."""
    candidates = [str(candidate) for candidate in candidates]
    close = difflib.get_close_matches(name, candidates, n=3)
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    return f"; the names there are {candidates}"


def _check_array(array: NDArray[Any], spec: InputSpec, where: str) -> NDArray[Any]:
    what = f"{where}: input '{spec.name}'"
    if is_foreign(spec.dtype):
        array = _as_foreign(array, spec.dtype)
    strings = spec.dtype == object
    if array.dtype.kind not in "OUS" if strings else array.dtype != spec.dtype:
        remedy = "strings" if strings else f"{spec.dtype}: convert it with array.astype('{spec.dtype}')"
        raise CalibrationError(f"{what} has dtype {array.dtype}; the model expects {remedy}")
    if array.ndim != len(spec.shape):
        raise CalibrationError(
            f"{what} has shape {array.shape}; the model expects {len(spec.shape)} axes, {_shape(spec)}"
        )
    for axis, (size, fixed) in enumerate(zip(array.shape, spec.shape, strict=True)):
        if isinstance(fixed, int) and size != fixed:
            raise CalibrationError(
                f"{what} has shape {array.shape}; the model fixes axis {axis} to {fixed}, {_shape(spec)}"
            )
    return array


def _as_foreign(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """`array` as `dtype`, a type of `ml_dtypes`, if it is float32 or raw bytes, as .npz files store such types."""
    if array.dtype == np.dtype(f"V{dtype.itemsize}"):
        return array.view(dtype)
    return array.astype(dtype) if array.dtype == np.float32 else array


def _shape(spec: InputSpec) -> str:
    return f"[{', '.join('?' if dim is None else str(dim) for dim in spec.shape)}]"
