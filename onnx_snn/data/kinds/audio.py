# SPDX-License-Identifier: Apache-2.0
"""Recordings in files, read by soundfile, as samples or through the feature extractor of the model.

Samples are floats from -1 to 1, or int16 where the model takes these; channels are averaged. A model that fixes the
number of samples gets the consecutive windows of every recording, the last one padded with silence. Nothing is
resampled: recordings have the rate that the feature extractor names, and without one all have the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_snn.data.data_files import DataFiles, Request, files_in, required
from onnx_snn.data.labels import folder_labels
from onnx_snn.data.processors import as_inputs, load_feature_extractor, preprocessor_folder, processed
from onnx_snn.data.sample_sets import SampleSet, stacked
from onnx_snn.data.specs import Feed, InputSpec
from onnx_snn.errors import CalibrationError

SUFFIXES = frozenset((".flac", ".ogg", ".wav"))
"""Ends of the names of files of recordings."""


class Window(NamedTuple):
    """A part of a recording: the index of its file and its first sample."""

    file: int
    start: int


class Recordings(SampleSet):
    """The recordings in a folder and the folders in it; the names of these are the labels."""

    def __init__(self, request: Request) -> None:
        self._paths = files_in(request.path, SUFFIXES)
        self._reader = AudioReader(request.files, request.specs)
        lengths = [self._reader.length(path, f"recording '{path}'") for path in self._paths]
        step = self._reader.window
        self._windows = [
            Window(number, start)
            for number, length in enumerate(lengths)
            for start in range(0, max(length, 1), step or max(length, 1))
        ]
        self._files = request.files

    @cached_property
    def labels(self) -> NDArray[Any] | None:
        """The label of each recording or window, by the name of its folder."""
        labels = folder_labels(self._paths, self._files)
        return None if labels is None else labels[[window.file for window in self._windows]]

    def __len__(self) -> int:
        return len(self._windows)

    def feeds(self, indices: Sequence[int]) -> Iterator[Feed]:
        """The recordings, or windows of them, `indices`."""
        windows = [(self._paths[window.file], window.start) for window in (self._windows[i] for i in indices)]
        return stacked(self._reader.feed(path, f"recording '{path}'", start) for path, start in windows)


class AudioReader:
    """Turns recordings into the inputs of a model.

    Attributes:
        window: number of samples that the model fixes; None where recordings are taken whole.

    Raises:
        CalibrationError: a package is missing, or no input takes samples.
    """

    def __init__(self, files: DataFiles, specs: Sequence[InputSpec]) -> None:
        self._soundfile = required("soundfile", "soundfile", "reading audio")
        folder = preprocessor_folder(files)
        self._extractor = None if folder is None else load_feature_extractor(folder)
        self._specs, self._rate = specs, getattr(self._extractor, "sampling_rate", None)
        self._rate_of = f"'{folder}' names" if self._rate else ""
        self._input = _samples_input(files, specs) if self._extractor is None else specs[0]
        size = self._input.shape[-1] if self._extractor is None else None
        self.window = size if isinstance(size, int) else None

    def length(self, file: Any, where: str) -> int:
        """Number of samples of a recording, whose header is read.

        Args:
            file: path, or open binary file.
            where: what messages call it.

        Raises:
            CalibrationError: it cannot be read, or has another rate than the others or the extractor.
        """
        try:
            info = self._soundfile.info(file)
        except (OSError, RuntimeError, TypeError) as error:
            raise CalibrationError(f"cannot read {where}: {error}") from error
        self._check_rate(int(info.samplerate), where)
        return int(info.frames)

    def feed(self, file: Any, where: str, start: int = 0) -> Feed:
        """The feed of a recording, or of the window of it that begins at sample `start`; `file` as of `length`.

        Raises:
            CalibrationError: it cannot be read or does not fit the model.
        """
        kind = "int16" if self._input.dtype == np.int16 and self._extractor is None else "float32"
        try:
            frames = -1 if self.window is None else self.window
            samples, rate = self._soundfile.read(file, frames=frames, start=start, dtype=kind, always_2d=True)
        except (OSError, RuntimeError, TypeError) as error:
            raise CalibrationError(f"cannot read {where}: {error}") from error
        return self.samples_feed(samples.mean(axis=1).astype(kind), where, int(rate))

    def samples_feed(self, samples: NDArray[Any], where: str, rate: int) -> Feed:
        """The feed of the samples [time] of one channel, `rate` a second.

        Raises:
            CalibrationError: they do not fit the model, or their rate is not that of the others.
        """
        self._check_rate(rate, where)
        if self._extractor is not None:
            made = processed(self._extractor, samples, where, sampling_rate=self._rate)
            return as_inputs(made, self._specs, where)
        if self.window is not None:
            samples = np.pad(samples, (0, self.window - len(samples)))
        shape = (*(1 for _ in self._input.shape[:-1]), len(samples))
        return as_inputs({self._input.name: samples.reshape(shape)}, self._specs, where)

    def _check_rate(self, rate: int, where: str) -> None:
        if self._rate is None:
            self._rate, self._rate_of = rate, f"{where} has"
        if rate != self._rate:
            raise CalibrationError(
                f"{where} has {rate} samples a second, and {self._rate_of} {self._rate}; recordings are not resampled: "
                f"write them with {self._rate} samples a second"
            )


def _samples_input(files: DataFiles, specs: Sequence[InputSpec]) -> InputSpec:
    """The input of a model that takes samples [batch, time] or [batch, 1, time].

    Raises:
        CalibrationError: there is none.
    """
    for spec in specs:
        leading = spec.shape[:-1]
        numbers = spec.dtype.kind == "f" or spec.dtype == np.int16
        if numbers and len(spec.shape) in (2, 3) and all(size == 1 for size in leading[1:] if isinstance(size, int)):
            return spec
    raise CalibrationError(
        f"'{files.path}' holds audio, and no input of the model takes samples [batch, time]: "
        f"{[(spec.name, spec.shape) for spec in specs]}; features need the preprocessor_config.json of an extractor: "
        "name it with --processor"
    )
