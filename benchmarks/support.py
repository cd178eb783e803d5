# SPDX-License-Identifier: Apache-2.0
"""Which families of networks are converted, through which exporters, and how close the results are.

    PYTHONPATH=tests python benchmarks/support.py

Every network of the corpus in tests/families (see tests/architectures.py) is converted in scope full at T=8 and T=4.
The result must pass onnx's checker, return the same bits with and without the kernels, and hold no nonlinear node
that the report does not name. Its error is that on inputs that calibration has not seen. With `--only`, rows of other
networks stay as they are in the JSON file beside the table, which tests/test_families.py compares with.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus import Entry, entries
from support import ERROR_BOUNDS, examined

HEADER = ("family", "exporter", "part", "found", "converted", "kept", "error at T=8", "at T=4")


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine what is asked for and write the table; 1 where a network fails."""
    options = _parser().parse_args(arguments)
    file = options.output.with_suffix(".json")
    rows: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    known = {entry.name: entry for entry in entries()}
    rows = {name: row for name, row in rows.items() if name in known}
    failures = 0
    for name, entry in known.items():
        if (options.only and entry.family not in options.only) or (options.missing and name in rows):
            continue
        try:
            rows[name] = _row(entry)
        except Exception as error:  # noqa: BLE001 - the table is to show what happens, whatever it is
            failures += 1
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            continue
        print(name, rows[name], flush=True)
        file.write_text(json.dumps(dict(sorted(rows.items())), indent=1) + "\n")
    options.output.write_text(_page(rows))
    return int(failures > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="families to examine; all by default")
    parser.add_argument("--missing", action="store_true", help="examine what has no row yet")
    parser.add_argument("--output", type=Path, default=Path("docs/supported.md"))
    return parser
