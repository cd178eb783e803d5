# SPDX-License-Identifier: Apache-2.0
"""Products by accumulation: every spike adds a row of weights, or of another decoded operand, to the outputs.

With weights W, a coded operand x = bias + sum_n weight_n sum_t intensity[t, n] s_n[t] has the product

    x W = bias W + sum_n weight_n y_n          y_n = sum_t intensity[t, n] (s_n[t] W)

where s_n[t] W adds the rows of W whose elements fire. y_n follows in time by Horner's rule, whose factor is 2, a shift,
where intensities halve:

    y <- y * (intensity[t-1, n] / intensity[t, n]) + s_n[t] W          at the end times intensity[S-1, n]

Two coded operands with the increments a(t), b(t) and the decoded values A(t), B(t) have the product

    A B = A(0) B(0) + sum_t a(t) B(t) + A(t-1) b(t)

in which every spike adds decoded values of the other operand (You et al. 2024, SpikeZIP-TF).
"""

from __future__ import annotations

from onnx_snn.arrays import Float64
from onnx_snn.events.replay.bilinear import Bilinear
from onnx_snn.events.spike_events import SpikeEvents


def with_weights(product: Bilinear, coded: SpikeEvents, weights: Float64, *, place: int) -> Float64:
    """The product of a coded operand at `place` (0 or 1) with `weights`, by accumulation in float64."""
    operands = [coded.offset, weights] if place == 0 else [weights, coded.offset]
    total = product.dense(*operands)
    neuron = coded.neuron
    for basis, weight in enumerate(neuron.weight.tolist()):
        sums, last = None, 0.0
        for step, intensity in enumerate(neuron.intensity[:, basis].tolist()):
            events = coded.at(step, basis)
            if sums is not None and intensity:
                sums *= last / intensity
            if len(events.elements) and intensity:
                added = product.accumulated(place, events, coded.shape, weights)
                sums = added if sums is None else sums + added
            last = intensity or last
        if sums is not None:
            total = total + (weight * last) * sums
    return total


def of_activations(product: Bilinear, first: SpikeEvents, second: SpikeEvents) -> Float64:
    """The product of two coded operands by accumulation in float64."""
    a, b = list(first.decoded()), list(second.decoded())
    total = product.dense(a[0], b[0])
    for step in range(max(first.neuron.timesteps, second.neuron.timesteps)):
        present, before = b[min(step + 1, len(b) - 1)], a[min(step, len(a) - 1)]
        for increment, events in first.increments(step):
            total = total + increment * product.accumulated(0, events, first.shape, present)
        for increment, events in second.increments(step):
            total = total + increment * product.accumulated(1, events, second.shape, before)
    return total
