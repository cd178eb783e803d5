# SPDX-License-Identifier: Apache-2.0
"""Whether conversions give the same files on other machines; writes docs/measurements/digests.md.

    python benchmarks/digests.py --machine NAME --statistics FOLDER [--only NETWORK ...] [--by-rule]
    python benchmarks/digests.py --page      # the page alone, of what was measured

Each run adds one machine to docs/measurements/digests.json. The first machine leaves its calibration caches in FOLDER,
and the others convert with them as well: files of the same statistics are told from files of the same data.
Other machines are emulated, as custom_ops/README.md says of the kernels.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

import onnx_snn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from corpus import BATCH, entries, feeds  # noqa: E402 - the corpus is beside the tests
from networks import classifier, normal, tokens, transformer  # noqa: E402

PAGE = ROOT / "docs" / "measurements" / "digests.md"
FAMILIES = ("falcon.dynamo", "mobilenet-v1.dynamo", "t5.dynamo")
CALIBRATION_BATCHES = 4

RULE, CHOICE = "by rule", "within the budget"
WAYS: dict[str, dict[str, Any]] = {RULE: {"fast": True}, CHOICE: {}}
"""Options of the two ways in which neurons are found."""

Digests = dict[str, str]
Network = tuple[onnx.ModelProto, list[dict[str, Any]]]


def networks() -> Iterator[tuple[str, Callable[[], Network]]]:
    """Small networks with calibration data, by name."""
    yield "classifier", lambda: (classifier(), [{"x": normal(32, 8)}])
    yield "transformer", lambda: (transformer(), [tokens()])
    for entry in entries():
        if entry.name in FAMILIES:
            yield entry.name, lambda entry=entry: _of_corpus(entry.load())  # type: ignore[misc]


def _of_corpus(model: onnx.ModelProto) -> Network:
    return model, [feeds(model, seed=seed, batch=BATCH) for seed in range(CALIBRATION_BATCHES)]


def measured(model: onnx.ModelProto, data: list[dict[str, Any]], given: Path, ways: Mapping[str, Any]) -> Digests:
    """Digests of the outputs of `model`, of its calibration and of the converted files.

    Args:
        model: the original.
        data: calibration data.
        given: calibration cache whose statistics are used as well; written where there is none.
        ways: the ways in which it is converted.
    """
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs = b"".join(np.ascontiguousarray(array).tobytes() for feed in data for array in session.run(None, feed))
    digests = {"outputs": hashlib.sha256(outputs).hexdigest()}
    with tempfile.TemporaryDirectory() as folder:
        own, file = Path(folder) / "own.npz", Path(folder) / "spiking.onnx"
        for kind, cache in (("data", own), ("statistics", given)):
            if kind == "statistics" and not cache.exists():
                cache.write_bytes(own.read_bytes())
            for way, options in ways.items():
                onnx_snn.convert(model, file, data, calibration_cache=cache, progress=False, **options)
                digests[f"{way}, same {kind}"] = hashlib.sha256(file.read_bytes()).hexdigest()
        with np.load(own) as arrays:
            digests["statistics"] = str(arrays["checksum"])
    return digests


def page(machines: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """docs/measurements/digests.md, line by line."""
    reference, *others = machines
    expected = machines[reference]["networks"]
    yield "# The same file on every machine"
    yield ""
    yield "Written by `python benchmarks/digests.py`; do not edit. Small networks were converted on several machines,"
    yield f"and the digests (SHA-256) compared with those on the first: {reference}. How many of them are equal:"
    yield ""
    names = ["outputs", "statistics", *(f"{way}, same {kind}" for way in WAYS for kind in ("data", "statistics"))]
    titles = {"outputs": "outputs of the original", "statistics": "calibration"}
    yield "| machine | " + " | ".join(titles.get(name, name) for name in names) + " |"
    yield "|---" * (len(names) + 1) + "|"
    for machine in others:
        found = machines[machine]["networks"]
        yield f"| {machine} | " + " | ".join(_equal(expected, found, name) for name in names) + " |"
    yield ""
    yield "Files are converted at T=8, their neurons found by rule (`--fast`) or within the error budget, from the same"
    yield "data (each machine calibrates for itself) or the same statistics (the calibration cache of the first one)."
    yield ""
    yield "Others are emulated by QEMU in user mode: `qemu-x86_64 -cpu max` and `-cpu Nehalem`, and `qemu-aarch64 -cpu"
    yield "cortex-a76` with a Python, wheels and a library of that architecture. Emulated AVX2 is that of onnxruntime"
    yield "and the kernels; NumPy has `NPY_DISABLE_CPU_FEATURES` there: its argsort is wrong by the AVX2 of QEMU 7.2."
    yield ""
    yield from _differences(machines, names)


def _equal(expected: Mapping[str, Digests], found: Mapping[str, Digests], name: str) -> str:
    both = [key for key in found if name in found[key] and name in expected.get(key, {})]
    return f"{sum(found[key][name] == expected[key][name] for key in both)} of {len(both)}" if both else "-"


def _differences(machines: Mapping[str, Mapping[str, Any]], names: list[str]) -> Iterator[str]:
    """Which networks differ, machine by machine."""
    reference, *others = machines
    expected = machines[reference]["networks"]
    yield "| machine | differs in |"
    yield "|---|---|"
    for machine in others:
        found = machines[machine]["networks"]
        differing = [
            f"{key} ({'; '.join(parts)})"
            for key in found
            if (parts := [n for n in names if n in found[key] and found[key][n] != expected.get(key, {}).get(n)])
        ]
        yield f"| {machine} | {', '.join(differing) or 'nothing'} |"
    yield ""
    versions = {" ".join(machine["versions"]) for machine in machines.values()}
    yield f"Versions: {', '.join(sorted(versions))}."


def main() -> int:
    """Measure one machine, and write the page."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--machine", help="name of the machine in the table")
    parser.add_argument("--statistics", type=Path, help="folder of the calibration caches of the first machine")
    parser.add_argument("--only", nargs="+", help="names of networks; all by default")
    parser.add_argument(
        "--by-rule", action="store_true", help="leave out the choice within the budget, which takes longer"
    )
    parser.add_argument("--page", action="store_true", help="write the page of what was measured")
    parser.add_argument("--output", type=Path, default=PAGE)
    options = parser.parse_args()
    file = options.output.with_suffix(".json")
    if options.machine:
        ways = {RULE: WAYS[RULE]} if options.by_rule else WAYS
        digests = {}
        for name, build in networks():
            if not options.only or name in options.only:
                digests[name] = measured(*build(), options.statistics / f"{name}.npz", ways)
                print(options.machine, name, {key: digest[:8] for key, digest in digests[name].items()}, flush=True)
                _add(file, options.machine, digests)
    options.output.write_text("\n".join(page(json.loads(file.read_text()))) + "\n")
    return 0


def _add(file: Path, machine: str, digests: Mapping[str, Digests]) -> None:
    """Enter `digests` of `machine` into `file`; those of its other networks stay."""
    machines = json.loads(file.read_text()) if file.exists() else {}
    entry = machines.setdefault(machine, {"networks": {}})
    entry["networks"] |= digests
    entry["architecture"], entry["instructions"] = platform.machine(), os.environ.get("ONNX_SNN_ISA", "")
    entry["versions"] = [f"onnxruntime {ort.__version__}", f"NumPy {np.__version__}"]
    file.write_text(json.dumps(machines, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
