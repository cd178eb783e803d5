# SPDX-License-Identifier: Apache-2.0
"""The output of a conversion, checked before the work begins."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.data.data_files import data_paths
from onnx_snn.errors import ConfigError
from onnx_snn.graph.model_reader import ModelSource
from onnx_snn.graph.source_files import source_files
from onnx_snn.output_paths import check_outputs


def check_destination(output: str | Path | None, source: ModelSource, data: Iterable[Any], run: RunOptions) -> None:
    """Refuse an output that is missing, and outputs that cannot be written or would overwrite what is read.

    Args:
        output: the .onnx file to write.
        source: the model that is read.
        data: sources of data, paths or other.
        run: the other files: a calibration cache, which may be written, and libraries of operators.

    Raises:
        ConfigError: the output is missing.
        OutputError: an output cannot be written, or is an input or another output.
    """
    if output is None:
        raise ConfigError("output is missing; name the .onnx file to write, or ask for a dry run")
    inputs = {
        "the model": source_files(source),
        "data": [path for each in data for path in data_paths(each)],
        "custom operators": run.custom_ops,
    }
    check_outputs({"output": output, "calibration cache": run.cache}, inputs)
