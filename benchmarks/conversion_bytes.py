# SPDX-License-Identifier: Apache-2.0
"""Whether two versions of the converter write the same files.

    python benchmarks/conversion_bytes.py --save before.json       # with the one version installed
    python benchmarks/conversion_bytes.py --against before.json    # with the other one

Converted are the networks of models/ at T=4, 8 and 16 and, with weights drawn anew, 30 networks of the corpus in
tests/families at T=8. Of each file two digests are kept: of its bytes, and of the model with the values inside the
functions numbered, because a function may name its own values as it likes. Digests differ between machines, as sums
of onnxruntime do: compare runs on one machine. Exits with 1 where a file differs in more than such names.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx

import onnx_snn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from corpus import BATCH, entries, feeds  # noqa: E402 - the corpus is beside the tests

TIMESTEPS = (4, 8, 16)
CORPUS = 30
CALIBRATION_BATCHES = 4

Digests = dict[str, dict[str, str]]
Conversion = Callable[[Path], Any]


def main() -> int:
    """Convert, then save the digests or compare them."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--save", type=Path, help="JSON file to write the digests to")
    parser.add_argument("--against", type=Path, help="JSON file of digests to compare with")
    parser.add_argument("--only", default="", help="convert only what has this in its name")
    options = parser.parse_args()
    digests: Digests = {}
    for name, convert in conversions():
        if options.only in name:
            digests[name] = digests_of(convert)
            print(name, digests[name]["bytes"][:16], flush=True)
    if options.save:
        options.save.write_text(json.dumps(digests, indent=1) + "\n")
    return compare(json.loads(options.against.read_text()), digests) if options.against else 0


def conversions() -> Iterator[tuple[str, Conversion]]:
    """Every conversion by name."""
    for model in sorted(ROOT.glob("models/**/model.onnx")):
        for timesteps in TIMESTEPS:
            yield f"{model.parent.relative_to(ROOT)} T={timesteps}", _of_file(model, timesteps)
    corpus = entries()
    for entry in corpus[:: len(corpus) // CORPUS][:CORPUS]:
        yield f"{entry.name} T=8", _of_entry(entry)


def _of_file(model: Path, timesteps: int) -> Conversion:
    calibration = model.with_name("calibration.npz")
    return lambda path: onnx_snn.convert(model, path, calibration, timesteps=timesteps, progress=False)


def _of_entry(entry: Any) -> Conversion:
    def convert(path: Path) -> None:
        model = entry.load()
        data = [feeds(model, seed=seed, batch=BATCH) for seed in range(CALIBRATION_BATCHES)]
        onnx_snn.convert(model, path, data, timesteps=8, progress=False)

    return convert


def digests_of(convert: Conversion) -> dict[str, str]:
    """Digests of the file that `convert` writes, as it is and with the values inside its functions numbered."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spiking.onnx"
        convert(path)
        model = onnx.load(path)
        for function in model.functions:
            number_values(function)
        numbered = model.SerializeToString(deterministic=True)
        forms = {"bytes": path.read_bytes(), "numbered": numbered}
        return {name: hashlib.sha256(data).hexdigest() for name, data in forms.items()}


def number_values(function: onnx.FunctionProto) -> None:
    """Name the values of `function` by the order in which they first appear, in place."""
    numbers: dict[str, str] = {"": ""}

    def renamed(names: Any) -> None:
        names[:] = [numbers.setdefault(name, f"v{len(numbers)}") for name in names]

    def visit(nodes: Any) -> None:
        for node in nodes:
            node.name = ""
            renamed(node.input)
            for attribute in node.attribute:
                graph = attribute.g
                for value in (*graph.input, *graph.output, *graph.initializer):
                    value.name = numbers.setdefault(value.name, f"v{len(numbers)}")
                visit(graph.node)
            renamed(node.output)

    renamed(function.input)
    visit(function.node)
    renamed(function.output)


def compare(before: Digests, after: Digests) -> int:
    """Print which files are equal; 1 where one differs in more than names inside functions."""
    equal = [name for name in after if before[name]["bytes"] == after[name]["bytes"]]
    renamed = [name for name in after if name not in equal and before[name]["numbered"] == after[name]["numbered"]]
    different = [name for name in after if name not in equal and name not in renamed]
    print(f"{len(after)} files: {len(equal)} equal, {len(renamed)} equal but for names inside functions")
    for name in different:
        print(f"differs: {name}")
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
