# SPDX-License-Identifier: Apache-2.0
"""The Multi-basis Exponential Decay (MBE) neuron: its parameters and its NumPy reference.

A neuron approximates a scalar function with N bases over S time steps. With u, s, o the membrane potential,
spike and accumulated intensity of basis n (arXiv 2508.07710, extended by a resting potential a basis):

    u_n    = (x - u_rest_n) * gain_n                    float32: subtract, then multiply, computed once
    s_n[t] = u_n >= threshold[t, n]
    u_n   -= reset[t, n]      where s_n[t]
    o_n   += intensity[t, n]  where s_n[t]             for t = 0 .. S-1
    y      = bias + sum_n weight_n * o_n               exact sum, rounded once to float32; x where x is NaN

Intensities, weights and bias lie on dyadic grids, so that the sum is exact in float64 in whichever order it
is taken: every implementation of the neuron returns the same bits. `MbeNeuron` refuses parameters that break
this.

**Halving** kernels, threshold = reset = intensity = 2**-t, make basis n a T-bit successive-approximation
encoder of one clipped ramp, whose loop has a closed form with the same bits:

    k_n = clip(floor(u_n * 2**(T-1)), 0, 2**T - 1)
    o_n = k_n * 2**-(T-1)

Where threshold = reset = intensity with other **sizes**, a spike likewise takes from the membrane what it adds to the
intensity. An optional **gate**, one leading step with their sum as threshold and intensity and reset = +inf, lets a
saturated basis fire once instead of T times; the output is identical.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnx_snn.errors import NeuronError
from onnx_snn.neurons.parameter_checks import check_exact_sums, check_values
from onnx_snn.neurons.step_kernels import halving_kernels, size_kernels

Float32 = NDArray[np.float32]

MAX_TIMESTEPS = 16
"""Largest number of time steps T: levels k_n up to 2**16 - 1 keep every weighted sum inside the 53 bits of float64."""

UNSCALED: Float32 = np.ones(1, np.float32)
"""Scale input of a neuron that does not rescale: float32 [1], 1."""


class Halving(NamedTuple):
    """What identifies halving kernels: the number T of time steps without the gate, whether one leads."""

    timesteps: int
    gate: bool


class Sizes(NamedTuple):
    """What each spike takes from the membrane and adds to the intensity, float32 [T, N], and whether a gate leads."""

    steps: Float32
    gate: bool


class Response(NamedTuple):
    """Output of a neuron and its spikes per time step and basis, summed over the elements of the input."""

    y: Float32
    spikes: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MbeNeuron:
    """Parameters of one MBE neuron with N bases and S time steps.

    Attributes:
        u_rest: float32 [N], resting potential of each basis, in units of the input.
        gain: float32 [N], charge per unit of input, not 0; its sign orients the basis.
        threshold: float32 [S, N].
        reset: float32 [S, N], subtracted from the membrane when it fires; +inf silences the basis.
        intensity: float32 [S, N], what one spike adds.
        weight: float32 [N], readout weight of each basis.
        bias: float32 scalar, output while no basis fires.
        polarity: 0 for one bank on x; 1 for two mirrored populations (odd function: the bank sees the
            magnitude of x, the sign is restored).

    Raises:
        NeuronError: shapes disagree, a value is out of its range, or sums would not be exact.
    """

    u_rest: Float32
    gain: Float32
    threshold: Float32
    reset: Float32
    intensity: Float32
    weight: Float32
    bias: Float32
    polarity: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "polarity":
                # Adding +0 turns -0 into +0: a silent neuron answers +0 whatever the order of the sum.
                array = np.asarray(np.asarray(getattr(self, field.name), np.float32) + np.float32(0))
                array.flags.writeable = False
                object.__setattr__(self, field.name, array)
        _check_shapes(self)
        check_values(self.tensors())
        check_exact_sums(self.intensity, self.weight, self.bias)

    @property
    def bases(self) -> int:
        """Number of bases N."""
        return len(self.u_rest)

    @property
    def timesteps(self) -> int:
        """Number of time steps S, the gate's included."""
        return len(self.threshold)

    @property
    def slots(self) -> int:
        """Number of (basis, time step) pairs in which a spike can fall."""
        return self.bases * self.timesteps

    @property
    def parameters(self) -> int:
        """Count of stored numbers."""
        return sum(array.size for array in self.tensors().values())

    @cached_property
    def halving(self) -> Halving | None:
        """The closed form's time steps and gate, or None when the kernels are not halving."""
        for gate in (False, True):
            timesteps = self.timesteps - gate
            if 1 <= timesteps <= MAX_TIMESTEPS:
                kernels = halving_kernels(self.bases, timesteps, gate=gate)
                if all(np.array_equal(getattr(self, name), kernel) for name, kernel in kernels.items()):
                    return Halving(timesteps, gate)
        return None

    @cached_property
    def sizes(self) -> Sizes | None:
        """Sizes of the steps, or None when a spike does not add what it takes."""
        for gate in (False, True):
            steps = self.threshold[int(gate) :]
            if len(steps) and (steps > 0).all():
                kernels = size_kernels(steps, gate=gate)
                if all(np.array_equal(getattr(self, name), kernel) for name, kernel in kernels.items()):
                    return Sizes(steps, gate)
        return None

    def tensors(self) -> dict[str, Float32]:
        """The parameter tensors by field name, in the order of the operator's inputs."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "polarity"}

    def __call__(self, x: ArrayLike, scale: ArrayLike = UNSCALED) -> Float32:
        """Output of the neuron for `x` [any shape] in float32, by the closed form where it exists."""
        if self.halving is None:
            return time_loop(self, x, scale).y
        x = np.asarray(x, np.float32)
        return _readout_of_levels(self, _levels(self, x, scale), x, scale)


def halving_neuron(
    u_rest: ArrayLike,
    gain: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike,
    timesteps: int,
    *,
    gate: bool = False,
    polarity: int = 0,
) -> MbeNeuron:
    """A neuron with halving kernels: `u_rest`, `gain`, `weight` [N], T = `timesteps` (S = T + `gate`)."""
    kernels: dict[str, Any] = halving_kernels(np.size(u_rest), timesteps, gate=gate)
    return MbeNeuron(
        u_rest=np.asarray(u_rest, np.float32),
        gain=np.asarray(gain, np.float32),
        weight=np.asarray(weight, np.float32),
        bias=np.asarray(bias, np.float32),
        polarity=polarity,
        **kernels,
    )


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def time_loop(neuron: MbeNeuron, x: ArrayLike, scale: ArrayLike = UNSCALED) -> Response:
    """The definition: run the neuron step by step on `x` [any shape], float32.

    `scale` holds powers of two and broadcasts against `x`: the neuron sees x / scale and answers y * scale.
    """
    x = np.asarray(x, np.float32)
    u = _membrane(neuron, x, scale)
    o = np.zeros_like(u)
    spikes = np.zeros(neuron.threshold.shape, np.int64)
    for t, s in enumerate(_spike_trains(neuron, u)):
        o = np.where(s, o + neuron.intensity[t][:, None], o)
        spikes[t] = s.sum(axis=1)
    return Response(_readout(neuron, neuron.weight.astype(np.float64), o, x, scale), spikes)


def closed_form(neuron: MbeNeuron, x: ArrayLike, scale: ArrayLike = UNSCALED) -> Response:
    """What `time_loop` returns, without the loop, for a neuron with halving kernels.

    Raises:
        NeuronError: the kernels are not halving.
    """
    if neuron.halving is None:
        raise NeuronError("closed_form needs halving kernels (threshold = reset = intensity = 2**-t)")
    x = np.asarray(x, np.float32)
    k = _levels(neuron, x, scale)
    return Response(_readout_of_levels(neuron, k, x, scale), _spikes_of_levels(k.astype(np.int64), *neuron.halving))


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def fired_slots(neuron: MbeNeuron, x: ArrayLike) -> NDArray[np.int64]:
    """Spikes that each element of `x` [any shape] fires over all time steps and bases, int64 in the shape of `x`."""
    x = np.asarray(x, np.float32)
    trains = _spike_trains(neuron, _membrane(neuron, x, UNSCALED))
    return sum((s.sum(axis=0) for s in trains), np.zeros(x.size, np.int64)).reshape(x.shape)


def spike_trains(neuron: MbeNeuron, x: ArrayLike) -> NDArray[np.bool_]:
    """Which slots each element of `x` [any shape] fires, bool [S, N, elements]."""
    x = np.asarray(x, np.float32)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return np.stack(list(_spike_trains(neuron, _membrane(neuron, x, UNSCALED))))


def _spike_trains(neuron: MbeNeuron, u: Float32) -> Iterator[NDArray[np.bool_]]:
    """Spikes [N, elements] of one time step after the other, from the initial membrane potentials `u`."""
    for threshold, reset in zip(neuron.threshold, neuron.reset, strict=True):
        s = u >= threshold[:, None]
        u = np.where(s, u - reset[:, None], u)
        yield s


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def _levels(neuron: MbeNeuron, x: Float32, scale: ArrayLike) -> Float32:
    """Levels k_n [N, elements] of a halving neuron, whole numbers in float32."""
    assert neuron.halving is not None, "callers have seen to it"
    timesteps = neuron.halving.timesteps
    raised = np.floor(_membrane(neuron, x, scale) * np.float32(2.0 ** (timesteps - 1)))
    # fmax and fmin turn the NaN that x carries into level 0: a NaN never reaches a threshold.
    k: Float32 = np.fmin(np.fmax(raised, np.float32(0)), np.float32(2**timesteps - 1))
    return k


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def _readout_of_levels(neuron: MbeNeuron, k: Float32, x: Float32, scale: ArrayLike) -> Float32:
    """Output of a halving neuron at levels `k` [N, elements]: o = k * 2**-(T-1), taken into the weights."""
    assert neuron.halving is not None, "callers have seen to it"
    weight = neuron.weight.astype(np.float64) * 2.0 ** (1 - neuron.halving.timesteps)
    return _readout(neuron, weight, k, x, scale)


def _spikes_of_levels(k: NDArray[np.int64], timesteps: int, gate: bool) -> NDArray[np.int64]:
    """Spikes [S, N] of levels `k` [N, elements]: step t fires where bit T-1-t of the level is set."""
    saturated = k == 2**timesteps - 1
    firing = np.where(saturated, 0, k) if gate else k
    bits = [(firing >> (timesteps - 1 - t) & 1).sum(axis=1) for t in range(timesteps)]
    return np.array([saturated.sum(axis=1), *bits] if gate else bits, np.int64)


def _membrane(neuron: MbeNeuron, x: Float32, scale: ArrayLike) -> Float32:
    """Initial membrane potentials [N, elements of x], float32."""
    scaled: Float32 = np.divide(x, scale, dtype=np.float32).ravel()
    if neuron.polarity:
        scaled = np.where(scaled < 0, -scaled, scaled)
    return (scaled[None, :] - neuron.u_rest[:, None]) * neuron.gain[:, None]


def _readout(neuron: MbeNeuron, weight: NDArray[np.float64], o: Float32, x: Float32, scale: ArrayLike) -> Float32:
    """Sum bias + weight @ o, rounded once, in the shape, sign and scale of `x`."""
    y = (neuron.bias.astype(np.float64) + weight @ o.astype(np.float64)).astype(np.float32).reshape(x.shape)
    scale = np.asarray(scale, np.float32)
    if neuron.polarity:
        y = np.where(x / scale < 0, np.float32(0) - y, y)
    return np.where(np.isnan(x), x, y * scale).reshape(x.shape)


def _check_shapes(neuron: MbeNeuron) -> None:
    if neuron.u_rest.ndim != 1 or neuron.bases == 0:
        raise NeuronError(f"u_rest has shape {neuron.u_rest.shape}; expected [N] with N >= 1")
    if neuron.threshold.ndim != 2 or neuron.timesteps == 0:
        raise NeuronError(f"threshold has shape {neuron.threshold.shape}; expected [S, N] with S >= 1")
    expected = {"gain": 1, "weight": 1, "threshold": 2, "reset": 2, "intensity": 2, "bias": 0}
    for name, rank in expected.items():
        shape = (neuron.timesteps, neuron.bases)[2 - rank :]
        if getattr(neuron, name).shape != shape:
            raise NeuronError(f"{name} has shape {getattr(neuron, name).shape}; expected {shape}")
    if neuron.polarity not in (0, 1):
        raise NeuronError(f"polarity is {neuron.polarity}; expected 0 (one bank) or 1 (odd)")
