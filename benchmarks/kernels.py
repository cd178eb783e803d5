# SPDX-License-Identifier: Apache-2.0
"""Speed of the kernels beside the portable functions, a copy and exact float kernels.

Writes docs/measurements/kernels.md.

    python benchmarks/kernels.py
    ONNX_SNN_ISA=avx2 python benchmarks/kernels.py --output docs/measurements/kernels-avx2.md
    python benchmarks/kernels.py --threads 1 --processor-time          # on a busy machine

Each op is the only node of an onnxruntime session with default optimisation, its input and output bound, so that
nothing but the node is timed. What a ratio compares takes turns in one process, whose sessions share one pool of
threads (benchmarks/measurement.py says why). Neurons are halving ones with a gate: GELU, and an identity code
where they are odd. That the kernels return the bits of the portable functions is checked before those are timed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
from kernel_models import (
    CHANNELS,
    PLAIN,
    Variant,
    composite_model,
    exact_model,
    function_neuron,
    identity_neuron,
    neuron_model,
    step_neuron,
)
from kernels_page import page
from measurement import (
    Run,
    Seconds,
    describe_machine,
    instruction_set,
    on_shared_threads,
    ratio,
    share_threads,
    taking_turns,
)

import onnx_snn
from onnx_snn.arrays import Float32
from onnx_snn.config.convert_config import default_bases
from onnx_snn.neurons.opset import (
    MBE_NEURON,
    SPIKING_LAYER_NORMALIZATION,
    SPIKING_RMS_NORMALIZATION,
    SPIKING_SOFTMAX,
    Body,
    Operator,
)

BASES = (4, 8, 16, 32)
TIMESTEPS = (4, 8, 16)
STEP_BASES, STEP_TIMESTEPS = (1, 2, 3), (8, 16)
Clock: TypeAlias = Callable[[], float]

THREADS = (1, 2)
ELEMENTS = {2**18: 31, 2**22: 9}
"""Numbers of elements of the tensors (one fits a cache, one does not), with the number of timed rounds of each."""

PORTABLE_ELEMENTS, PORTABLE_ROUNDS = 2**18, 3
"""Number of elements and of timed rounds for the ONNX functions, which hold N values per element in memory and are
slower than the kernels by orders of magnitude."""


class Comparison(NamedTuple):
    """A spiking op and the exact one, over rows of some length."""

    exact: str
    spiking: Operator
    length: int


EXACT = (
    Comparison("Gelu", MBE_NEURON, 768),
    Comparison("Softmax", SPIKING_SOFTMAX, 128),
    Comparison("Softmax", SPIKING_SOFTMAX, 197),
    Comparison("LayerNormalization", SPIKING_LAYER_NORMALIZATION, 768),
    Comparison("SimplifiedLayerNormalization", SPIKING_RMS_NORMALIZATION, 768),
)


class BoundRun:
    """A session whose input and output stay where they are."""

    def __init__(self, model: onnx.ModelProto, x: Float32, *, kernels: bool = True) -> None:
        options = on_shared_threads(onnx_snn.session_options(quiet=True, kernels=kernels))
        self.session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        inputs, self.y = (ort.OrtValue.ortvalue_from_shape_and_type(x.shape, np.float32) for _ in range(2))
        inputs.update_inplace(x)
        self.binding.bind_ortvalue_input("x", inputs)
        self.binding.bind_ortvalue_output("y", self.y)
        for output in self.session.get_outputs()[1:]:
            self.binding.bind_output(output.name)

    def __call__(self) -> None:
        self.session.run_with_iobinding(self.binding)

    def bits(self) -> np.ndarray[Any, Any]:
        """Bits of the output of one run, int32."""
        self()
        return self.y.numpy().view(np.int32)


def copy_run(x: Float32, threads: int) -> Run:
    """A copy of `x`: by NumPy on one thread; on several by onnxruntime's Relu, which reads and writes as much."""
    if threads == 1:
        y = np.empty_like(x)
        return lambda: np.copyto(y, x)
    return BoundRun(exact_model("Relu", x.shape[-1]), x)


def rows_of(elements: int, length: int) -> Float32:
    """Normal values."""
    return np.random.default_rng(0).normal(0, 3, (elements // length, length)).astype(np.float32)


def measure(threads: int, processor_time: bool) -> dict[str, list[dict[str, Any]]]:
    """All rows for one number of threads, which this process keeps to."""
    clock = time.process_time if processor_time else time.perf_counter
    share_threads(threads)
    groups = {
        "exact": measure_exact(clock),
        "neurons": measure_neurons(threads, clock),
        "steps": measure_steps(threads, clock),
        "portable": measure_portable(clock),
    }
    return {name: [{"threads": threads, **row} for row in rows] for name, rows in groups.items()}


def measure_neurons(threads: int, clock: Clock) -> Iterator[dict[str, Any]]:
    """Every variant against a copy."""
    for elements, rounds in ELEMENTS.items():
        x = rows_of(elements, CHANNELS)
        copy = copy_run(x, threads)
        for bases, timesteps, *flags in itertools.product(BASES, TIMESTEPS, *[(False, True)] * len(PLAIN)):
            variant = Variant(*flags)
            neuron = identity_neuron(bases, timesteps) if variant.odd else function_neuron("gelu", bases, timesteps)
            kernel = BoundRun(neuron_model(neuron, variant), x)
            seconds = taking_turns({"kernel": kernel, "copy": copy}, rounds, clock)
            row = {"bases": bases, "timesteps": timesteps, **variant._asdict()}
            yield row | entry(seconds, x.size, copy=("kernel", "copy"))


def measure_steps(threads: int, clock: Clock) -> Iterator[dict[str, Any]]:
    """Step codes against a copy."""
    for elements, rounds in ELEMENTS.items():
        x = rows_of(elements, CHANNELS)
        copy = copy_run(x, threads)
        for bases, timesteps, scaled, metered in itertools.product(
            STEP_BASES, STEP_TIMESTEPS, (False, True), (False, True)
        ):
            kernel = BoundRun(neuron_model(step_neuron(bases, timesteps), Variant(True, scaled, metered)), x)
            seconds = taking_turns({"kernel": kernel, "copy": copy}, rounds, clock)
            row = {"bases": bases, "timesteps": timesteps, "scaled": scaled, "metered": metered}
            yield row | entry(seconds, x.size, copy=("kernel", "copy"))


def measure_portable(clock: Clock) -> Iterator[dict[str, Any]]:
    """Plain neurons against both forms of the function in the file."""
    x = rows_of(PORTABLE_ELEMENTS, CHANNELS)
    for bases, timesteps in itertools.product(BASES, TIMESTEPS):
        neuron = function_neuron("gelu", bases, timesteps)
        runs = {"kernel": BoundRun(neuron_model(neuron), x)}
        for body in Body:
            runs[body.value] = BoundRun(neuron_model(neuron, body=body), x, kernels=False)
        expected = runs["kernel"].bits()
        if not all(np.array_equal(run.bits(), expected) for run in runs.values()):
            raise SystemExit(f"kernel and function disagree at N={bases}, T={timesteps}")
        seconds = taking_turns(runs, PORTABLE_ROUNDS, clock)
        faster = {body.value: (body.value, "kernel") for body in Body}
        yield {"bases": bases, "timesteps": timesteps, **entry(seconds, x.size, **faster)}


def measure_exact(clock: Clock) -> Iterator[dict[str, Any]]:
    """Spiking ops, with as many bases as a conversion gives them, against the ops that they replace."""
    for elements, comparison in itertools.product(ELEMENTS, EXACT):
        x = rows_of(elements, comparison.length)
        exact = BoundRun(exact_model(comparison.exact, comparison.length), x)
        for timesteps in TIMESTEPS:
            if comparison.spiking is MBE_NEURON:
                model = neuron_model(function_neuron("gelu", default_bases(timesteps).function, timesteps))
            else:
                model = composite_model(comparison.spiking, comparison.length, timesteps)
            kernel = BoundRun(model, x)
            seconds = taking_turns({"kernel": kernel, "exact": exact}, ELEMENTS[elements], clock)
            row = {"exact": comparison.exact, "spiking": comparison.spiking.name, "length": comparison.length}
            row |= {"timesteps": timesteps} | entry(seconds, x.size, exact=("kernel", "exact"))
            yield row | {"size": elements}


def entry(seconds: Seconds, elements: int, **ratios: tuple[str, str]) -> dict[str, Any]:
    """Fields of every row: elements per second of the kernel, and ratios of the times of two runs."""
    return {
        "size": elements,
        "billions_per_second": elements / statistics.median(seconds["kernel"]) / 1e9,
        "ratios": {name: ratio(seconds, *pair)._asdict() for name, pair in ratios.items()},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", nargs="+", type=int, default=THREADS, metavar="THREADS")
    parser.add_argument("--processor-time", action="store_true", help="of the process, for a busy machine; one thread")
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/kernels.md"))
    options = parser.parse_args(arguments)
    onnx_snn.get_library_path()
    machine = describe_machine()
    machine |= {"kernels": instruction_set(machine), "processor_time": options.processor_time}
    results: dict[str, Any] = {"machine": machine}
    for threads in options.threads:
        # A process has one pool of threads for good.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            for group, rows in process.submit(measure, threads, options.processor_time).result().items():
                results.setdefault(group, []).extend(rows)
    options.output.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    options.output.write_text(page(results))
    print(options.output.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
