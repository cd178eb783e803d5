# SPDX-License-Identifier: Apache-2.0
"""Conversion of an Optimum folder: every model in it, and its sidecar files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.folder_data import data_by_file
from onnx_snn.conversion.folder_layout import Layout
from onnx_snn.conversion.merged_report import merged
from onnx_snn.conversion.model_card import MODEL_CARD, model_card
from onnx_snn.conversion.report import ConversionReport
from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.data.feeds import Source
from onnx_snn.deployment.genai_config import GENAI_CONFIG, checked_config, fit_genai_config
from onnx_snn.errors import ConfigError
from onnx_snn.graph.model_folder import copy_sidecars, model_files
from onnx_snn.graph.staged_folder import staged_folder
from onnx_snn.output_files import write_json, write_text

SNN_CONFIG = "snn_config.json"
"""Name of the file in a converted folder that records the options, like Optimum's `ort_config.json`."""

ConvertModel = Callable[[Path, "Path | None", "Source | None", RunOptions], ConversionReport]
"""Function that converts a model file: source, output (None in a dry run), calibration data and options."""

Configurations = Mapping[str, ConvertConfig]
"""Options of each model of a folder, by file name."""


def check_for_file(configs: Configurations | None, run: RunOptions) -> None:
    """Refuse options of folders where the model is a file.

    Raises:
        ConfigError: there are some.
    """
    if configs is not None:
        raise ConfigError(f"the configuration has options for the files {sorted(configs)} of a folder; name the folder")
    if run.layout is not Layout.OPTIMUM:
        raise ConfigError(f"layout is {run.layout.value!r}, but the model is a file; layouts are for folders")


def convert_folder(
    source: Path,
    output: str | Path | None,
    data: Any,
    run: RunOptions,
    convert_model: ConvertModel,
    configs: Configurations | None = None,
) -> ConversionReport:
    """Convert every model of an Optimum folder by `convert_model`, copy its sidecar files and write a model card.

    Args:
        source: the folder.
        output: folder to write; None in a dry run.
        data: calibration data, as for `convert`.
        run: options of all models.
        convert_model: converts one of them.
        configs: options of each model, in place of those in `run`.

    Raises:
        ConfigError: the output is missing, a calibration cache was asked for of several models, or `configs` lacks a
            model or names one that the folder does not have.
        CalibrationError: a model has no data, or data has no model.
        OutputError: the output folder cannot be written.
        DeployError: its genai_config.json cannot be read, or has no decoder.
    """
    files = model_files(source)
    names = [file.name for file in files]
    if configs is not None and sorted(configs) != names:
        raise ConfigError(f"the configuration has options for {sorted(configs)}, but '{source}' holds {names}")
    runs = {name: run if configs is None else dataclasses.replace(run, config=configs[name]) for name in names}
    if run.dry_run:
        return merged(str(source), None, [convert_model(file, None, None, runs[file.name]) for file in files])
    if output is None:
        raise ConfigError("output is missing; name the folder to write, or ask for a dry run")
    sources = sources_by_file(source, names, data, run)
    if (source / GENAI_CONFIG).is_file():
        checked_config(source)  # before the work begins
    with staged_folder(Path(output), source) as stage:
        paths = {name: run.layout.place(stage, name) for name in names}
        reports = {
            file.name: convert_model(file, paths[file.name], sources[file.name], runs[file.name]) for file in files
        }
        copy_sidecars(source, stage)
        fit_genai_config(stage)
        write_json(stage / SNN_CONFIG, run.config.to_json() if configs is None else configurations_to_json(configs))
        write_text(stage / MODEL_CARD, model_card(source, reports, run.layout))
    return merged(str(source), str(output), list(reports.values()))


def configurations_to_json(configs: Configurations) -> dict[str, Any]:
    """The options of each model of a folder as JSON values."""
    return {name: config.to_json() for name, config in configs.items()}


def sources_by_file(folder: Path, names: Sequence[str], data: Any, run: RunOptions) -> Mapping[str, Source]:
    """Calibration data of each of the models `names` in `folder`.

    Raises:
        ConfigError: a calibration cache was asked for of several models.
        CalibrationError: a model has no data, or data has no model.
    """
    if len(names) == 1:
        return {names[0]: data}
    if run.cache is not None:
        raise ConfigError(
            f"'{folder}' holds several models, {names}, but a calibration cache belongs to one; convert without it"
        )
    size, libraries = run.batch_size, run.custom_ops
    return data_by_file(folder, names, data, batch_size=size, max_samples=run.samples, custom_ops=libraries)
