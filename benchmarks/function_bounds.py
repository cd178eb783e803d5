# SPDX-License-Identifier: Apache-2.0
"""Bounds of the error of fitted neurons by function, domain, N and T; writes docs/measurements/function-bounds.md.

    python benchmarks/function_bounds.py --jobs 2
    python benchmarks/function_bounds.py --only tanh sin      # the rows of these functions alone

The neurons are those of `fit_function` on a uniform density over the domain.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_snn.fitting.density import uniform_density
from onnx_snn.fitting.function_fit import fit_function
from onnx_snn.neurons import functions
from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import MbeNeuron

PAGE = Path(__file__).parents[1] / "docs" / "measurements" / "function-bounds.md"

BASES = (4, 8, 16, 32)
TIMESTEPS = (2, 4, 8, 16)

NARROW = (-4.0, 4.0)
NARROWED = ("gelu", "gelu_quick", "gelu_tanh", "hard_swish", "mish", "sigmoid", "silu", "softplus", "tanh")
"""A domain beside that of the registry, and the activation functions that have it as well."""

PARAMETRIC = (
    *("celu(1.0)", "elu(1.0)", "hard_sigmoid(0.2,0.5)", "leaky_relu(0.01)", "selu(1.673263,1.050701)"),
    *("power(0.5)", "power(2.0)", "power(3.0)", "power(-1.0)", "power(-2.0)", "power(-0.5)"),
)
"""Members of the parametric families."""

GRID = 1 << 14
"""Number of points evenly over a domain."""

LEVELS_OF_SEGMENT = 1 << 12
"""Largest number of levels of a segment whose borders are evaluated one by one; of more, every 2**k-th is."""

NOISE = 1e-12
"""Difference of values below which they are equal but for rounding."""

HALVINGS = 80
"""Number of times that the interval around a turn is cut by a third."""

CHUNK = 1 << 16
"""Number of points that are evaluated at a time."""

Float64 = NDArray[np.float64]


class Bound(NamedTuple):
    """Bounds of the error of a neuron, rounded up to two digits.

    Attributes:
        absolute: largest absolute error.
        of_range: largest absolute error over the difference of the largest and the smallest value of the function.
        relative: largest relative error; None where the function has a value near 0.
    """

    absolute: float
    of_range: float
    relative: float | None


def bound(neuron: MbeNeuron, function: ScalarFunction, domain: tuple[float, float]) -> Bound:
    """Bounds of |neuron(x) - function(x)| for every float32 x of `domain`.

    A halving neuron is a staircase that is monotone in each segment, and its steps are known. Between neighbouring
    points of a grid that has both sides of every step, and every argument at which the function turns, both are
    monotone, so that they differ by no more than the most distant ends of their ranges there.
    """
    x = points(neuron, function, *domain)
    y = np.concatenate([neuron(part).astype(np.float64) for part in np.array_split(x, max(1, x.size // CHUNK))])
    f = function.formula(x.astype(np.float64))
    low, high = np.minimum(f[:-1], f[1:]), np.maximum(f[:-1], f[1:])
    error = np.maximum(np.maximum(y[:-1], y[1:]) - low, high - np.minimum(y[:-1], y[1:]))
    magnitude = np.minimum(np.abs(low), np.abs(high))
    absolute = float(error.max())
    relative = float((error / magnitude).max()) if function.relative else None
    return Bound(
        rounded_up(absolute),
        rounded_up(absolute / float(f.max() - f.min())),
        None if relative is None else rounded_up(relative),
    )


def points(neuron: MbeNeuron, function: ScalarFunction, lo: float, hi: float) -> NDArray[np.float32]:
    """Arguments, float32 [P], ascending: evenly over [lo, hi], where `function` turns, and both sides of every step.

    A step of the neuron lies where (x - u_rest) * gain is a multiple of 2**(1 - T), up to its two roundings.
    """
    assert neuron.halving is not None, "fits have halving thresholds"
    timesteps = neuron.halving.timesteps
    lo = max(lo, 0.0) if neuron.polarity else lo
    levels = np.unique(np.linspace(1, 2**timesteps - 1, min(2**timesteps - 1, LEVELS_OF_SEGMENT)).round())
    offset = (levels[:, None] / (neuron.gain.astype(np.float64) * 2.0 ** (timesteps - 1))).reshape(-1)
    step = (neuron.u_rest.astype(np.float64) + offset.reshape(levels.size, -1)).reshape(-1)
    margin = 2.0**-22 * (np.abs(offset) + np.abs(step)) + 2.0**-149
    grid = np.linspace(lo, hi, GRID)
    found = np.concatenate([grid, _turns(function, grid), step - margin, step, step + margin])
    return np.unique(np.clip(found.astype(np.float32), np.float32(lo), np.float32(hi)))


def _turns(function: ScalarFunction, grid: Float64) -> Float64:
    """Arguments at which `function` turns between rising and falling, found between the points of `grid` [P]."""
    f = function.formula(grid)
    slope = np.diff(f)
    turning = np.flatnonzero((slope[:-1] * slope[1:] < 0.0) & (np.abs(slope[:-1]) + np.abs(slope[1:]) > NOISE))
    sign = np.where(slope[turning] > 0.0, 1.0, -1.0)
    left, right = grid[turning], grid[turning + 2]
    for _ in range(HALVINGS):
        third = (right - left) / 3.0
        rises = sign * function.formula(left + third) < sign * function.formula(right - third)
        left, right = np.where(rises, left + third, left), np.where(rises, right, right - third)
    return (left + right) / 2.0


def rounded_up(value: float) -> float:
    """`value`, rounded up to two digits."""
    if value == 0.0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit) * unit:.1e}")


Key = tuple[str, tuple[float, float], int, int]


def keys() -> Iterator[Key]:
    """Function, domain, N and T of every row."""
    families = {name.split("(")[0] for name in PARAMETRIC}
    for name in [*sorted(set(functions.names()) - families - functions.registered()), *PARAMETRIC]:
        domains = [functions.get(name).domain, *([NARROW] if name in NARROWED else [])]
        yield from itertools.product([name], domains, BASES, TIMESTEPS)


def row(key: Key) -> list[Any]:
    """The row of `key`: the key and its bound."""
    name, domain, bases, timesteps = key
    function = functions.get(name)
    neuron = fit_function(function, bases, timesteps, uniform_density(*domain))
    return [name, list(domain), bases, timesteps, *bound(neuron, function, domain)]


def page(rows: Iterable[list[Any]]) -> Iterator[str]:
    """docs/measurements/function-bounds.md, line by line."""
    by_line: dict[tuple[str, str, int], dict[int, str]] = {}
    for name, (lo, hi), bases, timesteps, absolute, of_range, relative in rows:
        text = f"{absolute:.1e} ({of_range:.1e})" + ("" if relative is None else f", {relative:.1e}")
        by_line.setdefault((name, f"{lo:.4g} to {hi:.4g}", bases), {})[timesteps] = text
    yield "# Bounds of the error of functions"
    yield ""
    yield "Written by `python benchmarks/function_bounds.py`; do not edit. The largest error of a neuron of N bases"
    yield "and T time steps over **all** float32 arguments of a domain: absolute, in parentheses relative to the"
    yield "range of the function there (largest minus smallest value), and where the fit minimizes it, relative to"
    yield "the value. Rounded up to two digits. The neuron is that of `fit_function` on arguments that are spread"
    yield "evenly. A fit to calibrated arguments is more exact where they are frequent, and less where they are rare."
    yield ""
    yield "Beyond the domain of the table, a neuron keeps the value at its end. `exp`, `exp2`, `log`, `reciprocal`,"
    yield "`rsqrt`, `sqrt` and whole powers take mantissas, and `sin` and `cos` angles of one period, so that"
    yield "networks have them for arguments of any size: the error relative to the value stays, as exponents are"
    yield "exact."
    yield ""
    yield "| function | domain | N | " + " | ".join(f"T={timesteps}" for timesteps in TIMESTEPS) + " |"
    yield "|---" * (3 + len(TIMESTEPS)) + "|"
    for (name, domain, bases), texts in by_line.items():
        yield f"| {name} | {domain} | {bases} | " + " | ".join(texts[timesteps] for timesteps in TIMESTEPS) + " |"


def main() -> int:
    """Compute the rows, and write the JSON file and the page."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--only", nargs="+", help="functions whose rows are computed; the others stay as they are")
    parser.add_argument("--jobs", type=int, default=1, help="fits at a time")
    parser.add_argument("--output", type=Path, default=PAGE)
    options = parser.parse_args()
    file = options.output.with_suffix(".json")
    known = {_key(each): each for each in (json.loads(file.read_text()) if file.exists() else [])}
    wanted = [key for key in keys() if not options.only or key[0] in options.only]
    with ProcessPoolExecutor(options.jobs) as pool:
        for number, each in enumerate(pool.map(row, wanted, chunksize=4), 1):
            known[_key(each)] = each
            sys.stdout.write(f"{number} of {len(wanted)}: {json.dumps(each)}\n")
    rows = [known[key] for key in keys() if key in known]
    file.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    options.output.write_text("\n".join(page(rows)) + "\n")
    return 0


def _key(each: list[Any]) -> Key:
    name, (lo, hi), bases, timesteps, *_ = each
    return name, (lo, hi), bases, timesteps


if __name__ == "__main__":
    raise SystemExit(main())
