# SPDX-License-Identifier: Apache-2.0
"""The kernels return the bits of the NumPy reference and of the functions inside a converted file.

What a sanitizer can tell of them, `custom_ops/tests` asks.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from networks import normal
from numpy.typing import NDArray
from portable import Native, assert_same_bits, model_of, neuron_feeds, session_of, with_constants
from strategies import SPECIAL, Case, cases, critical_inputs, neurons
from test_composite import COMPOSITES, Composite, every_composite, layer_normalization_of, one_nan, rows, softmax_of
from test_opset import sample_case

from onnx_snn.neurons.mbe import UNSCALED, Float32, MbeNeuron, closed_form, halving_neuron, time_loop
from onnx_snn.neurons.opset import MBE_NEURON, OPERATORS, Body, Operator

Feeds = Mapping[str, NDArray[Any]]

TASK = 1 << 14
"""Elements that one thread takes at a time."""


@cache
def native(operator: Operator, metered: bool, polarity: int, threads: int = 1) -> Native:
    """One node, its parameters inputs of the graph."""
    return Native(model_of(operator, body=Body.LOOP, metered=metered, polarity=polarity), threads=threads)


def native_constant(operator: Operator, metered: bool, polarity: int, constants: Feeds, threads: int = 1) -> Native:
    """One node, its parameters constants of the model."""
    model = model_of(operator, body=Body.LOOP, metered=metered, polarity=polarity)
    return Native(with_constants(model, constants), threads=threads)


def without_x(feeds: Feeds) -> dict[str, NDArray[Any]]:
    return {name: value for name, value in feeds.items() if name != "x"}


# --- the neuron ----------------------------------------------------------------------------------


def assert_neuron(case: Case, *, constant: bool = False) -> None:
    expected, feeds = time_loop(*case), neuron_feeds(*case)
    for metered in (False, True):
        for threads in (1, 2):
            if constant:
                run = native_constant(MBE_NEURON, metered, case.neuron.polarity, without_x(feeds), threads)
                outputs = run({"x": case.x})
            else:
                outputs = native(MBE_NEURON, metered, case.neuron.polarity, threads)(feeds)
            what = f"{metered=}, {threads=}, {constant=}"
            assert_same_bits(outputs["y"], expected.y, f"y, {what}")
            if metered:
                assert_same_bits(outputs["spikes"], expected.spikes, f"spikes, {what}")


@given(cases())
def test_neuron_has_the_same_bits(case: Case) -> None:
    assert_neuron(case)


@given(cases(halving=True))
def test_halving_neuron_has_the_same_bits(case: Case) -> None:
    assert_neuron(case)


@given(cases())
@settings(max_examples=25)
def test_constant_neuron_has_the_same_bits(case: Case) -> None:
    assert_neuron(case, constant=True)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (0, 3), (2, 0, 4), (2, 3, 1, 2), (1,) * 16])
def test_shapes_have_the_same_bits(shape: tuple[int, ...]) -> None:
    neuron = halving_neuron([0, 1], [1, 1], [1, -0.5], 0.5, 4, polarity=1)
    x = np.linspace(-2, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    assert_neuron(Case(neuron, x, np.float32([2])))


SCALES = {
    "none": UNSCALED,
    "one": np.float32([0.25]),
    "channels": np.exp2(np.arange(100) % 7 - 3).astype(np.float32),
    "rows": np.exp2(np.arange(70) % 7 - 3).astype(np.float32)[:, None],
    "elements": np.exp2(np.arange(7000) % 11 - 5).astype(np.float32).reshape(70, 100),
    "any_numbers": np.linspace(0.3, 3, 100, dtype=np.float32),
}


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES.keys())
def test_work_of_many_tasks_has_the_same_bits(scale: Float32) -> None:
    neuron = sample_case(1, UNSCALED).neuron
    x = np.random.default_rng(7).choice(critical_inputs(neuron, np.random.default_rng(8)), (9, 70, 100))
    assert x.size > 3 * TASK
    assert_neuron(Case(neuron, x.astype(np.float32), scale))


@pytest.mark.parametrize("timesteps", [1, 5, 8, 9, 16])
@pytest.mark.parametrize("gate", [True, False], ids=["gated", "ungated"])
def test_more_spikes_than_a_counter_holds_are_counted(timesteps: int, gate: bool) -> None:
    """Two thirds of 300 000 elements are alike: counters are emptied in between. NaN fire nothing."""
    u_rest, gain = np.arange(6), [1, 1, -1, 1, -1, 1]  # ramps of width 2 - 2**(1 - T), but those that fall
    u_rest = np.where(np.array(gain) > 0, 3 * u_rest, 3 * u_rest + 2)
    neuron = halving_neuron(u_rest, gain, [1, 0.5, -0.25, 1, 2, 0.5], 0, timesteps, gate=gate)
    x = np.random.default_rng(timesteps).uniform(-2, 20, (3, 100_000)).astype(np.float32)
    x[:2] = 4.7
    x[2, ::5], x[2, 1::7] = np.nan, np.inf
    expected = closed_form(neuron, x)
    for threads in (1, 2):
        outputs = native(MBE_NEURON, True, 0, threads)(neuron_feeds(neuron, x, UNSCALED))
        assert_same_bits(outputs["y"], expected.y, f"y, {threads=}")
        assert_same_bits(outputs["spikes"], expected.spikes, f"spikes, {threads=}")


@pytest.mark.parametrize("timesteps", [4, 8, 16, 17])
@pytest.mark.parametrize("polarity", [0, 1], ids=["one_sided", "odd"])
@pytest.mark.parametrize("bias", [0.0, 0.375])
def test_greedy_code_has_the_same_bits(timesteps: int, polarity: int, bias: float) -> None:
    """One basis whose kernels decay, but not by halves; up to 16 time steps have a way of their own."""
    decay = (np.round(4096 * 0.7 ** np.arange(timesteps)) / 4096).astype(np.float32)[:, None]
    neuron = MbeNeuron(
        u_rest=np.float32([0.125 * bias]),
        gain=np.float32([0.8]),
        threshold=decay,
        reset=decay,
        intensity=decay,
        weight=np.float32([1.25]),
        bias=np.float32(bias),
        polarity=polarity,
    )
    rng = np.random.default_rng(timesteps)
    x = np.concatenate([critical_inputs(neuron, rng), rng.uniform(-4, 4, TASK).astype(np.float32)])
    for scale in (UNSCALED, np.float32([0.25]), np.exp2(np.arange(x.size) % 7 - 3).astype(np.float32)):
        assert_neuron(Case(neuron, x, scale))


# --- softmax and normalizations ------------------------------------------------------------------


@cache
def function(operator: Operator, polarity: int) -> Any:
    """One node that runs as the function of the file."""
    return session_of(model_of(operator, body=Body.LOOP, metered=True, polarity=polarity))


def assert_composite(composite: Composite, x: Float32, *, constant: bool = False) -> None:
    """y of NumPy, and the spikes that the function fires; a NaN may have any payload, see test_composite."""
    operator, feeds = composite.operator, composite.feeds(x)
    expected = composite.numpy(x)
    names = operator.outputs(metered=True)
    by_function = dict(zip(names, function(operator, composite.polarity).run(names, feeds), strict=True))
    for metered in (False, True):
        for threads in (1, 2):
            if constant:
                run = native_constant(operator, metered, composite.polarity, without_x(feeds), threads)
                outputs = run({"x": x})
            else:
                outputs = native(operator, metered, composite.polarity, threads)(feeds)
            what = f"{metered=}, {threads=}, {constant=}"
            y = one_nan(outputs.pop("y"))
            assert_same_bits(y, one_nan(expected), f"y, {what}")
            assert_same_bits(y, one_nan(by_function["y"]), f"y of the function, {what}")
            if not np.isnan(expected).any():
                for name, spikes in outputs.items():
                    assert_same_bits(spikes, by_function[name], f"{name}, {what}")


@every_composite
@settings(max_examples=25)
@given(x=rows())
def test_composites_have_the_same_bits(composite: Composite, x: Float32) -> None:
    assert_composite(composite, x)


def constant_neuron(value: float) -> MbeNeuron:
    """A neuron that answers `value` to everything."""
    return halving_neuron([0.0], [-1.0], [0.0], value, 1)


def test_a_maximum_before_a_nan_is_not_lost() -> None:
    """Rows of several lanes, where a maximum may start anew behind a NaN."""
    x = normal(2, 4, 31)
    x[1, 1, [2, 5, 22]] = np.nan
    x[1, 1, 16] = np.finfo(np.float32).max
    assert_composite(softmax_of(constant_neuron(0.0), constant_neuron(0.0)), x)


def test_what_remains_of_a_negative_number_is_positive_zero() -> None:
    """Whatever a runtime makes of the sign of a zero that it selects."""
    large, tiny = constant_neuron(2.0**85), constant_neuron(-(2.0**-64))
    assert_composite(softmax_of(large, tiny), normal(2, 4, 1))


@settings(max_examples=25)
@given(neurons(), neurons(), rows())
def test_softmax_of_any_neurons_has_the_same_bits(exp2: MbeNeuron, reciprocal: MbeNeuron, x: Float32) -> None:
    assert_composite(softmax_of(exp2, reciprocal), x)


@settings(max_examples=25)
@given(neurons(), neurons(), rows())
def test_normalization_of_any_neurons_has_the_same_bits(deviation: MbeNeuron, rsqrt: MbeNeuron, x: Float32) -> None:
    assert_composite(layer_normalization_of(deviation, rsqrt, scaled=True), x)


@every_composite
def test_constant_composites_have_the_same_bits(composite: Composite) -> None:
    assert_composite(composite, np.random.default_rng(9).normal(0, 3, (5, 33)).astype(np.float32), constant=True)


@every_composite
@pytest.mark.parametrize("shape", [(1,), (7,), (0, 3), (2, 3, 1, 5), (2, TASK + 1), (200, 130)])
def test_shapes_of_composites_have_the_same_bits(composite: Composite, shape: tuple[int, ...]) -> None:
    assert_composite(composite, np.random.default_rng(3).normal(0, 2, shape).astype(np.float32))


@every_composite
def test_special_values_in_rows_have_the_same_bits(composite: Composite) -> None:
    """Alone, first, in the middle, last, and throughout a row."""
    ordinary = np.linspace(-1, 1, 17, dtype=np.float32)
    for value in SPECIAL:
        x = np.stack([ordinary, ordinary, ordinary, np.full(17, value)])
        x[0, 0] = x[1, 8] = x[2, 16] = value
        assert_composite(composite, x)
        assert_composite(composite, np.array([[value]]))


AFFINE_SHAPES = [(1,), (7,), (3, 7), (3, 1), (2, 1, 7), (2, 3, 7), (2, 1, 1)]


@pytest.mark.parametrize("gamma", AFFINE_SHAPES)
@pytest.mark.parametrize("scale", AFFINE_SHAPES)
def test_values_along_any_axes_have_the_same_bits(gamma: tuple[int, ...], scale: tuple[int, ...]) -> None:
    rng = np.random.default_rng(10)
    x = rng.normal(0, 2, (2, 3, 7)).astype(np.float32)
    composite = COMPOSITES["layer_norm"]
    feeds = composite.feeds(x) | {
        "gamma": rng.normal(1, 1, gamma).astype(np.float32),
        "beta": rng.normal(0, 1, scale).astype(np.float32),
        "deviation_scale": np.exp2(rng.integers(-3, 3, scale)).astype(np.float32),
    }
    expected = function(composite.operator, composite.polarity).run(None, feeds)
    actual = native(composite.operator, True, composite.polarity)(feeds)
    for (name, value), of_function in zip(actual.items(), expected, strict=True):
        assert_same_bits(value, of_function, name)


# --- instruction sets ----------------------------------------------------------------------------

NARROWER = ["baseline", "avx2"] if platform.machine() in ("x86_64", "AMD64") else ["baseline"]
"""This process has the widest kernels that its processor runs."""


@pytest.mark.slow
@pytest.mark.skipif("ONNX_SNN_ISA" in os.environ, reason="this is such a process")
@pytest.mark.parametrize("isa", NARROWER)
def test_narrower_instruction_sets(isa: str) -> None:
    """All tests for the same bits once more, in a process whose library takes the kernels of one instruction set."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "same_bits", __file__]
    run = subprocess.run(
        command, env=os.environ | {"ONNX_SNN_ISA": isa}, cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]


# --- threads -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["neuron", "softmax", "layer_norm_scaled"])
def test_eight_threads_on_one_session(name: str) -> None:
    x = np.random.default_rng(11).normal(0, 2, (2, 40)).astype(np.float32)
    if name == "neuron":
        operator, polarity, feeds = MBE_NEURON, 1, neuron_feeds(sample_case(1, UNSCALED).neuron, x)
    else:
        operator, polarity, feeds = COMPOSITES[name].operator, COMPOSITES[name].polarity, COMPOSITES[name].feeds(x)
    run = native_constant(operator, True, polarity, without_x(feeds), threads=2)
    expected = run({"x": x})

    def differing(_: int) -> int:
        different = 0
        for _ in range(1000):
            outputs = run({"x": x})
            different += any(outputs[key].tobytes() != value.tobytes() for key, value in expected.items())
        return different

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(differing, range(8))) == [0] * 8


# --- what a file may get wrong -------------------------------------------------------------------


def neuron_inputs(x: Float32) -> dict[str, NDArray[Any]]:
    return dict(neuron_feeds(halving_neuron([0, 1], [1, 1], [1, -0.5], 0.5, 4, polarity=1), x))


REFUSALS = {
    "gain_zero": ("gain", [0, 1], r"input gain holds 0; expected magnitudes above 0 and up to 2\*\*111"),
    "gain_vast": ("gain", [1, 2.0**112], r"input gain holds 5\.19.*e\+33; expected magnitudes"),
    "nan": ("u_rest", [0, np.nan], "input u_rest holds nan; expected finite values"),
    "reset": ("reset", [[-np.inf, 1]] * 4, r"input reset holds -inf; expected finite values or \+inf"),
    "no_bases": ("u_rest", [], "input u_rest has 0 bases; expected 1 to 4096"),
    "rank": ("u_rest", 0, r"input u_rest has shape \[\]; expected \[N\]"),
    "sizes": ("weight", [1, 2, 3], r"input weight has shape \[3\]; expected \[2\]"),
    "steps": ("threshold", [[1, 1]] * 65, "input threshold has 65 time steps; expected 1 to 64"),
    "bias": ("bias", [1, 2], r"input bias has shape \[2\]; expected \[\] or \[1\]"),
    "scale_negative": ("scale", [-1], "input scale holds -1; expected positive finite values"),
    "scale_larger": ("scale", [[1, 2], [4, 8]], r"input scale has shape \[2,2\]; .* broadcasts into .* x, \[3,1\]"),
}


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(("name", "value", "message"), REFUSALS.values(), ids=REFUSALS.keys())
def test_bad_parameters_are_named(name: str, value: Any, message: str, constant: bool) -> None:
    feeds = neuron_inputs(np.zeros((3, 1), np.float32)) | {name: np.array(value, np.float32)}

    def run() -> None:
        if constant:
            native_constant(MBE_NEURON, False, 1, without_x(feeds))({"x": feeds["x"]})
        else:
            native(MBE_NEURON, False, 1)(feeds)

    with pytest.raises(Exception, match=r"node '' \(MbeNeuron\): " + message):
        run()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epsilon", [-1.0], "input epsilon holds -1; expected a finite number, not negative"),
        ("epsilon", [1.0, 2.0], r"input epsilon has shape \[2\]; expected \[\] or \[1\]"),
        ("gamma", np.ones((5, 4)), r"input gamma has shape \[5,4\]; expected one that broadcasts .* x, \[1,4\]"),
        ("gamma", np.ones((1, 1, 4)), r"input gamma has shape \[1,1,4\]; expected no more axes than x, \[1,4\]"),
        ("x", np.ones(()), r"input x has shape \[\]; expected a last axis that is not empty"),
        ("x", np.ones((4, 0)), r"input x has shape \[4,0\]; expected a last axis that is not empty"),
        ("rsqrt_gain", [0.0], r"input rsqrt_gain has shape \[1\]; expected \[128\]"),
    ],
)
def test_bad_inputs_of_a_normalization_are_named(name: str, value: Any, message: str) -> None:
    composite = COMPOSITES["layer_norm"]
    feeds = composite.feeds(np.ones((1, 4), np.float32)) | {name: np.array(value, np.float32)}
    with pytest.raises(Exception, match=r"node '' \(SpikingLayerNormalization\): " + message):
        native(composite.operator, False, composite.polarity)(feeds)


@pytest.mark.parametrize("name", [name for name, operator in OPERATORS.items() if operator.polarized])
@pytest.mark.parametrize(("polarity", "found"), [(None, "is no integer of the node"), (2, "is 2")])
def test_a_bad_polarity_is_named(name: str, polarity: int | None, found: str) -> None:
    model = model_of(OPERATORS[name], body=Body.LOOP, metered=False, polarity=polarity or 0)
    model.graph.node[0].name = "block.3"
    del model.functions[:]
    if polarity is None:
        del model.graph.node[0].attribute[:]
    message = rf"node 'block\.3' \({name}\): attribute polarity {found}; expected 0 \(one bank\) or 1 \(odd\)"
    with pytest.raises(Exception, match=message):
        session_of(model, kernels=True)
