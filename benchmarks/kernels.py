# SPDX-License-Identifier: Apache-2.0
"""Speed of the kernels beside the portable functions, a copy and exact float kernels.

Writes docs/measurements/kernels.md.

    python benchmarks/kernels.py
    ONNX_SNN_ISA=avx2 python benchmarks/kernels.py --output build/kernels-avx2.md

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
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

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
from measurement import (
    Run,
    Seconds,
    describe_machine,
    instruction_set,
    machine_in_words,
    on_shared_threads,
    ratio,
    share_threads,
    taking_turns,
)

import onnx_snn
from onnx_snn.arrays import Float32
from onnx_snn.config.convert_config import default_bases
from onnx_snn.formatting import table
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


def measure(threads: int) -> dict[str, list[dict[str, Any]]]:
    """All rows for one number of threads, which this process keeps to."""
    share_threads(threads)
    groups = {
        "exact": measure_exact(),
        "neurons": measure_neurons(threads),
        "steps": measure_steps(threads),
        "portable": measure_portable(),
    }
    return {name: [{"threads": threads, **row} for row in rows] for name, rows in groups.items()}


def measure_neurons(threads: int) -> Iterator[dict[str, Any]]:
    """Every variant against a copy."""
    for elements, rounds in ELEMENTS.items():
        x = rows_of(elements, CHANNELS)
        copy = copy_run(x, threads)
        for bases, timesteps, *flags in itertools.product(BASES, TIMESTEPS, *[(False, True)] * len(PLAIN)):
            variant = Variant(*flags)
            neuron = identity_neuron(bases, timesteps) if variant.odd else function_neuron("gelu", bases, timesteps)
            kernel = BoundRun(neuron_model(neuron, variant), x)
            seconds = taking_turns({"kernel": kernel, "copy": copy}, rounds)
            row = {"bases": bases, "timesteps": timesteps, **variant._asdict()}
            yield row | entry(seconds, x.size, copy=("kernel", "copy"))


def measure_steps(threads: int) -> Iterator[dict[str, Any]]:
    """Step codes against a copy."""
    for elements, rounds in ELEMENTS.items():
        x = rows_of(elements, CHANNELS)
        copy = copy_run(x, threads)
        for bases, timesteps, scaled, metered in itertools.product(
            STEP_BASES, STEP_TIMESTEPS, (False, True), (False, True)
        ):
            kernel = BoundRun(neuron_model(step_neuron(bases, timesteps), Variant(True, scaled, metered)), x)
            seconds = taking_turns({"kernel": kernel, "copy": copy}, rounds)
            row = {"bases": bases, "timesteps": timesteps, "scaled": scaled, "metered": metered}
            yield row | entry(seconds, x.size, copy=("kernel", "copy"))


def measure_portable() -> Iterator[dict[str, Any]]:
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
        seconds = taking_turns(runs, PORTABLE_ROUNDS)
        faster = {body.value: (body.value, "kernel") for body in Body}
        yield {"bases": bases, "timesteps": timesteps, **entry(seconds, x.size, **faster)}


def measure_exact() -> Iterator[dict[str, Any]]:
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
            seconds = taking_turns({"kernel": kernel, "exact": exact}, ELEMENTS[elements])
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
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/kernels.md"))
    options = parser.parse_args(arguments)
    onnx_snn.get_library_path()
    machine = describe_machine()
    results: dict[str, Any] = {"machine": machine | {"kernels": instruction_set(machine)}}
    for threads in THREADS:
        # A process has one pool of threads for good.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            for group, rows in process.submit(measure, threads).result().items():
                results.setdefault(group, []).extend(rows)
    options.output.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    options.output.write_text(page(results))
    print(options.output.read_text())
    return 0


def page(results: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    machine = results["machine"]
    exact = pivot(results["exact"], ("spiking", "exact", "length", "timesteps"), "exact")
    neurons = pivot(results["neurons"], ("bases", "timesteps", *Variant._fields), "copy")
    steps = pivot(results["steps"], ("bases", "timesteps", "scaled", "metered"), "copy")
    return (
        "# Speed of the kernels\n\n"
        "Written by `python benchmarks/kernels.py`; do not edit. A cell holds billions of elements a second at the\n"
        "median time and, in parentheses, the time over that of what is compared: median over the pairs of runs, and\n"
        "fastest run over fastest run.\n\n"
        f"Machine: {machine_in_words(machine)}.\nKernels: {machine['kernels']}.\n\n"
        "## Beside the exact ops\n\n"
        "Rows are of the length given; N is what a conversion chooses.\n\n"
        f"```text\n{exact}\n```\n\n"
        "## MbeNeuron beside a copy\n\n"
        "The copy is NumPy's on one thread. On two it is onnxruntime's Relu, which reads and writes as much on the\n"
        f"same threads. Scales are one for each of {CHANNELS} channels.\n\n"
        f"```text\n{neurons}\n```\n\n"
        "## Step codes beside a copy\n\n"
        "Codes of signed values whose step sizes decay by 0.7, one segment for each basis; with several bases they\n"
        "have a gate.\n\n"
        f"```text\n{steps}\n```\n\n"
        "## MbeNeuron beside its portable functions\n\n"
        "How many times as long the function in the file takes in onnxruntime without the library, by its form.\n"
        f"{PORTABLE_ELEMENTS:,} elements, the same bits.\n\n"
        f"```text\n{portable_table(results['portable'])}\n```\n"
    )


def pivot(rows: Sequence[dict[str, Any]], keys: Sequence[str], compared: str) -> str:
    """Rows by `keys`, with a column for each number of threads and size."""
    columns = list(itertools.product(THREADS, ELEMENTS))
    lines: dict[tuple[Any, ...], dict[tuple[int, int], str]] = {}
    for row in rows:
        quotient = row["ratios"][compared]
        cell = f"{row['billions_per_second']:.2f} ({quotient['median']:.1f}, {quotient['fastest']:.1f})"
        lines.setdefault(tuple(row[key] for key in keys), {})[row["threads"], row["size"]] = cell
    header = [
        *keys,
        *(f"{threads} thread{'s' * (threads > 1)}, 2^{size.bit_length() - 1}" for threads, size in columns),
    ]
    return table(header, [(*map(_text, key), *(cells[column] for column in columns)) for key, cells in lines.items()])


def portable_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows by N and T, with a column for each number of threads and form."""
    columns = list(itertools.product(THREADS, (body.value for body in Body)))
    lines: dict[tuple[int, int], dict[tuple[int, str], str]] = {}
    for row in rows:
        cells = lines.setdefault((row["bases"], row["timesteps"]), {})
        cells |= {(row["threads"], body): f"{times['median']:.0f}" for body, times in row["ratios"].items()}
    header = ["N", "T", *(f"{body}, {threads} thread{'s' * (threads > 1)}" for threads, body in columns)]
    return table(header, [(*map(str, key), *(cells[column] for column in columns)) for key, cells in lines.items()])


def _text(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.exit(main())
