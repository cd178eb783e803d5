# SPDX-License-Identifier: Apache-2.0
"""The functions inside a converted file return the bits of the NumPy reference, wherever they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest
from composites import EVERYTHING
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from portable import OPSET, Portable, assert_same_bits, model_of, neuron_feeds
from strategies import SPECIAL, Case, cases, critical_inputs, floats, gains, sample_case, with_neighbours

from onnx_snn.config.neuron_settings import BetaCode
from onnx_snn.fitting.beta_codes import BetaSteps
from onnx_snn.neurons.bodies.guarantees import STEP_UNIT, Guarantees
from onnx_snn.neurons.bodies.statements import ALLOWZERO_OPSET
from onnx_snn.neurons.function_bodies import closed_body_fits, function_protos
from onnx_snn.neurons.mbe import MAX_TIMESTEPS, MbeNeuron, halving_neuron, time_loop
from onnx_snn.neurons.opset import (
    DOMAIN,
    MBE_NEURON,
    OPERATORS,
    VERSION,
    Body,
)
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.neurons.step_kernels import size_kernels

NEWEST_OPSET = 28
"""The newest that onnxruntime 1.32 and onnx 1.23 both run."""

OPSETS = (13, 17, 18, 21, NEWEST_OPSET)


@cache
def portable_neuron(body: Body, metered: bool, polarity: int, opset: int) -> Portable:
    return Portable(model_of(MBE_NEURON, body=body, metered=metered, polarity=polarity, opset=opset))


def assert_runtimes_agree(case: Case, body: Body, *, opset: int = OPSET, reference: bool = True) -> None:
    """onnxruntime and the reference evaluator, metered and not, against the time loop in NumPy."""
    expected = time_loop(*case)
    feeds = neuron_feeds(*case)
    for metered in (False, True):
        model = portable_neuron(body, metered, case.neuron.polarity, opset)
        runtimes = [model.onnxruntime, model.reference] if reference else [model.onnxruntime]
        for runtime in runtimes:
            outputs = runtime(feeds)
            what = f"{runtime.__name__}, {body.value} body, metered={metered}, opset {opset}"
            assert_same_bits(outputs["y"], expected.y, f"y of {what}")
            if metered:
                assert_same_bits(outputs["spikes"], expected.spikes, f"spikes of {what}")


@given(cases())
def test_loop_body_is_the_time_loop(case: Case) -> None:
    assert_runtimes_agree(case, Body.LOOP)


@given(cases(halving=True))
def test_closed_body_is_the_time_loop(case: Case) -> None:
    assert_runtimes_agree(case, Body.CLOSED)


@pytest.mark.parametrize("body", Body)
@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset(opset: int, body: Body) -> None:
    for polarity in (0, 1):
        for scale in (np.float32([1]), np.float32([[0.25], [8]])):
            assert_runtimes_agree(sample_case(polarity, scale), body, opset=opset)


@pytest.mark.parametrize("body", Body)
@pytest.mark.parametrize("timesteps", [1, 4, 8, 16])
def test_every_level_boundary(timesteps: int, body: Body) -> None:
    neuron = halving_neuron([-1.7, 2.3], [0.61, -0.37], [0.75, -1.25], 0.5, timesteps, gate=True)
    charge = np.arange(-1, 2**timesteps + 1)[:, None] * 2.0 ** (1 - timesteps)
    x = np.concatenate([with_neighbours((neuron.u_rest + charge / neuron.gain).ravel()), SPECIAL])
    assert_runtimes_agree(Case(neuron, x, np.float32([1])), body, reference=timesteps <= 8)


@pytest.mark.parametrize("body", Body)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (0, 3), (2, 0, 4), (2, 3, 1, 2)])
def test_shapes(shape: tuple[int, ...], body: Body) -> None:
    neuron = halving_neuron([0, 1], [1, 1], [1, -0.5], 0.5, 4, polarity=1)
    x = np.linspace(-2, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    for opset in (ALLOWZERO_OPSET, NEWEST_OPSET):
        assert_runtimes_agree(Case(neuron, x, np.float32([2])), body, opset=opset)


@pytest.mark.parametrize("body", Body)
@pytest.mark.parametrize("gain", [2.0**111, -(2.0**111), 2.0**-149])
def test_extreme_gains(gain: float, body: Body) -> None:
    """The largest gain, whose level gain is still finite at T = 16, and the smallest denormal."""
    neuron = halving_neuron([1], [gain], [1], 0, 16)
    x = np.concatenate([with_neighbours(np.float32([1, 1.0000002])), SPECIAL])
    assert_runtimes_agree(Case(neuron, x, np.float32([1])), body)


def checker_context(opset: int) -> onnx.checker.C.CheckerContext:
    context = onnx.checker.C.CheckerContext()
    context.ir_version = onnx.IR_VERSION
    context.opset_imports = {"": opset, DOMAIN: VERSION}
    return context


@pytest.mark.parametrize("body", Body)
def test_silent_odd_neuron_answers_positive_zero(body: Body) -> None:
    neuron = halving_neuron([5], [1], [-1], 0, 4, polarity=1)
    case = Case(neuron, np.float32([-1, -0.0, 0, 1]), np.float32([1]))
    assert_same_bits(time_loop(*case).y, np.zeros(4, np.float32), "y of NumPy")
    assert_runtimes_agree(case, body)


@pytest.mark.parametrize("metered", [False, True])
@pytest.mark.parametrize("body", Body)
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", OPERATORS)
def test_functions_are_valid(name: str, opset: int, body: Body, metered: bool) -> None:
    """The checker accepts the functions of each op, and spikes appear only where they are asked for."""
    functions = function_protos([name], opset=opset, body=body, metered=metered)
    assert {function.name for function in functions} == {MBE_NEURON.name, name}
    for function in functions:
        onnx.checker.check_function(function, checker_context(opset))
        assert tuple(function.input) == OPERATORS[function.name].inputs
        assert tuple(function.output) == OPERATORS[function.name].outputs(metered)
        assert any(output.endswith("spikes") for output in function.output) == metered


@pytest.mark.parametrize("body", Body)
@pytest.mark.parametrize("metered", [False, True])
def test_time_steps_run_in_a_loop(body: Body, metered: bool) -> None:
    """The loop body runs the time steps; the closed one only those of a single basis, or to count spikes."""
    (function,) = function_protos([MBE_NEURON.name], opset=17, body=body, metered=metered)
    looping = [
        node for node in all_nodes(function.node) if node.op_type == "Loop" and "step" in node.attribute[0].g.name
    ]
    in_a_branch = any(node.op_type == "If" for node in all_nodes(function.node))
    assert len(looping) == 1
    assert in_a_branch == (body is Body.CLOSED and not metered)


def all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """`nodes` and those of their subgraphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from all_nodes(attribute.g.node)


@st.composite
def step_cases(draw: st.DrawFn) -> Case:
    """Neurons of one basis with descending sizes on the grid of closed bodies, gated or not."""
    counts = draw(st.lists(st.integers(1, 1 << 20), min_size=1, max_size=MAX_TIMESTEPS))
    assume(sum(counts) < 1 << 24)
    sizes = np.sort(np.float32(counts))[::-1] * np.float32(STEP_UNIT)
    neuron = MbeNeuron(
        u_rest=np.float32([draw(floats(-4, 4))]),
        gain=draw(gains(1)),
        **size_kernels(sizes[:, None], gate=draw(st.booleans())),
        weight=np.float32([draw(floats(-4, 4))]),
        bias=np.float32(0),
        polarity=draw(st.integers(0, 1)),
    )
    return Case(neuron, critical_inputs(neuron, np.random.default_rng(draw(st.integers(0, 2**32)))), np.float32([1]))


@given(step_cases())
def test_closed_body_runs_the_steps_of_one_basis(case: Case) -> None:
    assert closed_body_fits([case.neuron])
    assert_runtimes_agree(case, Body.CLOSED)


@given(st.one_of(cases(), step_cases()))
@settings(max_examples=50)
def test_guarantees_save_nodes_and_no_bits(case: Case) -> None:
    """The bodies of a file with this one neuron, which rely on all that it guarantees."""
    guarantees = guarantees_of(case.neuron)
    expected = time_loop(*case)
    for body in Body if closed_body_fits([case.neuron]) else [Body.LOOP]:
        model = guaranteed_neuron(body, case.neuron.polarity, guarantees)
        for runtime in (model.onnxruntime, model.reference):
            y = runtime(neuron_feeds(*case))["y"]
            assert_same_bits(y, expected.y, f"{runtime.__name__}, {body.value} body, {guarantees}")


def guarantees_of(*neurons: MbeNeuron) -> Guarantees:
    """Those of a file of scalar functions."""
    return Guarantees.of([(NeuronRole.FUNCTION, neuron) for neuron in neurons])


@pytest.mark.parametrize("body", Body)
@pytest.mark.parametrize("polarity", [0, 1])
def test_known_shapes(polarity: int, body: Body) -> None:
    """Where shapes are known, onnxruntime drops x + 0 and x * 1; a silent neuron must answer +0 all the same."""
    neuron = halving_neuron([0.125, 1], [1, 1], [1, -0.5], 0, 8, gate=True, polarity=polarity)
    x = np.concatenate([np.linspace(-3, 3, 41, dtype=np.float32), SPECIAL])
    expected = time_loop(neuron, x).y
    for guarantees in (Guarantees(), guarantees_of(neuron)):
        model = guaranteed_neuron(body, polarity, guarantees, x.shape)
        assert_same_bits(model.onnxruntime(neuron_feeds(neuron, x))["y"], expected, f"{body.value}, {guarantees}")


@cache
def guaranteed_neuron(
    body: Body, polarity: int, guarantees: Guarantees, shape: tuple[int, ...] | None = None
) -> Portable:
    model = model_of(MBE_NEURON, body=body, metered=False, polarity=polarity, shape=shape)
    del model.functions[:]
    model.functions.extend(function_protos([MBE_NEURON.name], opset=OPSET, body=body, guarantees=guarantees))
    return Portable(model)


def test_fitted_codes_guarantee_all() -> None:
    """Codes of beta steps and of halving segments on coarse grids get the cheapest bodies."""
    beta = BetaSteps(8, BetaCode(0.75, 1)).neuron(3.0, one_sided=False, gate=True)
    halving = halving_neuron([0.125, 1], [1, 1], [1, -0.5], 0, 8, gate=True, polarity=1)
    assert guarantees_of(beta, halving) == replace(EVERYTHING, halving=False, one_basis=None)
    assert guarantees_of(halving) == EVERYTHING
    assert closed_body_fits([beta, halving])


def test_guarantees_of_one_neuron_bind_the_others() -> None:
    """A single sum in float64, odd neuron that speaks at 0, or gated single basis makes the bodies general."""
    fine = halving_neuron([0.125, 1], [1, 1], [1, -0.5], 0, 8, gate=True, polarity=1)
    long_sums = halving_neuron([0, 1], [1, 1], [1, 2.0**-20], 0, 8)
    speaking = halving_neuron([0, 1], [1, 1], [1, 1], 0.5, 8, polarity=1)
    gated = halving_neuron([0], [1], [1], 0, 8, gate=True)
    assert not guarantees_of(fine, long_sums).float32_sums
    assert not guarantees_of(fine, speaking).silent_at_rest
    assert not guarantees_of(fine, gated).ungated_singles


@given(cases())
@settings(max_examples=20)
def test_closed_body_fits_halving_neurons_of_several_bases_only(case: Case) -> None:
    assume(case.neuron.bases > 1)
    halving = halving_neuron([0], [1], [1], 0, 4)
    assert closed_body_fits([halving, case.neuron]) == (case.neuron.halving is not None)


def test_polarity_is_an_attribute_of_every_node() -> None:
    """A kernel does not see the defaults of a function's attributes: composites write it on each call."""
    for function in function_protos(OPERATORS, opset=17):
        calls = [node for node in all_nodes(function.node) if node.op_type == MBE_NEURON.name]
        assert all([attribute.name for attribute in call.attribute] == ["polarity"] for call in calls)
        assert len(calls) == (0 if function.name == MBE_NEURON.name else 2)


def test_neuron_keeps_its_parameters_through_a_file(tmp_path) -> None:
    """Parameters as initializers of a saved model, instead of inputs."""
    case = sample_case(1, np.float32([1]))
    model = model_of(MBE_NEURON, body=Body.LOOP, metered=False, polarity=1)
    constants = {name: value for name, value in neuron_feeds(*case).items() if name != "x"}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(v, n) for n, v in constants.items())
    del model.graph.input[1:]
    path = tmp_path / "neuron.onnx"
    onnx.save(model, path)
    outputs = Portable(onnx.load(path)).onnxruntime({"x": case.x})
    assert_same_bits(outputs["y"], time_loop(*case).y, "y of the saved neuron")
