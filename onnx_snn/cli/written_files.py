# SPDX-License-Identifier: Apache-2.0
"""Check of the files that a command writes, against each other and against all that it reads."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from onnx_snn.cli.data_options import SOURCES
from onnx_snn.conversion.folder import SNN_CONFIG
from onnx_snn.conversion.model_card import MODEL_CARD
from onnx_snn.data.data_files import data_paths
from onnx_snn.graph.source_files import source_files
from onnx_snn.output_paths import check_output_folder, check_outputs

MODELS = ("model", "original", "spiking", "also")
"""Arguments that are models which are read."""

OTHERS = {"config": "the configuration", "custom_ops": "custom operators"}
"""Other arguments that are files which are read, and what they are."""


def check_written(options: argparse.Namespace, written: Mapping[str, str]) -> None:
    """Refuse arguments whose files would overwrite what is read or one another; checked before any work is done.

    Args:
        options: the arguments.
        written: names of the arguments that are files to write, and what they are.

    Raises:
        OutputError: an output cannot be written, is an input, or is another output.
    """
    roles = {"report": "report"} if getattr(options, "dry_run", False) else written
    outputs = {role: getattr(options, name) for name, role in roles.items()}
    inputs = {role: getattr(options, name, None) for name, role in OTHERS.items()}
    models = [model for name in MODELS for model in _all(getattr(options, name, None))]
    inputs["the model"] = [file for model in models for file in source_files(model)]
    inputs["data"] = [path for name in SOURCES for path in data_paths(getattr(options, name, None))]
    if outputs.get("output") and Path(options.model).is_dir():
        # The folder itself is checked where it is made; no other output may be one of the files in it.
        folder = Path(outputs.pop("output"))
        names = [file.name for file in Path(options.model).iterdir()]
        inputs["the output"] = [folder / name for name in (*names, SNN_CONFIG, MODEL_CARD)]
    check_outputs(outputs, inputs)
    if getattr(options, "png", None):
        check_output_folder("folder of pictures", options.png, inputs)


def _all(value: str | list[str] | None) -> list[str]:
    """The values of an argument that may be given once, several times or not at all."""
    return [value] if isinstance(value, str) else list(value or ())
