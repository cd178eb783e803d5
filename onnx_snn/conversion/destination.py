# SPDX-License-Identifier: Apache-2.0
"""The output of a conversion: checked before the work begins, and written in one step at its end."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from onnx_snn.errors import ConfigError, OutputError
from onnx_snn.graph.model_reader import ModelSource
from onnx_snn.graph.model_writer import check_output


def check_destination(output: str | Path | None, source: ModelSource) -> None:
    """Refuse an output that is missing, cannot be written or would overwrite `source`.

    Raises:
        ConfigError: the output is missing.
        OutputError: it cannot be written.
    """
    if output is None:
        raise ConfigError("output is missing; name the .onnx file to write, or ask for a dry run")
    check_output(output, source)


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
            temporary = tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent)
            stage = Path(stack.enter_context(temporary))
        except OSError as error:
            raise OutputError(f"output folder '{folder}' cannot be made ({error})") from error
        yield stage
        try:
            folder.mkdir(exist_ok=True)
            for file in sorted(stage.iterdir()):
                file.replace(folder / file.name)
        except OSError as error:
            raise OutputError(f"output folder '{folder}' cannot be written ({error})") from error
