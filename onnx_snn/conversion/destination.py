# SPDX-License-Identifier: Apache-2.0
"""The output of a conversion: checked before the work begins, and written in one step at its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.data.data_files import data_paths
from onnx_snn.errors import ConfigError, OutputError
from onnx_snn.graph.model_reader import ModelSource
from onnx_snn.graph.model_writer import weight_files
from onnx_snn.graph.source_files import source_files
from onnx_snn.output_files import temporary_folder
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


@contextmanager
def staged_folder(folder: Path, source: Path) -> Iterator[Path]:
    """A temporary folder whose files move to `folder` when the block ends, and are removed when it fails.

    Raises:
        OutputError: `folder` is the source or a file, or cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"output '{folder}' is a file, but the source is a folder; name a folder")
    if folder.exists() and folder.samefile(source):
        raise OutputError(f"output folder '{folder}' is the source folder; name another one")
    with ExitStack() as stack:
        try:
            stage = stack.enter_context(temporary_folder(folder))
        except OSError as error:
            raise OutputError(f"output folder '{folder}' cannot be made ({error})") from error
        yield stage
        try:
            folder.mkdir(exist_ok=True)
            # Weights before the graphs that read them, so that no graph is ever there without its weights.
            files = [file for file in stage.rglob("*") if file.is_file()]
            moved = [file.relative_to(stage) for file in sorted(files, key=lambda file: (file.suffix == ".onnx", file))]
            for file in moved:
                (folder / file).parent.mkdir(exist_ok=True)
                (stage / file).replace(folder / file)
            written = {folder / file for file in moved}
            for stale in (weights for file in written for weights in weight_files(file) if weights not in written):
                stale.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"output folder '{folder}' cannot be written ({error})") from error
