# SPDX-License-Identifier: Apache-2.0
"""Damaged models, data and caches: the converter may refuse them in words, and raise nothing but its own errors.

    python tests/fuzz/converter.py --cases 50000

Bytes of small networks are flipped, dropped, repeated or cut. One case in fifty is converted as a whole, with data; the
others stop after selection. Every case has a seed, and `--first SEED --cases 1` runs it again. Exits with 1 where
another error was raised, a case took longer than a minute, or a refused conversion left a file.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import parser as onnx_parser

sys.path.insert(0, str(Path(__file__).parents[1]))

import networks

import onnx_snn

SECONDS = 60
"""Longest time of a case."""

WHOLE = 50
"""One of so many cases is converted as a whole."""

ATTENTION = """<ir_version: 9, opset_import: ["" : 20]>
    attention (float[batch, 5, 8] x) => (float[batch, 5, 8] y) <
        float[8] s = {1, 1, 1, 1, 1, 1, 1, 1}, float[8] b = {0, 0, 0, 0, 0, 0, 0, 0}
    > {
        g = Gelu (x)
        l = LayerNormalization <axis = -1> (g, s, b)
        t = Transpose <perm = [0, 2, 1]> (l)
        a = MatMul (l, t)
        p = Softmax <axis = -1> (a)
        y = MatMul (p, l)
    }"""

CONTROL = """<ir_version: 9, opset_import: ["" : 20]>
    control (float[batch, 8] x, bool flag) => (float[batch, 8] y) {
        twice = Constant <value = int64 {2}> ()
        u = Loop (twice, , x) <body = body (int64 i, bool go, float[batch, 8] v) => (bool on, float[batch, 8] w)
            { on = Identity (go) w = Tanh (v) }>
        y = If (flag) <
            then_branch = yes () => (float[batch, 8] a) { a = Sigmoid (u) },
            else_branch = no () => (float[batch, 8] c) { c = Exp (u) }
        >
    }"""


def seeds_of_models() -> list[bytes]:
    """The networks whose bytes are damaged."""
    models = [networks.classifier(), onnx_parser.parse_model(ATTENTION), onnx_parser.parse_model(CONTROL)]
    return [model.SerializeToString() for model in models]


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """`content` with some bytes changed."""
    changed, place = bytearray(content), int(random.integers(len(content)))
    kind = int(random.integers(6))
    if kind == 0:
        return bytes(changed[:place])
    if kind == 1:
        return random.bytes(int(random.integers(1, 400)))
    if kind == 2:
        del changed[place : place + int(random.integers(1, 40))]
    elif kind == 3:
        changed[place:place] = changed[place : place + int(random.integers(1, 80))]
    else:
        for at in random.integers(len(changed), size=int(random.choice([1, 1, 2, 4, 16]))):
            changed[at] = changed[at] ^ (1 << int(random.integers(8))) if kind == 4 else int(random.integers(256))
    return bytes(changed)


class TooSlow(BaseException):
    """A case took longer than `SECONDS`."""


def _stop(*_: object) -> None:
    raise TooSlow


def outcome(seed: int, models: Sequence[bytes], folder: Path) -> str:
    """What becomes of a case: `converted`, the name of an error of ours, or a foreign one with its place."""
    random = np.random.default_rng(seed)
    content = models[int(random.integers(len(models)))]
    model, output = folder / "model.onnx", folder / "snn.onnx"
    model.write_bytes(damaged(content, random))
    whole = random.integers(WHOLE) == 0
    feeds = {name: random.normal(size=(4, 8)).astype(np.float32) for name in ("x",)} | {"flag": np.array(True)}
    data = [feeds] if b"flag" in content else {"x": random.normal(size=(4, 5, 8)).astype(np.float32)}
    signal.alarm(SECONDS)
    try:
        if whole:
            onnx_snn.convert(model, output, data, timesteps=2, fast=True, progress=False)
        else:
            onnx_snn.convert(model, dry_run=True, timesteps=2, progress=False)
    except onnx_snn.OnnxSnnError as error:
        return "left a file" if output.exists() else type(error).__name__
    except TooSlow:
        return f"FOREIGN: longer than {SECONDS} s"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"FOREIGN: {type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
    finally:
        signal.alarm(0)
        output.unlink(missing_ok=True)
    return "converted"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases and print how many ended how."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGALRM, _stop)
    counts: Counter[str] = Counter()
    models = seeds_of_models()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.first, options.first + options.cases):
            found = outcome(seed, models, Path(folder))
            if found.startswith("FOREIGN") and found not in counts:
                print(f"seed {seed}: {found}", flush=True)
            counts[found] += 1
    for what, count in counts.most_common():
        print(f"{count:8,} {what}")
    return int(any(what.startswith("FOREIGN") or what == "left a file" for what in counts))


if __name__ == "__main__":
    sys.exit(main())
