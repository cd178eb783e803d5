# SPDX-License-Identifier: Apache-2.0
"""Conversions whose file runs with and without the kernels, to the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
from conversions import converted
from networks import relative_error

import onnx_snn
from onnx_snn import ConversionReport
from onnx_snn.graph.map_types import to_proto
from onnx_snn.runtime.execution import run


class Checked(NamedTuple):
    """A checked conversion.

    Attributes:
        original: file of the original.
        spiking: the converted file.
        report: its report.
        error: largest relative error of a floating-point output on the first feed.
    """

    original: Path
    spiking: Path
    report: ConversionReport
    error: float


def checked_conversion(
    model: ir.Model | onnx.ModelProto,
    folder: Path,
    feeds: Sequence[Any],
    *,
    libraries: Sequence[str] = (),
    **options: Any,
) -> Checked:
    """Convert `model` in `folder`; the file is valid and runs to the same bits with and without the kernels."""
    original = folder / "original.onnx"
    onnx.save(model if isinstance(model, onnx.ModelProto) else to_proto(model), original)
    spiking, report = converted(original, folder, list(feeds), custom_ops=libraries, **options)
    onnx.checker.check_model(spiking, full_check=True)
    expected, by_kernels, by_functions = (
        _outputs(file, feeds[0], kernels, libraries)
        for file, kernels in ((original, False), (spiking, True), (spiking, False))
    )
    for name in expected:
        np.testing.assert_array_equal(by_kernels[name], by_functions[name])
    floating = [name for name, array in expected.items() if array.dtype.kind == "f"]
    worst = max((relative_error(expected[name], by_kernels[name]) for name in floating), default=0.0)
    return Checked(original, spiking, report, worst)


def _outputs(file: Path, feed: Any, kernels: bool, libraries: Sequence[str]) -> dict[str, Any]:
    session = onnx_snn.session(file, kernels=kernels, custom_ops=libraries)
    return run(session, [value.name for value in session.get_outputs()], feed)
