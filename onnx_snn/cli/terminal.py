# SPDX-License-Identifier: Apache-2.0
"""What the command line writes: results to standard output, all else to standard error, one line for each failure.

Text from files of unknown origin, such as names of nodes, never reaches the terminal as control characters.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from onnx_snn.errors import OnnxSnnError, OutputError
from onnx_snn.formatting import printable

FAILED, INTERRUPTED = 1, 128 + signal.SIGINT
"""Exit statuses. The second is that of a shell for a command that was interrupted."""


class _Formatter(logging.Formatter):
    """One printable line for each record, and the traceback of its error, if any."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), lines=bool(record.exc_info))


def set_up(verbose: int) -> None:
    """Send log records to standard error, and let no character be one that a stream cannot encode.

    Args:
        verbose: 0 for warnings, 1 for progress, 2 for everything.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING - 10 * min(verbose, 2), handlers=[handler])
    tqdm.monitor_interval = 0  # no thread beside the bars, which warns where it cannot start
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write(text: str, *, end: str = "\n") -> None:
    """Write a result to standard output, and `end` behind it.

    Raises:
        BrokenPipeError: who reads it has seen enough.
        OutputError: standard output is closed or full.
    """
    try:
        sys.stdout.write(printable(text, lines=True) + end)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError, AttributeError) as error:  # a closed stream is a ValueError, or None
        raise OutputError(f"standard output cannot be written: {error}") from error


def note(text: str) -> None:
    """Write a line to standard error, if there is one."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"onnx-snn: {printable(' '.join(text.split()))}\n")
        sys.stderr.flush()


def guarded(command: Callable[[], None], *, verbose: bool) -> int:
    """Run a command; every failure is one line on standard error.

    Args:
        command: the command.
        verbose: show the traceback of an error that nobody foresaw.

    Returns:
        The exit status.
    """
    with _unwinding_when_terminated():
        try:
            command()
            return 0
        except OnnxSnnError as error:
            note(f"error: {error}")
        except BrokenPipeError:
            pass
        except KeyboardInterrupt:
            note("interrupted")
            return INTERRUPTED
        except MemoryError as error:
            note(f"error: memory ran out ({error}); use a smaller --batch-size, or let the process have more")
        except Exception as error:
            if verbose:
                traceback.print_exc()
            place = traceback.extract_tb(error.__traceback__)[-1]
            note(
                f"error: unforeseen {type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {error}; "
                "please report it with the output of the same command with -v"
            )
        _abandon_output()
        return FAILED


@contextlib.contextmanager
def _unwinding_when_terminated() -> Iterator[None]:
    """A request to terminate ends the command as an interrupt does, so that temporary files are removed."""

    def stop(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _abandon_output() -> None:
    """Let what standard output could not take be dropped, in place of an error when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
