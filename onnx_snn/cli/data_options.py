# SPDX-License-Identifier: Apache-2.0
"""Arguments about data in files, which the parsers of several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from onnx_snn.data.data_files import DataFiles

DATA_HELP = (
    "real inputs: .npz with one array per model input (first axis: samples), .npy of a single input, a folder of .npz "
    "files or of test_data_set_N, images, .txt with one text a line, recordings, a folder that datasets saved, "
    ".parquet, or .py with a CalibrationDataReader"
)
"""What data can be, for help texts."""

SOURCES = ("calibration", "data")
"""Names of the arguments that are paths of data."""


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how files become inputs of the model."""
    files = parser.add_argument_group("files of images, texts and audio")
    files.add_argument(
        "--processor",
        metavar="PATH",
        help="preprocessor_config.json of images or audio, or a folder with one (default: that of the data, else "
        "of the model)",
    )
    files.add_argument("--tokenizer", metavar="FOLDER", help="tokenizer of texts (default: that of the model)")
    files.add_argument(
        "--columns", nargs="+", default=(), metavar="NAME", help="column of a table; two for pairs of texts"
    )


def with_data_files(options: argparse.Namespace) -> argparse.Namespace:
    """`options` with data in files, and what these files need, in place of paths of data."""
    model = Path(vars(options).get("original") or vars(options).get("model") or "")
    for name in SOURCES:
        path = getattr(options, name, None)
        if path is not None:
            folder = model if model.is_dir() else model.parent
            files = DataFiles(path, options.processor, options.tokenizer, tuple(options.columns), folder)
            setattr(options, name, files)
    return options
