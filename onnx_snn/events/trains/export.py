# SPDX-License-Identifier: Apache-2.0
"""Spike trains of a converted network on data, as files: one neuron a file, and an index of all.

The network runs twice on each sample. In the first pass it counts its spikes, so that the size of the files is known
before anything is written. In the second one the spikes follow from the arguments of the neurons, time step by time
step, and are held against what the network counts itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from onnx_snn.data.data_files import with_model_folder
from onnx_snn.data.feeds import Source, open_feeds
from onnx_snn.data.specs import input_specs
from onnx_snn.errors import ConfigError, OutputError
from onnx_snn.evaluation.range_guard import load_unguarded
from onnx_snn.events.trains.files import WRITERS
from onnx_snn.events.trains.source import SpikeSource, WrittenNeuron
from onnx_snn.extras import required
from onnx_snn.formatting import wrapped
from onnx_snn.graph.inlined import refuse_inlined
from onnx_snn.graph.model_reader import ModelSource
from onnx_snn.runtime.finite_outputs import JudgeOfModel

DEFAULT_SAMPLES = 16
"""Number of samples that are written by default."""

MAX_BYTES = 1 << 30
"""Largest size of all files that is written without being asked for: 1 GiB."""


@dataclass(frozen=True)
class SpikeExport:
    """What was written.

    Attributes:
        folder: the folder.
        samples: number of samples.
        files: one entry for each neuron.
    """

    folder: Path
    samples: int
    files: tuple[WrittenNeuron, ...]

    def text(self) -> str:
        """What was written, for a terminal."""
        events, differing = sum(each.events for each in self.files), self._differing()
        lines = [f"{self.folder}: {events:,} events of {len(self.files)} neurons on {self.samples} samples"]
        if differing:
            lines.append(f"warning: the network counts other numbers of spikes than were written for {differing}")
        return "\n".join(map(wrapped, lines))

    def _differing(self) -> list[str]:
        return [each.neuron for each in self.files if each.events != each.counted]


def export_spikes(
    model: ModelSource,
    data: Source,
    folder: str | Path,
    *,
    nodes: Sequence[str] = (),
    format: str = "npz",  # noqa: A002
    samples: int | None = DEFAULT_SAMPLES,
    max_bytes: int = MAX_BYTES,
    announce: Callable[[str], None] | None = None,
    progress: bool = True,
    kernels: bool = True,
    custom_ops: Sequence[str | Path] = (),
) -> SpikeExport:
    """Run a converted network on `data`, sample by sample, and write the spike trains of its neurons.

    Args:
        model: path of a converted .onnx file, `ModelProto` or `onnx_ir.Model`; it is not changed.
        data: inputs, in any form that `onnx_snn.convert` takes for calibration. Files and arrays are taken sample by
            sample; a feed of an iterable, and one of a network that fixes the size of a batch, counts as one sample.
        folder: folder to write; made, or empty.
        nodes: names of nodes or of neurons, or patterns with * and ?; all by default.
        format: "npz", or "hdf5" in the layout of NIRData (extra: events).
        samples: use at most this many samples; None for all.
        max_bytes: largest size of all files.
        announce: takes a line that tells the size, before anything is written.
        progress: show a progress bar on a terminal.
        kernels: use the kernels where they are installed; the spikes do not depend on them.
        custom_ops: libraries of custom operators that the network needs.

    Raises:
        ModelError: the model cannot be loaded, or has no spiking node in its main graph.
        ConfigError: a pattern fits no neuron, there is no such format, or its library is not installed.
        OutputError: the folder is not empty or cannot be written, or the files would be larger than `max_bytes`.
        LibraryError: onnxruntime cannot load the library with the kernels, or one of `custom_ops`.
        CalibrationError: the data does not fit the model, or the model fails on it.
    """
    if format not in WRITERS:
        raise ConfigError(f"format is {format!r}; expected one of {sorted(WRITERS)}")
    if format == "hdf5":
        required("h5py", "an HDF5 file of spikes", "events")
    folder = Path(folder)
    _check_folder(folder)
    network = load_unguarded(model, custom_ops)
    refuse_inlined(network, str(model) if isinstance(model, (str, Path)) else type(model).__name__)
    source, judge = with_model_folder(data, model), JudgeOfModel(network)
    feeds = open_feeds(source, input_specs(network), batch_size=1, max_samples=samples, judge=judge)
    trains = SpikeSource(network, nodes, WRITERS[format], kernels=kernels)
    bar = partial(tqdm, disable=None if progress else True, unit="sample")
    size = trains.count(bar(feeds, "count"))
    what = f"{trains.files} files of about {size:,} bytes in all"
    if size > max_bytes:
        raise OutputError(
            f"'{folder}': {what}, more than {max_bytes:,}; take fewer samples or nodes, or allow more with --max-bytes "
            "(max_bytes)"
        )
    if announce is not None:
        announce(f"writing {what}{' before compression' if format == 'hdf5' else ''} to {folder}")
    written = trains.write(bar(feeds, "spikes"), folder)
    return SpikeExport(folder, trains.samples, written)


def _check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything, or cannot be made.

    Raises:
        OutputError: it is a file or not empty, or the folder in which it should be made does not exist.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"spike trains go to a folder, but '{folder}' is a file; name another one")
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"folder '{folder}' is not empty; name another one, or delete it first")
    if not folder.absolute().parent.is_dir():
        raise OutputError(f"folder '{folder.absolute().parent}' does not exist; create it first")
