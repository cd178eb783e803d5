# SPDX-License-Identifier: Apache-2.0
"""Write the golden files of a release: converted networks, with inputs and outputs that later releases must reproduce.

    python tests/golden/write.py      # into tests/golden/VERSION, which must not exist

Each network is NAME.onnx, with NAME.npz of its feeds ("0/x") and of the expected outputs of each ("0:y").
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))
import onnx_snn  # noqa: E402
from golden.networks import Golden, networks  # noqa: E402 - the networks of the tests are beside
from onnx_snn.graph.model_reader import load_model  # noqa: E402
from onnx_snn.graph.model_writer import save_model  # noqa: E402
from onnx_snn.runtime.execution import run  # noqa: E402
from onnx_snn.runtime.tap_session import Observer, quiet_options_with_kernels  # noqa: E402

PRODUCTS = ("MatMul", "Gemm", "FusedMatMul")
"""Operators whose sums onnxruntime takes in an order of the machine."""

SIGNIFICANT_BITS = {"float32": 24, "float16": 11}


def main() -> int:
    """Write everything, or nothing."""
    folder = FOLDER / onnx_snn.__version__
    if folder.exists():
        sys.stderr.write(f"{folder} exists: the golden files of a release are written once\n")
        return 1
    with tempfile.TemporaryDirectory(dir=FOLDER) as temporary:
        staged = Path(temporary) / folder.name
        staged.mkdir()
        for name, golden in networks():
            write(golden, staged / f"{name}.onnx")
            sys.stdout.write(f"{name}\n")
        staged.rename(folder)
    return 0


def write(golden: Golden, path: Path) -> None:
    """Convert `golden` to `path`, and write its feeds and outputs beside it.

    Raises:
        ValueError: the outputs are not the same by kernels and by functions, or would not be on other machines.
    """
    onnx_snn.convert(golden.model, path, golden.data, progress=False, **golden.options)
    if golden.external:
        save_model(load_model(path), path, external_data=True)
    arrays = {}
    for number, feed in enumerate(golden.inputs):
        require_exact_sums(path, feed)
        outputs = [_outputs(path, feed, kernels) for kernels in (True, False)]
        for name, expected in outputs[0].items():
            if expected.tobytes() != outputs[1][name].tobytes():
                raise ValueError(f"{path.name}: kernels and functions differ in output {name!r}")
        arrays |= {f"{number}/{name}": array for name, array in feed.items()}
        arrays |= {f"{number}:{name}": array for name, array in outputs[0].items()}
    np.savez_compressed(path.with_suffix(".npz"), **arrays)


def _outputs(path: Path, feed: dict[str, NDArray[np.generic]], kernels: bool) -> dict[str, NDArray[np.generic]]:
    options = onnx_snn.session_options(quiet=True, kernels=kernels)
    session = onnx_snn.session(path, session_options=options, kernels=kernels)
    return run(session, [output.name for output in session.get_outputs()], feed)


def require_exact_sums(path: Path, feed: dict[str, NDArray[np.generic]]) -> None:
    """Raise `ValueError` where a sum of products in the main graph of `path` depends on the order of its terms."""
    model = load_model(path)
    products = [node for node in model.graph if node.op_type in PRODUCTS]
    if not products:
        return
    values = {str(value.name): value for node in products for value in node.inputs if value is not None}
    constants = {name: value.const_value for name, value in values.items() if value.const_value is not None}
    seen = Observer(model, sorted(values.keys() - constants), session_options=quiet_options_with_kernels)(feed)
    arrays = seen | {name: tensor.numpy() for name, tensor in constants.items()}
    for node in products:
        a, b, *_ = (arrays[str(value.name)] for value in node.inputs if value is not None)
        if not sums_are_exact(a, b, SIGNIFICANT_BITS[str(a.dtype)]):
            raise ValueError(f"{path.name}: the sums of node {node.name!r} depend on their order")


def sums_are_exact(a: NDArray[np.floating], b: NDArray[np.floating], bits: int) -> bool:
    """Whether each sum over k of a[..., i, k] * b[..., k, j] has one rounding at most, in any order of its terms.

    That holds where all partial sums are multiples of one unit and have at most `bits` bits, and where a sum has at
    most two terms, which are exact themselves.
    """
    terms = a.astype(np.float64)[..., :, :, None] * b.astype(np.float64)[..., None, :, :]
    mantissas, exponents = np.frexp(terms)
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    units = np.where(terms == 0.0, np.inf, np.ldexp((whole & -whole).astype(np.float64), exponents - 53))
    exact = np.abs(terms).sum(axis=-2) <= 2.0**bits * units.min(axis=-2)
    short = (np.abs(terms) <= 2.0**bits * np.where(terms == 0.0, 1.0, units)).all(axis=-2)
    few = (terms != 0.0).sum(axis=-2) <= 2
    return bool((exact | (short & few)).all())


if __name__ == "__main__":
    raise SystemExit(main())
