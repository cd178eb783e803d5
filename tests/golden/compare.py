# SPDX-License-Identifier: Apache-2.0
"""Compare what golden files give with what they gave when they were written, bit by bit.

    ONNX_SNN_ISA=avx2 python tests/golden/compare.py
    python tests/golden/compare.py --functions      # by the functions inside the files, without kernels

Prints the outputs that differ; exits with 1 where there are any.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import onnx_snn
from onnx_snn.runtime.execution import run

FOLDER = Path(__file__).parent

Arrays = dict[str, NDArray[np.generic]]


def files() -> list[Path]:
    """The golden networks of all releases."""
    return sorted(FOLDER.glob("*/*.onnx"))


def differences(path: Path, *, kernels: bool) -> list[str]:
    """The outputs of the golden network `path` that have other bits, types or shapes than when it was written."""
    feeds: dict[str, Arrays] = defaultdict(dict)
    expected: dict[str, Arrays] = defaultdict(dict)
    with np.load(path.with_suffix(".npz")) as arrays:
        for key in arrays.files:
            kind = feeds if "/" in key else expected
            number, name = key.split("/" if "/" in key else ":", maxsplit=1)
            kind[number][name] = arrays[key]
    session = onnx_snn.session(
        path, session_options=onnx_snn.session_options(quiet=True, kernels=kernels), kernels=kernels
    )
    found = []
    for number, feed in feeds.items():
        outputs = run(session, list(expected[number]), feed)
        found += [f"{number}:{name}" for name, array in expected[number].items() if not _same(outputs[name], array)]
    return found


def _same(a: NDArray[np.generic], b: NDArray[np.generic]) -> bool:
    return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def main() -> int:
    """Compare all golden files."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--functions", action="store_true", help="run the functions inside the files, not the kernels")
    functions, status = parser.parse_args().functions, 0
    for path in files():
        found = differences(path, kernels=not functions)
        sys.stdout.write(f"{path.parent.name}/{path.name}: {', '.join(found) or 'the same bits'}\n")
        status |= bool(found)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
