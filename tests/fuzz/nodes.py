# SPDX-License-Identifier: Apache-2.0
"""Random nodes of every spiking operator, with the outputs that NumPy gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from composites import DEVIATION, EXP2, RECIPROCAL, RSQRT
from numpy.typing import ArrayLike, NDArray
from portable import parameters
from strategies import SPECIAL, critical_inputs

from onnx_snn.arrays import Float32
from onnx_snn.neurons.composite import spiking_layer_normalization, spiking_rms_normalization, spiking_softmax
from onnx_snn.neurons.mbe import MAX_TIMESTEPS, UNSCALED, MbeNeuron, halving_neuron, time_loop
from onnx_snn.neurons.opset import (
    MBE_NEURON,
    SPIKING_LAYER_NORMALIZATION,
    SPIKING_RMS_NORMALIZATION,
    SPIKING_SOFTMAX,
    Operator,
)

ELEMENTS = 96
"""Number of inputs of a neuron."""

EPSILONS = (0.0, 1e-45, 1e-38, 1e-12, 1e-5, 1.0, 3e38)


class Node(NamedTuple):
    """A node with its inputs.

    Attributes:
        operator: its operator.
        neurons: its neurons, in the order of their inputs.
        feeds: all inputs by name.
    """

    operator: Operator
    neurons: tuple[MbeNeuron, ...]
    feeds: dict[str, NDArray[Any]]

    @property
    def polarity(self) -> int:
        """The attribute, which is that of the first neuron."""
        return self.neurons[0].polarity


def random_neuron(random: np.random.Generator, polarity: int | None = None) -> MbeNeuron:
    """A neuron of any kind: halving thresholds, exponential decay, or any numbers.

    Raises:
        NeuronError: its sums would not be exact.
    """
    bases, timesteps = int(random.choice([1, 2, 3, 4, 8, 13, 32])), int(random.integers(1, MAX_TIMESTEPS + 1))
    drawn, unit = int(random.integers(2)), 2.0 ** int(random.integers(-20, 8))
    polarity = drawn if polarity is None else polarity
    u_rest = random.normal(0, 4, bases)
    gain = random.choice([-1.0, 1.0], bases) * random.uniform(0.5, 2.0, bases) * 2.0 ** int(random.integers(-8, 9))
    weight = random.integers(-(1 << 12), 1 << 12, bases) * unit
    bias = float(random.integers(-(1 << 12), 1 << 12) * unit)
    if random.random() < 0.5:
        return halving_neuron(u_rest, gain, weight, bias, timesteps, gate=bool(random.integers(2)), polarity=polarity)
    threshold, reset, intensity = _kernels(random, bases, timesteps)
    return MbeNeuron(
        u_rest=u_rest,
        gain=gain,
        threshold=threshold,
        reset=reset,
        intensity=intensity,
        weight=weight,
        bias=np.float32(bias),
        polarity=polarity,
    )


def _kernels(random: np.random.Generator, bases: int, timesteps: int) -> tuple[Float32, Float32, Float32]:
    steps = np.arange(timesteps)[:, None]
    if random.random() < 0.5:
        decay = random.uniform(0.25, 0.95, bases) ** steps
        return decay, decay, np.round(decay * 1024) / 1024
    reset = random.uniform(-4, 4, (timesteps, bases))
    reset[random.random(reset.shape) < 0.1] = np.inf
    return random.uniform(-4, 4, (timesteps, bases)), reset, random.integers(-1024, 1024, (timesteps, bases)) / 1024


def random_node(random: np.random.Generator) -> Node:
    """A node of any operator: half of them neurons, the others composites.

    Raises:
        NeuronError: sums of a neuron would not be exact.
    """
    kind = random.choice(["neuron", "softmax", "layer", "rms"], p=[0.5, 0.2, 0.15, 0.15])
    if kind == "neuron":
        return _neuron_node(random)
    typical = random.random() < 0.5
    x = _rows(random)
    if kind == "softmax":
        neurons = (EXP2, RECIPROCAL) if typical else (random_neuron(random, 0), random_neuron(random, 0))
        feeds = parameters(neurons[0], "exp2_") | parameters(neurons[1], "reciprocal_")
        return Node(SPIKING_SOFTMAX, neurons, {"x": x, **feeds})
    neurons = (DEVIATION, RSQRT) if typical else (random_neuron(random), random_neuron(random, 0))
    feeds = {"x": x, "gamma": _values(random, x.shape), "epsilon": np.array(random.choice(EPSILONS), np.float32)}
    feeds |= {"deviation_scale": _powers(random, x.shape)}
    feeds |= parameters(neurons[0], "deviation_") | parameters(neurons[1], "rsqrt_")
    if kind == "rms":
        return Node(SPIKING_RMS_NORMALIZATION, neurons, feeds)
    return Node(SPIKING_LAYER_NORMALIZATION, neurons, feeds | {"beta": _values(random, x.shape)})


def _neuron_node(random: np.random.Generator) -> Node:
    neuron = random_neuron(random)
    x = np.asarray(random.choice(critical_inputs(neuron, random), _shape(random)), np.float32)
    scale = _powers(random, x.shape) if random.random() < 0.5 else UNSCALED
    return Node(MBE_NEURON, (neuron,), {"x": x, **parameters(neuron), "scale": scale})


def _shape(random: np.random.Generator) -> tuple[int, ...]:
    """Often one of `ELEMENTS`, else any, empty and scalar ones among them, and a few that several tasks share."""
    kind = random.random()
    if kind < 0.7:
        return (2, ELEMENTS // 2)
    if kind < 0.72:
        return (int(random.integers(1, 4)), int(random.integers(4000, 6000)))
    return tuple(int(side) for side in random.integers(0 if kind > 0.95 else 1, 7, int(random.integers(5))))


def _rows(random: np.random.Generator) -> Float32:
    """Rows of one magnitude each, denormal to overflowing, some masked, some with special values, some empty."""
    shape = tuple(int(side) for side in random.integers(0 if random.random() < 0.05 else 1, 4, random.integers(4)))
    length = int(random.choice([0, 1, 2, 3, 7, 8, 9, 16, 31, 33, 64, 65, 197], p=[0.04, *[0.08] * 12]))
    exponents = (
        random.integers(-3, 7, (*shape, 1)) if random.random() < 0.7 else random.integers(-148, 127, (*shape, 1))
    )
    x = random.normal(0, 1, (*shape, length)) * np.exp2(exponents.astype(np.float64))
    if random.random() < 0.3:
        x = np.where(random.random(x.shape) < 0.5, random.choice([0, -np.inf, np.finfo(np.float32).min]), x)
    if random.random() < 0.2:
        x = np.where(random.random(x.shape) < 0.1, random.choice(SPECIAL, x.shape), x)
    return x.astype(np.float32)


def _broadcast(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts into `shape`, with no more axes."""
    sides = tuple(side if random.random() < 0.6 else 1 for side in shape)
    return sides[int(random.integers(len(sides) + 1)) :] or (1,) * min(1, len(shape))


def _values(random: np.random.Generator, shape: tuple[int, ...]) -> Float32:
    values = np.asarray(random.normal(1, 1, _broadcast(random, shape)))
    special = random.random(values.shape) < (0.2 if random.random() < 0.1 else 0.0)
    return np.where(special, random.choice(SPECIAL, values.shape), values).astype(np.float32)


def _powers(random: np.random.Generator, shape: tuple[int, ...]) -> Float32:
    sides = _broadcast(random, shape) or (1,)
    most = 12 if random.random() < 0.8 else 126
    return np.exp2(random.integers(-most, most + 1, sides)).astype(np.float32)


CANCELLED = 2.0**24
"""Sum of magnitudes over the magnitude of the sum, from which on the order of a sum may show in float32."""


def cancels(node: Node) -> bool:
    """Whether the mean of a row cancels so much that its bits depend on the order of summation, which is open."""
    if node.operator is not SPIKING_LAYER_NORMALIZATION:
        return False
    x = node.feeds["x"].astype(np.float64)
    return bool((CANCELLED * np.abs(x.sum(axis=-1)) < np.abs(x).sum(axis=-1)).any())


class Counting:
    """A neuron that adds up its spikes, as `onnx_snn.neurons.composite` calls it."""

    def __init__(self, neuron: MbeNeuron) -> None:
        self._neuron = neuron
        self.spikes = np.zeros(neuron.threshold.shape, np.int64)

    def __call__(self, x: ArrayLike, scale: ArrayLike = UNSCALED, /) -> Float32:
        """The output for `x`."""
        answer = time_loop(self._neuron, np.asarray(x, np.float32), np.asarray(scale, np.float32))
        self.spikes += answer.spikes
        return answer.y


def expected(node: Node) -> dict[str, NDArray[Any]]:
    """The outputs by name, spikes included."""
    counting, feeds = [Counting(neuron) for neuron in node.neurons], node.feeds
    definitions: dict[str, Callable[[], Float32]] = {
        MBE_NEURON.name: lambda: counting[0](feeds["x"], feeds["scale"]),
        SPIKING_SOFTMAX.name: lambda: spiking_softmax(feeds["x"], *counting),
        SPIKING_LAYER_NORMALIZATION.name: lambda: spiking_layer_normalization(
            feeds["x"], feeds["gamma"], feeds["beta"], feeds["epsilon"], *counting, feeds["deviation_scale"]
        ),
        SPIKING_RMS_NORMALIZATION.name: lambda: spiking_rms_normalization(
            feeds["x"], feeds["gamma"], feeds["epsilon"], *counting, feeds["deviation_scale"]
        ),
    }
    y = definitions[node.operator.name]() if feeds["x"].size else feeds["x"]
    return dict(zip(node.operator.outputs(metered=True), (y, *(neuron.spikes for neuron in counting)), strict=True))
