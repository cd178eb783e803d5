# SPDX-License-Identifier: Apache-2.0
"""Random nodes of every operator: the kernels of every instruction set of this processor, and the functions in a
converted file, against NumPy, bit for bit, values and counts of spikes.

    python tests/fuzz/kernels.py --cases 100000

Each instruction set and each form of the functions runs in a process of its own. Every case has a seed; one that
differs is printed with it, and `--first SEED --cases 1` runs it again. Exits with 1 where a case differs. What
docs/op_spec.md leaves open is not compared: payloads of NaN and spikes of rows that hold one, in softmax and
normalizations.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from composites import one_nan
from native import native, native_constant, without_x
from portable import model_of, session_of

from fuzz.nodes import Node, cancels, expected, random_node
from onnx_snn.errors import NeuronError
from onnx_snn.neurons.function_bodies import closed_body_fits
from onnx_snn.neurons.opset import MBE_NEURON, Body, Operator

INSTRUCTION_SETS = ("baseline", "avx2", "avx512", "neon")
BODIES = {f"{body.value} body": body for body in Body}
KERNELS = "kernels"

EACH_BODY = 4
"""The functions run one of so many cases."""

EACH_CONSTANT = 20
"""One of so many cases has constants as parameters, in a session of its own."""

NOT_COMPARED = (
    "float16 and float64: the operators take float32 alone",
    "scales that are no powers of two: their roundings are those of the kernels alone (custom_ops/tests has them)",
    "means of rows that cancel by 24 bits or more: the order of such sums is open, and may show",
)

Outputs = dict[str, NDArray[Any]]


def random_case(seed: int) -> Node | None:
    """The node of a seed; None where its sums would not be exact, so that it is no node."""
    try:
        return random_node(np.random.default_rng(seed))
    except NeuronError:
        return None


@cache
def function(operator: Operator, body: Body, metered: bool, polarity: int) -> Any:
    """A session of one node that runs as the function of the file."""
    return session_of(model_of(operator, body=body, metered=metered, polarity=polarity))


def outputs_of(node: Node, by: str, seed: int) -> Outputs | None:
    """What `by`, the kernels or a body, gives; None where the body does not compute such neurons."""
    metered = seed % 3 > 0
    if by != KERNELS:
        if BODIES[by] is Body.CLOSED and not closed_body_fits(node.neurons):
            return None
        names = node.operator.outputs(metered)
        session = function(node.operator, BODIES[by], metered, node.polarity)
        return dict(zip(names, session.run(names, node.feeds), strict=True))
    if seed % EACH_CONSTANT == 0:
        run = native_constant(node.operator, metered, node.polarity, without_x(node.feeds))
        return run({"x": node.feeds["x"]})
    return native(node.operator, metered, node.polarity)(node.feeds)


def differs(node: Node, found: Outputs) -> bool:
    """Whether `found` has other bits than NumPy gives."""
    wanted = expected(node)
    if node.operator is not MBE_NEURON:
        if np.isnan(wanted["y"]).any():
            found = {"y": found["y"]}
        wanted, found = wanted | {"y": one_nan(wanted["y"])}, found | {"y": one_nan(found["y"])}
    return any(
        array.shape != wanted[name].shape or array.tobytes() != wanted[name].tobytes() for name, array in found.items()
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases, in one process for each instruction set and each body."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000, help="cases for each instruction set")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--here", choices=(KERNELS, *BODIES), help="run it in this process, with its instruction set")
    options = parser.parse_args(arguments)
    if options.here:
        return _run(options.here, range(options.first, options.first + options.cases))

    def started(name: str) -> subprocess.CompletedProcess[str]:
        by, cases = (name, max(1, options.cases // EACH_BODY)) if name in BODIES else (KERNELS, options.cases)
        command = [sys.executable, __file__, "--here", by, "--cases", str(cases), "--first", str(options.first)]
        environment = os.environ | ({} if name in BODIES else {"ONNX_SNN_ISA": name})
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    names, failed = (*INSTRUCTION_SETS, *BODIES), False
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, ended in zip(names, pool.map(started, names), strict=True):
            absent = f"ONNX_SNN_ISA is '{name}'" in ended.stderr
            said = "skipped, this processor does not have it" if absent else ended.stdout.strip()
            print(f"{name}: {said}", flush=True)
            if ended.returncode and not absent:
                print(ended.stderr[-2000:])
                failed = True
    for what in NOT_COMPARED:
        print(f"skipped, {what}")
    return int(failed)


def _run(by: str, seeds: range) -> int:
    counts: Counter[str] = Counter()
    with np.errstate(all="ignore"):
        for seed in seeds:
            node = random_case(seed)
            found = None if node is None else outputs_of(node, by, seed)
            if node is None or found is None:
                counts["no such neuron"] += 1
            elif cancels(node):
                counts["sums that cancel"] += 1
            elif differs(node, found):
                counts["differ"] += 1
                print(f"seed {seed} differs ({node.operator.name})", flush=True)
            else:
                counts["equal"] += 1
                counts[node.operator.name] += 1
    print(", ".join(f"{count} {what}" for what, count in counts.most_common()))
    return int(counts["differ"] > 0)


if __name__ == "__main__":
    sys.exit(main())
