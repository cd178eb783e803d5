# SPDX-License-Identifier: Apache-2.0
"""Folders of models, whose files are put into place at the end, all or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from onnx_snn.errors import OutputError
from onnx_snn.graph.model_writer import weight_files
from onnx_snn.output_files import temporary_folder


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
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (stage / file).replace(folder / file)
            written = {folder / file for file in moved}
            for stale in (weights for file in written for weights in weight_files(file) if weights not in written):
                stale.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"output folder '{folder}' cannot be written ({error})") from error
