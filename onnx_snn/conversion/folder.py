# SPDX-License-Identifier: Apache-2.0
"""Conversion of an Optimum folder: every model in it, and its sidecar files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from onnx_snn.conversion.destination import staged_folder
from onnx_snn.conversion.folder_data import data_by_file
from onnx_snn.conversion.report import ConversionReport, merged
from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.data.feeds import Source
from onnx_snn.errors import ConfigError
from onnx_snn.graph.model_folder import copy_sidecars, model_files
from onnx_snn.output_files import write_json

SNN_CONFIG = "snn_config.json"
"""Name of the file in a converted folder that records the options, like Optimum's `ort_config.json`."""

ConvertModel = Callable[[Path, "Path | None", "Source | None"], ConversionReport]
"""Function that converts a model file: source, output (None in a dry run) and calibration data."""


def convert_folder(
    source: Path, output: str | Path | None, data: Any, run: RunOptions, convert_model: ConvertModel
) -> ConversionReport:
    """Convert every model of an Optimum folder by `convert_model`, and copy its sidecar files.

    Raises:
        ConfigError: the output is missing, or a calibration cache was asked for of several models.
        CalibrationError: a model has no data, or data has no model.
        OutputError: the output folder cannot be written.
    """
    files = model_files(source)
    if run.dry_run:
        return merged(str(source), None, [convert_model(file, None, None) for file in files])
    if output is None:
        raise ConfigError("output is missing; name the folder to write, or ask for a dry run")
    sources = {files[0].name: data} if len(files) == 1 else _sources(source, files, data, run)
    with staged_folder(Path(output), source) as stage:
        reports = [convert_model(file, stage / file.name, sources[file.name]) for file in files]
        copy_sidecars(source, stage)
        write_json(stage / SNN_CONFIG, run.config.to_json())
    return merged(str(source), str(output), reports)


def _sources(folder: Path, files: Sequence[Path], data: Any, run: RunOptions) -> Mapping[str, Source]:
    """Calibration data of each file in `files`, by file name."""
    names = [file.name for file in files]
    if run.cache is not None:
        raise ConfigError(
            f"'{folder}' holds several models, {names}, but a calibration cache belongs to one; convert without it"
        )
    return data_by_file(folder, names, data, batch_size=run.batch_size, max_samples=run.samples)
