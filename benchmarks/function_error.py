# SPDX-License-Identifier: Apache-2.0
"""Error of fitted neurons by bases and time steps, beside published errors; writes docs/measurements/function-error.md.

    python benchmarks/function_error.py            # print the tables and write the page
    python benchmarks/function_error.py --check    # exit 1 where a fit differs from the page

Errors are means over 2**17 arguments spread evenly over the domain, times the CPU time of one fit.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from onnx_snn.fitting.function_fit import fit_function
from onnx_snn.fitting.paper_neuron import fit_paper
from onnx_snn.neurons.functions import ScalarFunction, get
from onnx_snn.neurons.mbe import MbeNeuron, closed_form

PAGE = Path(__file__).parents[1] / "docs" / "measurements" / "function-error.md"
COMMAND = "python benchmarks/function_error.py"
ARGUMENTS = 2**17

PUBLISHED_BASES = (1, 2, 4, 6, 8)
PUBLISHED = {
    "gelu": (7.1e-3, 4.1e-3, 2.3e-4, 1.7e-4, 1.0e-4),
    "rsqrt": (1.4e-3, 1.2e-3, 3.1e-4, 1.0e-4, 4.9e-5),
    "reciprocal": (8.6e-3, 2.1e-4, 1.1e-3, 2.2e-3, 4.4e-5),
    "exp2": (8.9e-4, 4.5e-4, 4.0e-4, 2.4e-4, 5.3e-5),
}
"""Published mean squared errors at T=16, by function, from Table X of arXiv 2508.07710."""

FUNCTIONS = ("gelu", "silu", "tanh", "sigmoid", "erf", "exp2", "reciprocal", "rsqrt")
TIMESTEPS = (1, 2, 4, 6, 8, 12, 16)
BASES = (8, 16, 32)


Fit = Callable[[ScalarFunction, int, int], MbeNeuron]


class Measurement(NamedTuple):
    """A neuron, how far off it is, and what it cost."""

    squared_error: float
    largest_error: float
    spikes: float
    seconds: float
    fingerprint: str


def measure(fit: Fit, function: ScalarFunction, bases: int, timesteps: int) -> Measurement:
    """Fit a neuron and compare it with `function` on its domain."""
    begin = time.process_time()
    neuron = fit(function, bases, timesteps)
    seconds = time.process_time() - begin
    lo, hi = function.domain
    x = (lo + (np.arange(ARGUMENTS) + 0.5) * ((hi - lo) / ARGUMENTS)).astype(np.float32)
    response = closed_form(neuron, x)
    error = response.y - function.formula(x.astype(np.float64))
    tensors = b"".join(tensor.tobytes() for tensor in neuron.tensors().values())
    return Measurement(
        float(np.mean(error**2)),
        float(np.abs(error).max()),
        float(response.spikes.sum() / ARGUMENTS),
        seconds,
        hashlib.sha256(tensors).hexdigest()[:12],
    )


def comparison() -> Iterator[str]:
    """Table X, line by line: published, the paper's neuron by our fit, our neuron."""
    yield "| function | N | published | its neuron, our fit | our neuron | seconds | SHA-256 |"
    yield "|---|---|---|---|---|---|---|"
    for name, published in PUBLISHED.items():
        function = get(name)
        for bases, error in zip(PUBLISHED_BASES, published, strict=True):
            paper = measure(fit_paper, function, bases, 16)
            ours = measure(fit_function, function, bases, 16)
            yield (
                f"| {domain_of(function)} | {bases} | {error:.1e} | {paper.squared_error:.1e} "
                f"| **{ours.squared_error:.1e}** | {paper.seconds:.2f} / {ours.seconds:.2f} "
                f"| `{paper.fingerprint}` / `{ours.fingerprint}` |"
            )


def errors_by_size() -> Iterator[str]:
    """Every function at every number of bases and time steps, line by line."""
    yield "| function | N | T | mean squared | largest | spikes | seconds | SHA-256 |"
    yield "|---|---|---|---|---|---|---|---|"
    for name in FUNCTIONS:
        function = get(name)
        for bases in BASES:
            for timesteps in TIMESTEPS:
                ours = measure(fit_function, function, bases, timesteps)
                yield (
                    f"| {domain_of(function)} | {bases} | {timesteps} | {ours.squared_error:.1e} "
                    f"| {ours.largest_error:.1e} | {ours.spikes:.1f} | {ours.seconds:.2f} "
                    f"| `{ours.fingerprint}` |"
                )


def domain_of(function: ScalarFunction) -> str:
    """Name and domain, as the tables show them."""
    lo, hi = function.domain
    return f"{function.name} [{lo:g}, {hi:g}]"


def page() -> Iterator[str]:
    """docs/measurements/function-error.md, line by line."""
    yield "# Error of fitted neurons"
    yield ""
    yield f"Written by `{COMMAND}`; do not edit."
    yield f"Errors are over {ARGUMENTS} arguments spread evenly over the domain, spikes are means over them, with"
    yield "the gate; seconds are the CPU time of the fit. The SHA-256 is that of all parameters, and the same on"
    yield "every machine and number of threads."
    yield ""
    yield "## Beside the published errors (T=16)"
    yield ""
    yield "Mean squared errors: in Table X of arXiv 2508.07710; of the same neuron (one resting potential for"
    yield "all bases), fitted by `fit_paper`; of ours, fitted by `fit_function`. Seconds and SHA-256 are those"
    yield "of the last two. `exp2`, `reciprocal` and `rsqrt` are fitted for the least relative error."
    yield ""
    yield from comparison()
    yield ""
    yield "## By bases and time steps"
    yield ""
    yield from errors_by_size()


def without_times(lines: str) -> str:
    """The page without its timings, which differ from run to run."""
    return re.sub(r"\d+\.\d\d( / \d+\.\d\d)? (?=\| `)", "", lines)


def main() -> int:
    """Run the benchmark; the exit status is 1 where `--check` finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare with the page instead of writing it")
    check = parser.parse_args().check
    lines = []
    for line in page():
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        lines.append(line)
    text = "\n".join(lines) + "\n"
    if not check:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text)
        return 0
    same = PAGE.exists() and without_times(PAGE.read_text()) == without_times(text)
    sys.stderr.write(f"{PAGE}: {'the fits are the same' if same else 'the fits DIFFER'}\n")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
