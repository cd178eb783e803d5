# SPDX-License-Identifier: Apache-2.0
"""docs/op_spec.md suffices to implement the operators: JavaScript written from it returns the bits of NumPy."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from composites import (
    COMPOSITES,
    Composite,
    layer_normalization_of,
    one_nan,
    rms_normalization_of,
    rows,
    softmax_of,
)
from hypothesis import assume, given, settings
from numpy.typing import NDArray
from portable import Native, assert_same_bits, model_of, neuron_feeds
from strategies import Case, cases, neurons

from onnx_snn.arrays import Float32
from onnx_snn.neurons.mbe import MbeNeuron, time_loop
from onnx_snn.neurons.opset import DOMAIN, MBE_NEURON, OPERATORS, VERSION, Body, Operator

pytestmark = pytest.mark.host

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "op_spec.md"


class Result(NamedTuple):
    y: Float32
    spikes: list[NDArray[np.int64]]


class JavaScript:
    """The operators in one Node.js process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def __call__(self, operator: Operator, feeds: Mapping[str, Float32], polarity: int) -> Result:
        tensors = [np.asarray(feeds[name], np.float32) for name in operator.inputs]
        inputs = [{"shape": t.shape, "bits": t.ravel().view(np.uint32).tolist()} for t in tensors]
        reply = self._ask({"operator": operator.name, "polarity": polarity, "inputs": inputs})
        y = np.array(reply["y"], np.uint32).view(np.float32).reshape(tensors[0].shape)
        prefixes = [prefix for prefix, _ in operator.neurons]
        shapes = [np.shape(feeds[f"{prefix}threshold"]) for prefix in prefixes]
        spikes = zip(reply["spikes"], shapes, strict=True)
        return Result(y, [np.array(counts, np.int64).reshape(shape) for counts, shape in spikes])

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the Node.js process ended; its message is in the captured stderr"
        return json.loads(line)


@pytest.fixture(scope="module")
def javascript() -> Iterator[JavaScript]:
    """Fails rather than skips where Node.js is not installed."""
    command = ["node", str(FOLDER / "hosts" / "operators.mjs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield JavaScript(process)
        process.communicate()
    assert process.returncode == 0


@pytest.mark.slow
@settings(max_examples=200)
@given(case=cases())
def test_neuron(javascript: JavaScript, case: Case) -> None:
    actual = javascript(MBE_NEURON, neuron_feeds(*case), case.neuron.polarity)
    expected = time_loop(*case)
    assert_same_bits(actual.y, expected.y, "y")
    assert_same_bits(actual.spikes[0], expected.spikes, "spikes")


@cache
def native(operator: Operator, polarity: int) -> Native:
    return Native(model_of(operator, body=Body.LOOP, metered=True, polarity=polarity))


def order_shows(x: Float32) -> bool:
    """Whether the mean of a row may depend on the order of summation: it cancels by 24 bits or more, of values whose
    magnitudes differ by more than the 29 bits that float64 has beyond float32."""
    values = x.astype(np.float64)
    magnitudes = np.abs(values)
    largest = magnitudes.max(axis=-1)
    smallest = np.where(magnitudes > 0.0, magnitudes, np.inf).min(axis=-1)
    cancels = np.abs(values.sum(axis=-1)) < largest * 2.0**-24
    return bool(np.any(cancels & (largest > smallest * 2.0**29)))


def check_composite(javascript: JavaScript, composite: Composite, x: Float32) -> None:
    """y of NumPy, and the spikes of the kernels where no row has a NaN."""
    feeds, expected = composite.feeds(x), composite.numpy(x)
    actual = javascript(composite.operator, feeds, composite.polarity)
    assert_same_bits(one_nan(actual.y), one_nan(expected), "y")
    if np.isnan(expected).any():
        return
    outputs = native(composite.operator, composite.polarity)(feeds)
    for counts, name in zip(actual.spikes, composite.operator.outputs(metered=True)[1:], strict=True):
        assert_same_bits(counts, outputs[name], name)


@pytest.mark.parametrize("composite", COMPOSITES.values(), ids=COMPOSITES.keys())
@settings(max_examples=60)
@given(x=rows())
def test_composites(javascript: JavaScript, composite: Composite, x: Float32) -> None:
    assume(not order_shows(x))
    check_composite(javascript, composite, x)


@pytest.mark.parametrize("composite", COMPOSITES.values(), ids=COMPOSITES.keys())
@pytest.mark.parametrize("v", [0.0, 1e-45, 1e-38, 0.5, 1.0, 2.0, 3e38, np.inf, np.nan, -np.inf])
def test_composites_of_equal_elements(javascript: JavaScript, composite: Composite, v: float) -> None:
    """Sums over rows that are zero, denormal, overflowing or no numbers, so that their inverse is an exception."""
    with np.errstate(all="ignore"):
        check_composite(javascript, composite, np.full((2, 3), v, np.float32))


@pytest.mark.slow
@settings(max_examples=60)
@given(neurons(), neurons(), rows())
def test_composites_of_any_neurons(javascript: JavaScript, first: MbeNeuron, second: MbeNeuron, x: Float32) -> None:
    assume(not order_shows(x))
    check_composite(javascript, softmax_of(first, second), x)
    check_composite(javascript, layer_normalization_of(first, second, scaled=True), x)
    check_composite(javascript, rms_normalization_of(first, second, scaled=True), x)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS.keys())
def test_page_has_every_signature(operator: Operator) -> None:
    """Names in the order of the inputs, whether or not the attribute is there, and the version of the domain."""
    text = PAGE.read_text()
    call = re.search(rf"\] = {operator.name}(<polarity>)?\(([^)]*)\)", text)
    assert call is not None
    assert bool(call[1]) == operator.polarized
    assert [name.strip() for name in call[2].split(",")] == list(operator.inputs)
    assert f"`{DOMAIN}: {VERSION}`" in text
