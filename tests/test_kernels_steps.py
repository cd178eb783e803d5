# SPDX-License-Identifier: Apache-2.0
"""The kernels of neurons with step sizes return the bits of the NumPy reference, and its spikes.

Neurons of up to eight disjoint segments whose step sizes are the same for every basis have an execution path of their
own in the kernels (`custom_ops/src/kernels/few_segments.h`). Neurons that are nearly so must not take it.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from native import TASK, assert_neuron
from strategies import SPECIAL, Case, critical_inputs, mirrored, powers_of_two, scales, with_neighbours

from onnx_snn.arrays import Float32
from onnx_snn.neurons.mbe import UNSCALED, MbeNeuron
from onnx_snn.neurons.step_kernels import size_kernels

MOST_SEGMENTS = 8


def step_neuron(
    sizes: Float32, units: Float32, *, gate: bool, polarity: int, bias: float = 0.0, overlap: float = 0.0
) -> MbeNeuron:
    """A code of one segment for each of `units`; a segment begins `overlap` of its last step before the one below ends.

    Args:
        sizes: step sizes, float32 [T], or [T, N] for sizes of each basis.
        units: size of the first step of each segment, float32 [N].
        gate: whether a saturated basis fires once instead of T times.
        polarity: 0 for one bank, 1 for two mirrored populations.
        bias: output of a silent neuron.
        overlap: at 1 the first step up of a segment lies where the segment below saturates.
    """
    columns = sizes if sizes.ndim == 2 else np.repeat(sizes[:, None], len(units), axis=1)
    starts = np.concatenate([[0.0], np.cumsum(columns.sum(axis=0) * units)[:-1]])
    return MbeNeuron(
        u_rest=(starts - overlap * columns.min(axis=0) * units).astype(np.float32),
        gain=(1 / units).astype(np.float32),
        weight=units,
        bias=np.float32(bias),
        polarity=polarity,
        **size_kernels(columns, gate=gate),
    )


@st.composite
def step_sizes(draw: st.DrawFn, timesteps: int) -> Float32:
    """Sizes of any order and kind: decaying by any factor, digits with repeats, or arbitrary multiples of a unit."""
    kind = draw(st.sampled_from(["decay", "digits", "any"]))
    if kind == "decay":
        decay = draw(st.floats(0.5, 0.95))
        return (np.maximum(np.round(decay ** np.arange(timesteps) * 4096), 1) / 4096).astype(np.float32)
    if kind == "digits":
        repeats = draw(st.integers(1, 4))
        return np.exp2(-2 * np.minimum(np.arange(timesteps) // repeats, 10)).astype(np.float32)
    counts = draw(hnp.arrays(np.int64, timesteps, elements=st.integers(1, 1 << 16)))
    return (counts * draw(powers_of_two(-20, 20))).astype(np.float32)


def critical_steps(neuron: MbeNeuron, rng: np.random.Generator) -> Float32:
    """`critical_inputs`, and the neighbours of the ends of every segment, in both signs."""
    with np.errstate(over="ignore"):
        steps = neuron.threshold[np.isfinite(neuron.reset).all(axis=1)]
        ends = np.stack([0 * steps[0], steps.min(axis=0), steps.sum(axis=0)])
        edges = with_neighbours((neuron.u_rest + ends / neuron.gain).ravel())
        return mirrored(np.concatenate([edges, critical_inputs(neuron, rng)]))


@st.composite
def step_cases(draw: st.DrawFn, *, fewest: int = 1, overlap: float | None = None) -> Case:
    """A code and its critical inputs, with any scales."""
    count = draw(st.integers(fewest, MOST_SEGMENTS))
    octaves = np.cumsum(draw(hnp.arrays(np.int64, count, elements=st.integers(0, 3))))
    neuron = step_neuron(
        draw(step_sizes(draw(st.integers(1, 16)))),
        np.float32(draw(st.sampled_from([1.0, 1.25, 1.875]))) * np.exp2(octaves - 3).astype(np.float32),
        gate=draw(st.booleans()),
        polarity=draw(st.integers(0, 1)),
        bias=draw(st.sampled_from([0.0, 0.375])),
        overlap=draw(st.sampled_from([0.0, 0.3, 0.5, 1.0])) if overlap is None else overlap,
    )
    x = critical_steps(neuron, np.random.default_rng(draw(st.integers(0, 2**32))))
    scale = draw(scales(x.shape))
    with np.errstate(all="ignore"):
        return Case(neuron, np.where(np.isnan(x), x, x * scale).astype(np.float32), scale)


@given(step_cases())
def test_steps_have_the_same_bits(case: Case) -> None:
    assert_neuron(case)


@given(step_cases())
@settings(max_examples=25)
def test_constant_steps_have_the_same_bits(case: Case) -> None:
    assert_neuron(case, constant=True)


@given(step_cases(fewest=2, overlap=2.5))
@settings(max_examples=25)
def test_overlapping_segments_have_the_same_bits(case: Case) -> None:
    """At an input two bases are neither silent nor saturated."""
    assert_neuron(case)


@pytest.mark.parametrize("gate", [True, False], ids=["gated", "ungated"])
@pytest.mark.parametrize("polarity", [0, 1], ids=["one_sided", "odd"])
def test_sizes_of_each_basis_have_the_same_bits(polarity: int, gate: bool) -> None:
    sizes = np.float32([[1, 1], [0.75, 0.5], [0.5, 0.25]])
    neuron = step_neuron(sizes, np.float32([0.5, 1]), gate=gate, polarity=polarity)
    assert_neuron(Case(neuron, critical_steps(neuron, np.random.default_rng(0)), UNSCALED))


@pytest.mark.parametrize("timesteps", [1, 7, 8, 9, 16, 17])
@pytest.mark.parametrize("segments", range(1, MOST_SEGMENTS + 2))
@pytest.mark.parametrize("polarity", [0, 1], ids=["one_sided", "odd"])
def test_work_of_a_task_has_the_same_bits(timesteps: int, segments: int, polarity: int) -> None:
    """Up to 16 steps and eight segments have a path of their own; the spikes of eight steps are counted at a time."""
    sizes = (np.round(4096 * 0.7 ** np.arange(timesteps)) / 4096).astype(np.float32)
    units = np.exp2(np.arange(segments) - 2).astype(np.float32)
    neuron = step_neuron(sizes, units, gate=segments > 1, polarity=polarity, bias=0.375 * polarity, overlap=0.3)
    rng = np.random.default_rng(timesteps)
    x = np.concatenate([critical_steps(neuron, rng), SPECIAL, rng.uniform(-30, 30, TASK).astype(np.float32)])
    for scale in (UNSCALED, np.float32([0.25]), np.exp2(np.arange(x.size) % 7 - 3).astype(np.float32)):
        assert_neuron(Case(neuron, x, scale))
