# SPDX-License-Identifier: Apache-2.0
"""Random neurons and inputs, by the kernels of every instruction set of this processor against NumPy, bit for bit.

    python tests/fuzz/kernels.py --cases 100000

Each instruction set runs in a process of its own. Every case has a seed; one that differs is printed with it, and
`--first SEED --cases 1` runs it again. Exits with 1 where a case differs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from native import native
from portable import neuron_feeds
from strategies import Case, critical_inputs

from onnx_snn.arrays import Float32
from onnx_snn.errors import NeuronError
from onnx_snn.neurons.mbe import MAX_TIMESTEPS, UNSCALED, MbeNeuron, halving_neuron, time_loop
from onnx_snn.neurons.opset import MBE_NEURON

INSTRUCTION_SETS = ("baseline", "avx2", "avx512", "neon")

ELEMENTS = 96
"""Number of inputs of a case."""


def random_neuron(random: np.random.Generator) -> MbeNeuron:
    """A neuron of any kind: halving thresholds, exponential decay, or any numbers."""
    bases, timesteps = int(random.choice([1, 2, 3, 4, 8, 13, 32])), int(random.integers(1, MAX_TIMESTEPS + 1))
    polarity, unit = int(random.integers(2)), 2.0 ** int(random.integers(-20, 8))
    u_rest = random.normal(0, 4, bases)
    gain = random.choice([-1.0, 1.0], bases) * random.uniform(0.5, 2.0, bases) * 2.0 ** int(random.integers(-8, 9))
    weight = random.integers(-(1 << 12), 1 << 12, bases) * unit
    bias = float(random.integers(-(1 << 12), 1 << 12) * unit)
    if random.random() < 0.5:
        return halving_neuron(u_rest, gain, weight, bias, timesteps, gate=bool(random.integers(2)), polarity=polarity)
    threshold, reset, intensity = _kernels(random, bases, timesteps)
    return MbeNeuron(
        u_rest=u_rest,
        gain=gain,
        threshold=threshold,
        reset=reset,
        intensity=intensity,
        weight=weight,
        bias=np.float32(bias),
        polarity=polarity,
    )


def _kernels(random: np.random.Generator, bases: int, timesteps: int) -> tuple[Float32, Float32, Float32]:
    steps = np.arange(timesteps)[:, None]
    if random.random() < 0.5:
        decay = random.uniform(0.25, 0.95, bases) ** steps
        return decay, decay, np.round(decay * 1024) / 1024
    reset = random.uniform(-4, 4, (timesteps, bases))
    reset[random.random(reset.shape) < 0.1] = np.inf
    return random.uniform(-4, 4, (timesteps, bases)), reset, random.integers(-1024, 1024, (timesteps, bases)) / 1024


def random_case(seed: int) -> Case | None:
    """The case of a seed; None where its sums would not be exact, so that it is no neuron."""
    random = np.random.default_rng(seed)
    try:
        neuron = random_neuron(random)
    except NeuronError:
        return None
    x = random.choice(critical_inputs(neuron, random), (2, ELEMENTS // 2)).astype(np.float32)
    scaled = random.random() < 0.3
    exponents = random.integers(-12, 13, (1, ELEMENTS // 2) if scaled else 1)
    return Case(neuron, x, np.exp2(exponents).astype(np.float32) if scaled else UNSCALED)


def differs(case: Case) -> bool:
    """Whether the kernels give other bits than the time loop in NumPy, in values or in counts of spikes."""
    expected = time_loop(*case)
    found = native(MBE_NEURON, True, case.neuron.polarity)(neuron_feeds(*case))
    return expected.y.tobytes() != found["y"].tobytes() or expected.spikes.tobytes() != found["spikes"].tobytes()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases, in one process for each instruction set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000, help="cases for each instruction set")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--here", action="store_true", help="run in this process, with its instruction set alone")
    options = parser.parse_args(arguments)
    if options.here:
        return _run(range(options.first, options.first + options.cases))
    failed = 0
    for isa in INSTRUCTION_SETS:
        command = [sys.executable, __file__, "--here", "--cases", str(options.cases), "--first", str(options.first)]
        ended = subprocess.run(command, env=os.environ | {"ONNX_SNN_ISA": isa}, capture_output=True, text=True)
        absent = f"ONNX_SNN_ISA is '{isa}'" in ended.stderr
        print(f"{isa}: {'skipped, this processor does not have it' if absent else ended.stdout.strip()}", flush=True)
        if ended.returncode and not absent:
            print(ended.stderr[-2000:])
            failed += 1
    return int(failed > 0)


def _run(seeds: range) -> int:
    counts: Counter[str] = Counter()
    with np.errstate(all="ignore"):
        for seed in seeds:
            case = random_case(seed)
            if case is None:
                counts["no neuron"] += 1
            elif differs(case):
                counts["differ"] += 1
                print(f"seed {seed} differs", flush=True)
            else:
                counts["equal"] += 1
    print(", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    return int(counts["differ"] > 0)


if __name__ == "__main__":
    sys.exit(main())
