# SPDX-License-Identifier: Apache-2.0
"""Time of one MBE neuron in stock onnxruntime: time-step loop against closed form, as a Markdown table.

    python benchmarks/portable_bodies.py

Both bodies return the same bits, which is checked before anything is timed.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime

from onnx_snn.arrays import Float32
from onnx_snn.neurons.function_bodies import function_protos
from onnx_snn.neurons.mbe import UNSCALED, MbeNeuron, halving_neuron
from onnx_snn.neurons.opset import DOMAIN, MBE_NEURON, PARAMETERS, VERSION, Body

BASES = 16
ELEMENTS = 197 * 768
"""Number of elements of the tensors: one activation of ViT-Base, [197, 768]."""

REPETITIONS = 15


def staircase(timesteps: int) -> MbeNeuron:
    """BASES segments side by side over (-8, 8), with a gate."""
    u_rest = np.linspace(-8, 8, BASES, endpoint=False)
    weight = np.round(np.linspace(-1, 1, BASES) * 1024) / 1024
    return halving_neuron(u_rest, np.full(BASES, 2.0), weight, 0, timesteps, gate=True)


def runner(neuron: MbeNeuron, body: Body, x: Float32) -> Callable[[], Float32]:
    """A function that runs `neuron`, a constant of the model, on `x` with one thread."""
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node(MBE_NEURON.name, MBE_NEURON.inputs, ["y"], domain=DOMAIN, polarity=neuron.polarity)
    constants = {name: getattr(neuron, name) for name in PARAMETERS} | {"scale": UNSCALED}
    graph = onnx.helper.make_graph(
        [node],
        "neuron",
        [value("x", onnx.TensorProto.FLOAT, [None])],
        [value("y", onnx.TensorProto.FLOAT, [None])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(DOMAIN, VERSION)],
        functions=function_protos([MBE_NEURON.name], opset=17, body=body),
        ir_version=9,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
    return lambda: session.run(None, {"x": x})[0]


def medians(functions: list[Callable[[], object]]) -> list[float]:
    """Median seconds of each function; they take turns, so that a busy machine slows all alike."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(REPETITIONS):
        for function, durations in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            durations.append(time.perf_counter() - start)
    return [statistics.median(durations) for durations in times]


def main() -> None:
    x = np.random.default_rng(0).normal(0, 3, ELEMENTS).astype(np.float32)
    print(f"onnxruntime {onnxruntime.__version__}, one thread, {platform.machine()}; ", end="")
    print(f"N = {BASES}, {ELEMENTS:,} elements\n")
    print("| T | loop, ms | closed, ms | loop / closed |")
    print("|--:|---------:|-----------:|--------------:|")
    for timesteps in (2, 4, 8, 16):
        neuron = staircase(timesteps)
        bodies = [runner(neuron, body, x) for body in (Body.LOOP, Body.CLOSED)]
        looped, closed = (body() for body in bodies)
        if not np.array_equal(looped.view(np.int32), closed.view(np.int32)):
            raise SystemExit(f"the bodies disagree at T = {timesteps}")
        loop, closed_form = medians(bodies)
        print(f"| {timesteps} | {loop * 1e3:.1f} | {closed_form * 1e3:.1f} | {loop / closed_form:.1f} |")


if __name__ == "__main__":
    main()
