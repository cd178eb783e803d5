# SPDX-License-Identifier: Apache-2.0
"""Every kind of file in every host: is the answer that of Python, and what does it cost over the original there?

    python benchmarks/host_files.py                              # writes docs/hosts.md
    python benchmarks/host_files.py --openvino OTHER/bin/python  # of an environment that has OpenVINO
    python benchmarks/host_files.py --only vit-cifar10 --samples 4 --runs 3

The networks of models/ are converted into `--folder`, where the files stay, with closed bodies: with functions,
without them (--inline), and without them and float64 (--precision single). Each host creates a session of each file in
a process of its own, on one thread, runs `--samples` samples at once for their outputs, and one sample for the time.
Figures that are not measured anew stay.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from host_sessions import HOSTS, measured, write_feeds
from measurement import describe_machine, machine_in_words

import onnx_snn
from onnx_snn.formatting import table

ROOT = Path(__file__).parents[1]
NETWORKS = ("vit-cifar10", "roberta-mr")
KINDS: dict[str, dict[str, Any]] = {
    "functions": {},
    "inlined": {"inline": True},
    "single": {"inline": True, "precision": "single"},
}
ORIGINAL = "original"
ALL_HOSTS = ("python", "kernels", *HOSTS[1:], "openvino")
WORDS = {
    "python": "Python without onnx_snn",
    "kernels": "Python with the kernels",
    "node": "onnxruntime-node",
    "chromium": "onnxruntime-web, Chromium",
    "openvino": "OpenVINO",
}
KEY = ("network", "host", "file")
HEADER = ("network", "host", "file", "outputs", "argmax", "creation, s", "/ original", "run, ms", "/ original")


def files_of(network: Path, options: argparse.Namespace) -> dict[str, Path]:
    """The original and its conversions, by their name in the table; written where they are missing."""
    files = {ORIGINAL: network / "model.onnx"}
    for kind, settings in KINDS.items():
        files[kind] = options.folder / f"{network.name}-{kind}.onnx"
        if not files[kind].exists():
            cache = options.folder / f"{network.name}-calibration.npz"
            calibration = network / "calibration.npz"
            onnx_snn.convert(
                files[ORIGINAL], files[kind], calibration, calibration_cache=cache, body="closed", **settings
            )
    return files


def rows_of(network: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The figures of every file in every host."""
    files = files_of(network, options)
    one, many = (options.folder / f"{network.name}-{name}.json" for name in ("one", "many"))
    with np.load(network / "calibration.npz") as samples:
        for path, count in ((one, 1), (many, options.samples)):
            write_feeds({name: array[:count] for name, array in samples.items()}, path)
    expected = {name: _outputs("python", file, many, options) for name, file in files.items()}
    for host in options.hosts:
        original = None
        for name, file in files.items():
            row: dict[str, Any] = {"network": network.name, "host": host, "file": name}
            try:
                outputs = _outputs(host, file, many, options)
                times = [_measured(host, file, one, options.runs, options) for _ in range(options.rounds)]
            except RuntimeError as error:
                yield {**row, "refused": str(error).splitlines()[0].replace(str(file), file.name)}
                continue
            best = {what: min(each[what] for each in times) for what in ("create", "run")}
            original = original or best
            ratios = {f"{what}_ratio": best[what] / original[what] for what in best}
            reference = expected["functions" if name in KINDS else name]
            yield {**row, **_compared(outputs, reference, options.samples), **best, **ratios}


def _measured(host: str, file: Path, feeds: Path, runs: int, options: argparse.Namespace) -> dict[str, Any]:
    python = options.openvino if host == "openvino" else sys.executable
    return measured(host, file.resolve(), feeds.resolve(), runs, python=python)


def _outputs(host: str, file: Path, feeds: Path, options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = _measured(host, file, feeds, 1, options)["outputs"]
    return found


def _compared(outputs: dict[str, Any], expected: dict[str, Any], samples: int) -> dict[str, float]:
    """Relative error over all outputs, and the share of samples of equal argmax of the first one."""
    first = next(iter(expected))
    pairs = [(np.float32(outputs[name]), np.float32(array)) for name, array in expected.items()]
    difference = np.concatenate([actual - reference for actual, reference in pairs])
    signal = np.concatenate([reference for _, reference in pairs])
    scores, right = (np.float32(each[first]).reshape(samples, -1) for each in (outputs, expected))
    agreement = float((scores.argmax(axis=1) == right.argmax(axis=1)).mean())
    return {"error": float(np.linalg.norm(difference) / np.linalg.norm(signal)), "agreement": agreement}


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """The cells of a row of the table."""
    named = (row["network"], WORDS[row["host"]], row["file"])
    if "refused" in row:
        return (*named, "refused", *[""] * 5)
    return (
        *named,
        "equal bits" if row["error"] == 0.0 else f"{row['error']:.1e}",
        f"{row['agreement']:.0%}",
        f"{row['create']:.2f}",
        f"{row['create_ratio']:.1f}",
        f"{row['run'] * 1e3:.1f}",
        f"{row['run_ratio']:.1f}",
    )


PAGE = """# Hosts

What a converted network answers in each host, beside the same network in Python without onnx_snn (the original beside
the original; `single` beside the bodies with float64), and what it costs there over the original. Products with weights
are those of the host, which sums in an order of its own: a level of a neuron may tip over by it, as the rows of the
original show how far such sums differ. Files: `functions` as converted, `inlined` by `--inline`, `single` by `--inline
--precision single`, all with `--body closed`, T=8. OpenVINO refuses our functions, and computes float64 in
float32, which bodies with float64 do not bear: it takes `single`. A C program runs onnxruntime's own library, as Python
does; `tests/test_c_api.py` compares its answers.

`python benchmarks/host_files.py`, {machine}, onnxruntime-node and onnxruntime-web {javascript}{openvino}; one thread,
{samples} samples for outputs, one for times. Seconds are those of the processor, in Chromium of the clock, where
creation includes the compilation of onnxruntime-web; the least of all rounds.

```text
{table}
```
"""


def write(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Write the page and the figures beside it."""
    machine = describe_machine()
    packages = json.loads((ROOT / "tests" / "hosts" / "package.json").read_text())["dependencies"]
    page = PAGE.format(
        machine=machine_in_words(machine),
        javascript=packages["onnxruntime-web"],
        openvino=f", OpenVINO {options.openvino_version}" if options.openvino_version else "",
        samples=options.samples,
        table=table(HEADER, map(cells, rows)),
    )
    options.output.write_text(page)
    figures = ROOT / "docs" / "measurements" / "hosts.json" if options.figures is None else options.figures
    figures.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--hosts", nargs="+", choices=ALL_HOSTS, default=ALL_HOSTS)
    parser.add_argument("--samples", type=int, default=16, help="samples of which outputs are compared")
    parser.add_argument("--runs", type=int, default=7, help="runs of each session, of which the median counts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--openvino", default=sys.executable, help="Python interpreter that has OpenVINO")
    parser.add_argument("--openvino-version", default="", help="its version, for the page")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "hosts")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "hosts.md")
    parser.add_argument("--figures", type=Path, help="JSON file (default: docs/measurements/hosts.json)")
    options = parser.parse_args(arguments)
    if options.openvino == sys.executable and importlib.util.find_spec("openvino") is None:
        options.hosts = [host for host in options.hosts if host != "openvino"]
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = options.figures or ROOT / "docs" / "measurements" / "hosts.json"
    rows = json.loads(kept.read_text())["rows"] if kept.exists() else []
    for name in options.only:
        for row in rows_of(ROOT / "models" / name, options):
            rows = [other for other in rows if any(other[key] != row[key] for key in KEY)] + [row]
            print(*cells(row), flush=True)
            write(rows, options)


if __name__ == "__main__":
    main()
