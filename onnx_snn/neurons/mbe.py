# SPDX-License-Identifier: Apache-2.0
"""The Multi-basis Exponential Decay (MBE) neuron: its parameters and its NumPy reference.

A neuron approximates a scalar function with N bases over S time steps. With u, s, o the membrane potential,
spike and accumulated intensity of basis n (arXiv 2508.07710, extended by a resting potential for each basis):

    u_n    = (x - u_rest_n) * gain_n                    float32: subtract, then multiply, computed once
    s_n[t] = u_n >= threshold[t, n]
    u_n   -= reset[t, n]      where s_n[t]
    o_n   += intensity[t, n]  where s_n[t]             for t = 0 .. S-1
    y      = bias + sum_n weight_n * o_n               exact sum, rounded once to float32; x where x is NaN

Intensities, weights and bias are multiples of powers of two that keep the sum exact in float64 in any order of
summation: every implementation of the neuron returns the same bits. `MbeNeuron` refuses other parameters.

**Halving** kernels, threshold = reset = intensity = 2**-t, make basis n a T-bit successive-approximation
encoder of one clipped ramp, whose loop has a closed form with the same bits:

    k_n = clip(floor(u_n * 2**(T-1)), 0, 2**T - 1)
    o_n = k_n * 2**-(T-1)

Other kernels with threshold = reset = intensity have step **sizes** too: a spike subtracts from the membrane potential
what it adds to the intensity. An optional **gate** is a saturation spike: one leading step with the sum of the sizes as
threshold and intensity, and reset = +inf. A saturated basis then fires once instead of T times, with the same output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnx_snn.arrays import Float32
from onnx_snn.errors import NeuronError
from onnx_snn.neurons.parameter_checks import check_exact_sums, check_values
from onnx_snn.neurons.step_kernels import halving_kernels, size_kernels

MAX_TIMESTEPS = 16
"""Largest number of time steps T: levels k_n up to 2**16 - 1 keep every weighted sum inside the 53 bits of float64."""

UNSCALED: Float32 = np.ones(1, np.float32)
"""Scale of a neuron without channel scales: float32 [1], equal to 1."""


class Halving(NamedTuple):
    """Halving kernels: the number T of time steps without the gate, and whether a gate step leads."""

    timesteps: int
    gate: bool


class Sizes(NamedTuple):
    """Kernels with threshold = reset = intensity: the step sizes, float32 [T, N], and whether a gate step leads."""

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
        u_rest: resting potential of each basis in units of the input, float32 [N].
        gain: membrane potential per unit of input, float32 [N], not 0; its sign is the direction of the basis.
        threshold: firing threshold of each step and basis, float32 [S, N].
        reset: decrease of the membrane potential by a spike, float32 [S, N]; +inf silences the basis.
        intensity: increase of the accumulated intensity by a spike, float32 [S, N].
        weight: readout weight of each basis, float32 [N].
        bias: output while no basis fires, float32 scalar.
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
                # Adding +0 turns -0 into +0, so that the output of a silent neuron is +0 in any order of summation.
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
        """Number of time steps S, including the gate."""
        return len(self.threshold)

    @property
    def slots(self) -> int:
        """Number of slots: pairs of basis and time step, in each of which an element can fire one spike."""
        return self.bases * self.timesteps

    @property
    def parameters(self) -> int:
        """Number of stored parameters."""
        return sum(array.size for array in self.tensors().values())

    @cached_property
    def halving(self) -> Halving | None:
        """The halving kernels, for which a closed form exists; None for other kernels."""
        for gate in (False, True):
            timesteps = self.timesteps - gate
            if 1 <= timesteps <= MAX_TIMESTEPS:
                kernels = halving_kernels(self.bases, timesteps, gate=gate)
                if all(np.array_equal(getattr(self, name), kernel) for name, kernel in kernels.items()):
                    return Halving(timesteps, gate)
        return None

    @cached_property
    def sizes(self) -> Sizes | None:
        """The step sizes; None unless threshold = reset = intensity."""
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
    """Run the neuron step by step on `x` [any shape], float32: the definition of its response.

    `scale` [broadcastable against `x`] holds powers of two: the output is f(x / scale) * scale.
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
    """The response of a neuron with halving kernels without a loop; it equals that of `time_loop`.

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
    """Number of spikes of each element of `x` [any shape] over all time steps and bases, int64 in the shape of `x`."""
    x = np.asarray(x, np.float32)
    trains = _spike_trains(neuron, _membrane(neuron, x, UNSCALED))
    return sum((s.sum(axis=0) for s in trains), np.zeros(x.size, np.int64)).reshape(x.shape)


def spike_trains(neuron: MbeNeuron, x: ArrayLike) -> NDArray[np.bool_]:
    """Spikes of each element of `x` [any shape] by time step and basis, bool [S, N, elements]."""
    x = np.asarray(x, np.float32)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return np.stack(list(_spike_trains(neuron, _membrane(neuron, x, UNSCALED))))


def _spike_trains(neuron: MbeNeuron, u: Float32) -> Iterator[NDArray[np.bool_]]:
    """Yield the spikes [N, elements] of each time step, from the initial membrane potentials `u` [N, elements]."""
    for threshold, reset in zip(neuron.threshold, neuron.reset, strict=True):
        s = u >= threshold[:, None]
        u = np.where(s, u - reset[:, None], u)
        yield s


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def _levels(neuron: MbeNeuron, x: Float32, scale: ArrayLike) -> Float32:
    """Levels k_n [N, elements] of a halving neuron, whole numbers in float32."""
    assert neuron.halving is not None, "callers check it"
    timesteps = neuron.halving.timesteps
    unclipped = np.floor(_membrane(neuron, x, scale) * np.float32(2.0 ** (timesteps - 1)))
    # fmax and fmin map NaN to level 0: a NaN never reaches a threshold.
    k: Float32 = np.fmin(np.fmax(unclipped, np.float32(0)), np.float32(2**timesteps - 1))
    return k


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def _readout_of_levels(neuron: MbeNeuron, k: Float32, x: Float32, scale: ArrayLike) -> Float32:
    """Output of a halving neuron at levels `k` [N, elements], where o = k * 2**-(T-1); weights include the factor."""
    assert neuron.halving is not None, "callers check it"
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
    """bias + weight @ o, rounded once to float32, with the shape, sign and scale of `x`; x where x is NaN."""
    y = (neuron.bias.astype(np.float64) + weight @ o.astype(np.float64)).astype(np.float32).reshape(x.shape)
    scale = np.asarray(scale, np.float32)
    if neuron.polarity:
        y = np.where(x / scale < 0, np.float32(0) - y, y)
    return np.where(np.isnan(x), x, y * scale).reshape(x.shape)


def _check_shapes(neuron: MbeNeuron) -> None:
    """Raise `NeuronError` unless the shapes of the parameters agree and `polarity` is 0 or 1."""
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
