# SPDX-License-Identifier: Apache-2.0
"""The kernels with any instruction set, in many threads, and given parameters that are wrong."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from composites import COMPOSITES
from native import NARROWER, native, native_constant, without_x
from numpy.typing import NDArray
from portable import model_of, neuron_feeds, session_of
from strategies import sample_case

from onnx_snn.arrays import Float32
from onnx_snn.neurons.mbe import UNSCALED, halving_neuron
from onnx_snn.neurons.opset import MBE_NEURON, OPERATORS, Body

# --- instruction sets ----------------------------------------------------------------------------

MODULES = [str(Path(__file__).with_name(f"test_kernels_{part}.py")) for part in ("neuron", "composite")]


@pytest.mark.slow
@pytest.mark.skipif("ONNX_SNN_ISA" in os.environ, reason="this is such a process")
@pytest.mark.parametrize("isa", NARROWER)
def test_narrower_instruction_sets(isa: str) -> None:
    """All tests for the same bits once more, with fewer examples, by the kernels of one instruction set."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "same_bits", *MODULES]
    environment = os.environ | {"ONNX_SNN_ISA": isa, "HYPOTHESIS_PROFILE": "brief"}
    run = subprocess.run(command, env=environment, cwd=Path(__file__).parents[1], capture_output=True, text=True)
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
        ("x", np.ones(()), r"input x has shape \[\]; expected one axis or more"),
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


@pytest.mark.parametrize("name", ["softmax", "layer_norm", "rms_norm"])
@pytest.mark.parametrize("shape", [(2, 0), (0, 4), (2, 0, 3), (2, 3, 0)])
def test_an_empty_axis_gives_an_empty_output_without_spikes(name: str, shape: tuple[int, ...]) -> None:
    """As the functions do."""
    composite = COMPOSITES[name]
    feeds = composite.feeds(np.zeros(shape, np.float32))
    outputs = native(composite.operator, True, composite.polarity)(feeds)
    assert outputs["y"].shape == shape
    assert not any(spikes.any() for output, spikes in outputs.items() if output != "y")
    model = model_of(composite.operator, body=Body.CLOSED, metered=False, polarity=composite.polarity)
    assert session_of(model).run(None, dict(feeds))[0].shape == shape


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["AVX2", "mmx", "neon" if platform.machine() in ("x86_64", "AMD64") else "avx2"])
def test_an_instruction_set_that_is_not_there_is_refused(isa: str) -> None:
    program = "import onnx_snn; onnx_snn.session_options()"
    environment = os.environ | {"ONNX_SNN_ISA": isa}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert f"ONNX_SNN_ISA is '{isa}'; expected one that this processor runs: " in ended.stderr
    assert "LibraryError" in ended.stderr
