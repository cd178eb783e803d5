# SPDX-License-Identifier: Apache-2.0
"""Spike trains of one neuron on samples, as events in the order of time, and the .npz file that holds them.

A layer of E elements, N bases and P populations (2 where the neuron is odd: one for each sign) has E * N * P neurons:

    neuron = (element * N + basis) * P + population        element in row-major order, population 1 that of negative x

Events are ordered by sample, then by time step, then by neuron.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float32
from onnx_snn.data.npz import read_npz
from onnx_snn.errors import CalibrationError
from onnx_snn.events.observed_neurons import FiredNeuron
from onnx_snn.extras import required
from onnx_snn.neurons.mbe import MbeNeuron

DT = 1.0
"""Length of a time step in the files of NIR; the events of step t are at time t."""


class SampleEvents(NamedTuple):
    """The events of one sample.

    Attributes:
        time: time steps, uint16 [events], ascending.
        neuron: neurons, int64 [events], ascending within a time step.
        counts: events by time step and basis, int64 [S, N].
        shape: shape of the tensor that the neuron is evaluated on.
    """

    time: NDArray[np.uint16]
    neuron: NDArray[np.int64]
    counts: NDArray[np.int64]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, fired: FiredNeuron) -> SampleEvents:
        """The events of a neuron in a run on one sample."""
        trains, bases = fired.trains(), fired.neuron.bases
        time, element, basis = np.nonzero(trains.transpose(0, 2, 1))
        neuron = element * bases + basis
        if fired.neuron.polarity:
            neuron = 2 * neuron + (fired.arguments.ravel() < 0)[element]
        return cls(time.astype(np.uint16), neuron, trains.sum(axis=2), fired.arguments.shape)


@dataclass(frozen=True, eq=False)
class SpikeRecord:
    """Spike trains of one neuron on samples.

    Attributes:
        name: name of the neuron: that of its node, followed by its own where the node has several.
        source: operation that the node replaces, such as "gelu"; "identity" for a code.
        timesteps: number of time steps S, that of a saturation spike included.
        bases: number of bases N.
        populations: 2 for an odd neuron, else 1.
        gate: whether time step 0 is that of the saturation spike.
        intensity: what a spike adds to the sum of its basis, float32 [S, N].
        weight: readout weight of each basis, float32 [N].
        bias: output without spikes, float32 scalar.
        shape: shape of the tensor that the neuron is evaluated on, for each sample, int64 [samples, rank].
        sample: where the events of each sample begin, and the number of all, int64 [samples + 1].
        time: time step of each event, uint16 [events].
        neuron: neuron of each event, uint32 or uint64 [events].
    """

    name: str
    source: str
    timesteps: int
    bases: int
    populations: int
    gate: bool
    intensity: Float32
    weight: Float32
    bias: Float32
    shape: NDArray[np.int64]
    sample: NDArray[np.int64]
    time: NDArray[np.uint16]
    neuron: NDArray[Any]

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.sample) - 1

    @property
    def neurons(self) -> int:
        """Largest number of neurons of a sample."""
        elements = int(self.shape.prod(axis=1).max(initial=0))
        return elements * self.bases * self.populations

    def trains(self, sample: int) -> NDArray[np.bool_]:
        """Spikes of one sample by time step, basis and element, bool [S, N, elements]; the sign is not in them."""
        elements = int(self.shape[sample].prod())
        events = slice(self.sample[sample], self.sample[sample + 1])
        element, basis = np.divmod(self.neuron[events].astype(np.int64) // self.populations, self.bases)
        trains = np.zeros((self.timesteps, self.bases, elements), bool)
        trains[self.time[events], basis, element] = True
        return trains

    def event_data(self) -> Any:
        """All events as `nir.EventData`: indices and times [samples, events], -1 and infinity where there are fewer.

        Raises:
            ConfigError: the package nir is not installed.
        """
        most = int(np.diff(self.sample).max(initial=0))
        index, time = np.full((self.samples, most), -1), np.full((self.samples, most), np.inf)
        for row in range(self.samples):
            events = slice(self.sample[row], self.sample[row + 1])
            count = self.sample[row + 1] - self.sample[row]
            index[row, :count], time[row, :count] = self.neuron[events], self.time[events] * DT
        return _nir().EventData(index, time, self.neurons, self.timesteps * DT)

    def time_gridded_data(self) -> Any:
        """All events as `nir.TimeGriddedData`: bool [samples, S, neurons].

        Raises:
            ConfigError: the package nir is not installed.
        """
        grid = np.zeros((self.samples, self.timesteps, self.neurons), bool)
        row = np.repeat(np.arange(self.samples), np.diff(self.sample))
        grid[row, self.time, self.neuron] = True
        return _nir().TimeGriddedData(grid, DT)


def fixed_arrays(name: str, source: str, neuron: MbeNeuron) -> dict[str, NDArray[Any]]:
    """The arrays of a record that do not depend on samples."""
    sizes = neuron.sizes
    return {
        "name": np.array(name),
        "source": np.array(source),
        "timesteps": np.array(neuron.timesteps),
        "bases": np.array(neuron.bases),
        "populations": np.array(1 + neuron.polarity),
        "gate": np.array(sizes is not None and sizes.gate),
        "intensity": neuron.intensity,
        "weight": neuron.weight,
        "bias": neuron.bias,
    }


def read_spikes(path: str | Path) -> SpikeRecord:
    """Read a .npz file that `onnx-snn spikes` wrote.

    Raises:
        CalibrationError: the file cannot be read, or is none of these.
    """
    arrays: dict[str, Any] = read_npz(Path(path))
    missing = sorted({field.name for field in fields(SpikeRecord)} - arrays.keys())
    if missing:
        raise CalibrationError(f"'{path}' holds no spike trains: it lacks {missing}; write them with: onnx-snn spikes")
    try:
        scalars = {
            name: arrays[name].item() for name in ("name", "source", "timesteps", "bases", "populations", "gate")
        }
        record = SpikeRecord(**{**arrays, **scalars})
        fits = _fits(record)
    except (TypeError, ValueError, IndexError) as error:
        raise CalibrationError(f"'{path}' is no file of spike trains: {error}; write it again") from error
    if not fits:
        raise CalibrationError(f"'{path}' is damaged: its arrays do not belong together; write it again")
    return record


def _fits(record: SpikeRecord) -> bool:
    """Whether all events are those of a sample, a time step and a neuron that there are."""
    counts = np.diff(record.sample)
    if record.sample[0] or (counts < 0).any() or record.sample[-1] != record.time.size or record.time.ndim != 1:
        return False
    if record.neuron.shape != record.time.shape or len(record.shape) != record.samples or record.shape.ndim != 2:
        return False
    neurons = record.shape.prod(axis=1) * (record.bases * record.populations)
    return bool((record.time < record.timesteps).all() and (record.neuron < np.repeat(neurons, counts)).all())


def _nir() -> Any:
    return required("nir", "NIRData", "events")
