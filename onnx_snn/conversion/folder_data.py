# SPDX-License-Identifier: Apache-2.0
"""Calibration data for each model of a folder.

    a dict from file name to data           {"encoder_model.onnx": ..., "decoder_model.onnx": ...}
    a folder with data by the models' names encoder_model.npz, or a folder encoder_model
    anything else                           data of encoder_model.onnx

Decoders without data of their own get it from that of the encoder, see `onnx_snn/conversion/decoder_feeds.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnx_snn.conversion.decoder_feeds import DECODERS, ENCODER, DecoderFeeds
from onnx_snn.data.data_files import moved, with_model_folder
from onnx_snn.data.feeds import Source, open_feeds
from onnx_snn.data.specs import input_specs
from onnx_snn.errors import CalibrationError
from onnx_snn.graph.model_reader import load_model
from onnx_snn.runtime.finite_outputs import JudgeOfModel


def data_by_file(
    folder: Path,
    names: Sequence[str],
    data: Any,
    *,
    batch_size: int,
    max_samples: int | None,
    custom_ops: Sequence[str | Path] = (),
) -> dict[str, Source]:
    """Calibration data for each of the models `names` in `folder`.

    Args:
        folder: folder with several models.
        names: their file names.
        data: calibration data in one of the forms above.
        batch_size: samples of the encoder in one run.
        max_samples: samples of the encoder to decode from; None for all.
        custom_ops: libraries of custom operators that the models need.

    Raises:
        CalibrationError: a model has no data, or data has no model.
        ModelError: decoders need data, and the network cannot decode.
    """
    found = _user_data(folder, names, data)
    decoders = [name for name in names if name not in found and name in DECODERS]
    if decoders and ENCODER in found:
        network = load_model(folder / ENCODER, custom_ops)
        source = with_model_folder(found[ENCODER], folder)
        options: dict[str, Any] = {"batch_size": batch_size, "max_samples": max_samples, "evenly": True}
        encoder = open_feeds(source, input_specs(network), judge=JudgeOfModel(network), **options)
        found |= {name: DecoderFeeds(folder, encoder, name, custom_ops) for name in decoders}
    missing = [name for name in names if name not in found]
    if missing:
        raise CalibrationError(
            f"'{folder}' holds several models; calibration data is missing for {missing}: give a folder with NAME.npz "
            "for each NAME.onnx, or from Python a dict from file name to data"
        )
    return found


def _user_data(folder: Path, names: Sequence[str], data: Any) -> dict[str, Source]:
    """The calibration data that the user gave, by file name."""
    if data is None:
        return {}
    if isinstance(data, Mapping) and any(str(key).endswith(".onnx") for key in data):
        unknown = sorted(str(key) for key in data if key not in names)
        if unknown:
            raise CalibrationError(f"calibration data is given for {unknown}, but '{folder}' holds {list(names)}")
        return dict(data)
    if isinstance(data, (str, os.PathLike)) and Path(data).is_dir():
        paths = {name: _data_path(Path(data), Path(name).stem) for name in names}
        found: dict[str, Source] = {name: moved(data, path) for name, path in paths.items() if path is not None}
        if found:
            return found
    return {ENCODER: data} if ENCODER in names else {}


def _data_path(folder: Path, stem: str) -> Path | None:
    """The file or folder in `folder` with the data of the model called `stem`, if there is any."""
    return next((path for path in (folder / f"{stem}.npz", folder / stem) if path.exists()), None)
