# SPDX-License-Identifier: Apache-2.0
"""Spiking operators that the kernels run, and their neurons compared with the NumPy reference."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from typing import Any

from numpy.typing import NDArray
from portable import Native, assert_same_bits, model_of, neuron_feeds, with_constants
from strategies import Case

from onnx_snn.neurons.mbe import time_loop
from onnx_snn.neurons.opset import MBE_NEURON, Body, Operator

Feeds = Mapping[str, NDArray[Any]]

NARROWER = ["baseline", "avx2"] if platform.machine() in ("x86_64", "AMD64") else ["baseline"]
"""Instruction sets below the widest one of the processor, whose kernels this process has."""

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
