# SPDX-License-Identifier: Apache-2.0
"""Tuning of an Optimum folder: every model for itself."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.decoder_feeds import ENCODER
from onnx_snn.conversion.folder import SNN_CONFIG, configurations_to_json, sources_by_file
from onnx_snn.conversion.folder_layout import Layout
from onnx_snn.conversion.model_card import MODEL_CARD, model_card
from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.data.data_files import with_model_folder
from onnx_snn.data.feeds import Source, open_feeds
from onnx_snn.data.specs import input_specs
from onnx_snn.deployment.genai_config import fit_genai_config
from onnx_snn.graph.model_folder import copy_sidecars, model_files
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.staged_folder import staged_folder
from onnx_snn.output_files import write_json, write_text
from onnx_snn.tuning.tuner import tune
from onnx_snn.tuning.tuning_report import TuningReport


def tune_folder(
    folder: str | Path,
    output: str | Path,
    calibration: Any,
    *,
    data: Any = None,
    layout: Layout | str = Layout.OPTIMUM,
    **options: Any,
) -> dict[str, TuningReport]:
    """Tune every model of an Optimum folder for itself, copy its sidecar files and write a model card.

    `snn_config.json` in the output has the configuration of each model, by file name. Given to `convert`, it makes the
    same files again.

    Args:
        folder: folder with the original networks.
        output: folder to write.
        calibration: real inputs, as `onnx_snn.convert` takes them for a folder.
        data: inputs on which the losses are measured, in the same forms; the calibration data by default. An encoder
            without labels is judged by the cosine similarity of its outputs, unless `metric` is given.
        layout: where the models are written, as `onnx_snn.convert` takes it.
        **options: further arguments of `onnx_snn.tune`.

    Returns:
        The report of each model, by file name.

    Raises:
        ConfigError: as for `tune`, or a calibration cache was asked for of several models.
        ModelError, OutputError: as for `tune`.
        CalibrationError: a model has no data, or data has no model.
    """
    folder, names = Path(folder), [file.name for file in model_files(folder)]
    sizes = {"samples": options.get("samples"), "batch_size": options.get("batch_size", 8)}
    libraries = tuple(options.get("custom_ops", ()))
    cache = options.get("calibration_cache")
    run = RunOptions(options.get("config") or ConvertConfig(), cache, **sizes, custom_ops=libraries)
    sources = sources_by_file(folder, names, calibration, run)
    judged = sources if data is None else sources_by_file(folder, names, data, run)
    reports, arranged = {}, Layout.of(layout)
    with staged_folder(Path(output), folder) as stage:
        for name in names:
            plain = name == ENCODER and options.get("metric") is None and not _has_labels(judged[name], folder / name)
            arguments = {**options, "metric": "cosine"} if plain else options
            path = arranged.place(stage, name)
            report = tune(folder / name, path, sources[name], data=judged[name], **arguments)
            conversion = dataclasses.replace(report.conversion, output=str(Path(output) / path.relative_to(stage)))
            reports[name] = dataclasses.replace(report, conversion=conversion)
        copy_sidecars(folder, stage)
        fit_genai_config(stage)
        configs = {name: report.config for name, report in reports.items()}
        write_json(stage / SNN_CONFIG, configurations_to_json(configs))
        conversions = {name: report.conversion for name, report in reports.items()}
        write_text(stage / MODEL_CARD, model_card(folder, conversions, arranged, _measured_losses(reports)))
    return reports


def _measured_losses(reports: Mapping[str, TuningReport]) -> str:
    """The losses of tuned models on the data that they were tuned on, in one sentence."""
    losses = [f"{report.chosen.loss:+.3%} {report.metric} ({name})" for name, report in sorted(reports.items())]
    return f"Loss on the data that tuning was given: {', '.join(losses)}."


def _has_labels(data: Source, model: Path) -> bool:
    """Whether `data` of a model has labels; data that can be read only once has none."""
    if not isinstance(data, (str, os.PathLike, Mapping)):
        return False
    return open_feeds(with_model_folder(data, model), input_specs(load_model(model))).labels is not None
