# SPDX-License-Identifier: Apache-2.0
"""The command `pack`."""

from __future__ import annotations

import argparse
from pathlib import Path

from onnx_snn.cli.options import Commands
from onnx_snn.cli.terminal import write
from onnx_snn.errors import PackError
from onnx_snn.packing.packer import pack


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "pack",
        parents=[common],
        help="put a tokenizer or an image processor before a network and labels behind it, in one file (extra: text)",
    )
    parser.add_argument(
        "-m", "--model", required=True, help=".onnx file, converted or not, or a folder with a model.onnx"
    )
    parser.add_argument("-o", "--output", required=True, help=".onnx file to write")
    parser.add_argument(
        "--tokenizer", metavar="FOLDER", help="folder with a tokenizer.json (default: that of the model)"
    )
    parser.add_argument(
        "--processor",
        metavar="PATH",
        help="preprocessor_config.json of images, or a folder with one (default: that of the model)",
    )
    parser.add_argument("--labels", metavar="JSON", help="config.json with id2label (default: that of the model)")
    parser.add_argument("--top-k", type=int, default=1, metavar="K", help="classes in the answer (default: 1)")
    parser.add_argument(
        "--max-length", type=int, metavar="N", help="tokens after which a text is cut off (default: the tokenizer's)"
    )
    parser.add_argument(
        "--texts",
        metavar="FILE",
        help="texts to compare ids on, one a line, in place of a list of hard ones: accents, emoji, scripts, lengths",
    )


def run(options: argparse.Namespace) -> None:
    """Pack a network as the arguments say.

    Raises:
        OnnxSnnError: as of `pack`, or the file of texts cannot be read.
    """
    report = pack(
        options.model,
        options.output,
        tokenizer=options.tokenizer,
        processor=options.processor,
        labels=options.labels,
        top_k=options.top_k,
        max_length=options.max_length,
        texts=_lines(options.texts),
    )
    if not options.quiet:
        write(report.text())


def _lines(path: str | None) -> list[str] | None:
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise PackError(f"cannot read texts from '{path}': {error}") from error
