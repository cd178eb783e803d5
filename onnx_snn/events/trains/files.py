# SPDX-License-Identifier: Apache-2.0
"""Files of spike trains, written sample by sample in memory that does not grow with their number.

npz    one file a neuron, with the arrays of `onnx_snn.events.trains.record.SpikeRecord`, not compressed
hdf5   one file a neuron in the layout of `nir.read_data` (NIRData): EventData with indices and times [samples, events],
       -1 and infinity where a sample has fewer events; the node is called as the file, and its group `neuron` has the
       other arrays
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.lib import format as npy

from onnx_snn.events.trains.record import DT, SampleEvents, fixed_arrays
from onnx_snn.extras import required
from onnx_snn.neurons.mbe import MbeNeuron

HEADER = 4096
"""Bytes that a file has beside its arrays, about."""


class Expected:
    """What is going to be written of one neuron, known from its counts before any train is made.

    Attributes:
        events: number of events of each sample.
        neurons: largest number of neurons of a sample.
        rank: rank of the tensor that the neuron is evaluated on.
    """

    def __init__(self) -> None:
        self.events: list[int] = []
        self.neurons = self.rank = 0

    def add(self, events: int, neurons: int, rank: int) -> None:
        """Add a sample."""
        self.events.append(events)
        self.neurons, self.rank = max(self.neurons, neurons), rank

    @property
    def index_type(self) -> np.dtype[Any]:
        """Type of the indices of neurons: 4 bytes where they suffice."""
        return np.dtype(np.uint32 if self.neurons < 1 << 31 else np.uint64)


class NpzWriter:
    """Writes a .npz file: events go to files of their own at first, since the header of an array tells its length."""

    def __init__(self, path: Path, name: str, source: str, neuron: MbeNeuron, expected: Expected) -> None:
        self._path, self._fixed, self._type = path, fixed_arrays(name, source, neuron), expected.index_type
        self._parts = {part: path.with_suffix(f".{part}") for part in ("time", "neuron")}
        self._open: dict[str, IO[bytes]] = {part: file.open("wb") for part, file in self._parts.items()}
        self._shapes: list[tuple[int, ...]] = []
        self._starts = [0]

    @staticmethod
    def size(neuron: MbeNeuron, expected: Expected) -> int:
        """Bytes of the file."""
        events = sum(expected.events) * (2 + expected.index_type.itemsize)
        return events + 8 * len(expected.events) * (1 + expected.rank) + _fixed_size(neuron)

    def add(self, events: SampleEvents) -> None:
        """Write the events of the next sample."""
        self._open["time"].write(events.time.tobytes())
        self._open["neuron"].write(events.neuron.astype(self._type).tobytes())
        self._shapes.append(events.shape)
        self._starts.append(self._starts[-1] + len(events.time))

    def __enter__(self) -> NpzWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None, /
    ) -> None:
        for file in self._open.values():
            file.close()
        if kind is None:
            self._assemble()
        for part in self._parts.values():
            part.unlink()

    def _assemble(self) -> None:
        arrays = {**self._fixed, "shape": np.array(self._shapes, np.int64), "sample": np.array(self._starts, np.int64)}
        with zipfile.ZipFile(self._path, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w") as member:
                    npy.write_array(member, np.asarray(array), allow_pickle=False)
            for name, dtype in {"time": np.dtype(np.uint16), "neuron": self._type}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member, self._parts[name].open("rb") as part:
                    header = {"descr": dtype.str, "fortran_order": False, "shape": (self._starts[-1],)}
                    npy.write_array_header_1_0(member, header)
                    shutil.copyfileobj(part, member)


class Hdf5Writer:
    """Writes an .h5 file with one `EventData` of NIR."""

    def __init__(self, path: Path, name: str, source: str, neuron: MbeNeuron, expected: Expected) -> None:
        self._file: Any = required("h5py", "an HDF5 file of spikes", "events").File(path, "w")
        self._file.attrs["__type__"] = "NIRGraphData"
        node = self._file.create_group(f"nodes/{path.stem}")
        node.attrs["__type__"] = "NIRNodeData"
        events = node.create_group("observables/spikes")
        events.attrs.update({"__type__": "EventData", "n_neurons": expected.neurons, "t_max": neuron.timesteps * DT})
        size = (len(expected.events), max(expected.events, default=0))
        chunks = (1, min(max(size[1], 1), 1 << 16)) if size[1] else None
        packed = {"compression": "gzip", "chunks": chunks} if size[1] else {}
        index = np.dtype(f"i{expected.index_type.itemsize}")
        self._index = events.create_dataset("idx", size, index, fillvalue=-1, **packed)
        self._time = events.create_dataset("time", size, np.float32, fillvalue=np.inf, **packed)
        for key, array in fixed_arrays(name, source, neuron).items():
            node.create_dataset(f"neuron/{key}", data=array if array.dtype.kind != "U" else str(array))
        self._samples = 0

    @staticmethod
    def size(neuron: MbeNeuron, expected: Expected) -> int:
        """Bytes of the file before compression."""
        slots = len(expected.events) * max(expected.events, default=0)
        return slots * (4 + expected.index_type.itemsize) + _fixed_size(neuron)

    def add(self, events: SampleEvents) -> None:
        """Write the events of the next sample."""
        count = len(events.time)
        if count:
            self._index[self._samples, :count] = events.neuron
            self._time[self._samples, :count] = events.time.astype(np.float32) * np.float32(DT)
        self._samples += 1

    def __enter__(self) -> Hdf5Writer:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None, /
    ) -> None:
        self._file.close()


SpikeWriter: TypeAlias = "NpzWriter | Hdf5Writer"
"""A file that takes the events of one sample after the other."""


class Format(NamedTuple):
    """A format of files.

    Attributes:
        suffix: suffix of their names.
        writer: writes one.
    """

    suffix: str
    writer: type[NpzWriter] | type[Hdf5Writer]


WRITERS = {"npz": Format(".npz", NpzWriter), "hdf5": Format(".h5", Hdf5Writer)}
"""The formats by name."""


def _fixed_size(neuron: MbeNeuron) -> int:
    """Bytes of what a file has beside its events."""
    return sum(array.nbytes for array in fixed_arrays("", "", neuron).values()) + HEADER
