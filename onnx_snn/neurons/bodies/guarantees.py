# SPDX-License-Identifier: Apache-2.0
"""What the neurons of a file have in common, by which its function bodies can be cheaper."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from onnx_snn.neurons.mbe import MbeNeuron, spike_trains, time_loop
from onnx_snn.neurons.parameter_checks import sums_are_exact_in_float32
from onnx_snn.neurons.roles import NeuronRole

STEP_UNIT = 2.0**-20
"""Unit of the step sizes of a single basis: sizes that are not multiples of it have no closed form."""

MOST_CHARGE = 2.0**4 - STEP_UNIT
"""Largest sum of the step sizes of a single basis: below it float32 holds every multiple of `STEP_UNIT`."""

_LARGEST_WEIGHT = 2.0**96
"""Weights below it have finite products in float32 with every level of up to 16 time steps, in 4096 bases."""

_LARGEST_CODE = 2.0**60
"""Sums over rows of what is below it, and of its squares, are finite in float32."""

_SMALLEST_EXPONENTIAL = 2.0**-20
"""Row sums of exponentials that are not smaller are regular."""

_SMALLEST_NORMAL = np.float32(2.0**-126)
"""The smallest positive normal float32."""


@dataclass(frozen=True)
class Guarantees:
    """What function bodies may rely on, because all neurons of the file have it.

    Attributes:
        float32_sums: sums of weighted intensities are exact in float32, not only in float64.
        silent_at_rest: odd neurons answer 0 to every denormal number, so that their sign may be any number there.
        ungated_singles: neurons of one basis have no saturation spike.
        halving: neurons of functions, operands and deviations are halving.
        regular_primitives: neurons of 2^x, 1/x and 1/sqrt(x) are halving with several bases, those of 2^x answer
            positive numbers, and codes of deviations are so small that variances are finite: what is inverted is never
            infinite, and 0 in rows of zeros only.
        one_population: no neuron is odd, so that none has a sign.
        closed: closed bodies compute all neurons.
        unscaled: every channel scale is 1.
        one_basis: whether all neurons have one basis, or all have several; None where neither is so.
    """

    float32_sums: bool = False
    silent_at_rest: bool = False
    ungated_singles: bool = False
    halving: bool = False
    regular_primitives: bool = False
    one_population: bool = False
    closed: bool = False
    unscaled: bool = False
    one_basis: bool | None = None

    @property
    def halving_neurons(self) -> bool:
        """Whether `onnx_snn.neurons.bodies.halving` computes neurons with scales."""
        return self.float32_sums and self.silent_at_rest and self.halving

    @property
    def halving_primitives(self) -> bool:
        """Whether `onnx_snn.neurons.bodies.halving` computes those of softmax and of the root of normalizations."""
        return self.float32_sums and self.regular_primitives

    @classmethod
    def of(
        cls,
        neurons: Iterable[tuple[NeuronRole, MbeNeuron]],
        *,
        largest_scale: float = 1.0,
        smallest_scale: float | None = None,
    ) -> Guarantees:
        """What all neurons of a file have in common.

        Args:
            neurons: they, with their roles.
            largest_scale: the largest of all channel scales.
            smallest_scale: the smallest of them, where it is known.
        """
        roles = list(neurons)
        listed = [neuron for _, neuron in roles]
        singles = {neuron.bases == 1 for neuron in listed}
        return cls(
            float32_sums=all(map(_sums_in_float32, listed)),
            silent_at_rest=all(map(_is_silent_at_rest, listed)),
            halving=all(neuron.halving is not None for role, neuron in roles if not role.is_primitive),
            regular_primitives=all(_is_regular(role, neuron, largest_scale) for role, neuron in roles),
            one_population=all(neuron.polarity == 0 for neuron in listed),
            one_basis=singles.pop() if len(singles) == 1 else None,
            closed=all(map(has_closed_form, listed)),
            unscaled=largest_scale == smallest_scale == 1.0,
            ungated_singles=all(neuron.bases > 1 or np.isfinite(neuron.reset).all() for neuron in listed),
        )


def has_closed_form(neuron: MbeNeuron) -> bool:
    """Whether the closed body computes `neuron`: if it is halving, or has one basis with steps in `STEP_UNIT`."""
    if neuron.bases > 1:
        return neuron.halving is not None
    if neuron.sizes is None:
        return False
    steps = neuron.sizes.steps.astype(np.float64)
    return bool((steps % STEP_UNIT == 0).all() and steps.sum() <= MOST_CHARGE)


def _is_regular(role: NeuronRole, neuron: MbeNeuron, largest_scale: float) -> bool:
    """Whether what `neuron` answers keeps sums of rows and variances regular, so that none is tiny or infinite."""
    intensity = neuron.intensity if neuron.sizes is None else neuron.sizes.steps
    terms = neuron.weight * np.abs(intensity).sum(axis=0, dtype=np.float64)
    finite = (np.abs(terms).sum() + abs(neuron.bias)) * largest_scale < _LARGEST_CODE
    if role is NeuronRole.DEVIATION:
        return bool(finite)
    if not role.is_primitive:
        return True
    positive = role is not NeuronRole.EXP2 or neuron.bias + np.minimum(terms, 0).sum() >= _SMALLEST_EXPONENTIAL
    return neuron.halving is not None and neuron.bases > 1 and bool(finite and positive)


def _sums_in_float32(neuron: MbeNeuron) -> bool:
    """Whether sums are exact, also in units of the last intensity; one product is rounded once in either type."""
    if neuron.bases == 1 and neuron.bias == 0:
        return True
    # A saturation spike comes in place of all other steps, not on top of them.
    intensity = neuron.intensity if neuron.sizes is None else neuron.sizes.steps
    finite = bool(np.abs(neuron.weight).max() < _LARGEST_WEIGHT)
    return finite and sums_are_exact_in_float32(intensity, neuron.weight, neuron.bias)


def _is_silent_at_rest(neuron: MbeNeuron) -> bool:
    if not neuron.polarity:
        return True
    rest = np.array([0, _SMALLEST_NORMAL], np.float32)
    at_zero, at_normal = np.moveaxis(spike_trains(neuron, rest), -1, 0)
    # Neurons with step sizes are monotonic in each basis: equal spikes at both ends are those in between.
    return neuron.sizes is not None and np.array_equal(at_zero, at_normal) and not time_loop(neuron, rest).y.any()
