# SPDX-License-Identifier: Apache-2.0
"""Runs one binary of the library in several releases of onnxruntime, each in an environment of its own.

    python custom_ops/tests/onnxruntime_versions.py LIBRARY [VERSION ...]

The model is made here, in the text format of ONNX, and its answer is known: nothing but numpy, onnx and onnxruntime
is needed in each environment, which pip installs into a temporary folder.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import venv
from pathlib import Path

VERSIONS = ("1.17.0", "1.18.1", "1.20.1", "1.23.2", "")
"""The oldest that the library supports, some between, and the newest."""

NUMPY_2 = (1, 19)
"""From here on onnxruntime works with numpy 2."""

PROGRAM = '''
import sys
import numpy as np
import onnx
import onnxruntime as ort

MODEL = """
<ir_version: 9, opset_import: ["" : 17, "onnx_snn" : 1]>
ramp (float[batch, 3] x) => (float[batch, 3] y, int64[2, 1] spikes, float[batch, 3] p)
<
  float[1] u_rest = {0}, float[1] gain = {1}, float[1] weight = {1}, float[1] bias = {0.25}, float[1] scale = {2},
  float[2, 1] kernel = {1, 0.5}
>
{
  y, spikes = onnx_snn.MbeNeuron <polarity: int = 1> (x, u_rest, gain, kernel, kernel, kernel, weight, bias, scale)
  p = onnx_snn.SpikingSoftmax (y, u_rest, gain, kernel, kernel, kernel, weight, bias,
                               u_rest, gain, kernel, kernel, kernel, weight, bias)
}
"""

def session(model, library):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 2
    options.register_custom_ops_library(library)
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

def refusal(call):
    try:
        call()
    except Exception as error:
        return str(error)
    raise SystemExit("nothing was refused")

library = sys.argv[1]
model = onnx.parser.parse_model(MODEL)
run = session(model, library)
x = np.tile(np.float32([[-2, 1, 0.5]]), (20000, 1))
y, spikes, p = run.run(None, {"x": x})
assert y[-1].tolist() == [-2.5, 1.5, 0.5], y[-1]
assert spikes.tolist() == [[20000], [20000]], spikes
assert p.shape == x.shape and (p == p[0]).all(), p
assert run.get_outputs()[0].shape == ["batch", 3]
assert run.run(None, {"x": x[:0]})[0].shape == (0, 3)

gain = next(tensor for tensor in model.graph.initializer if tensor.name == "gain")
gain.CopyFrom(onnx.numpy_helper.from_array(np.zeros(1, np.float32), "gain"))
assert "input gain holds 0; expected" in refusal(lambda: session(model, library))
print("onnxruntime", ort.__version__, "with numpy", np.__version__, "runs the library")
'''


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Run the library in several releases of onnxruntime.")
    parser.add_argument("library", type=Path)
    parser.add_argument("versions", nargs="*", default=VERSIONS, help="releases of onnxruntime; '' is the newest")
    arguments = parser.parse_args()
    for version in arguments.versions:
        check(arguments.library.resolve(), version)


def check(library: Path, version: str) -> None:
    """Raises where the library does not work with onnxruntime `version`."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements(version)], check=True)
        subprocess.run([python, "-c", PROGRAM, str(library)], check=True)


def requirements(version: str) -> list[str]:
    """What pip installs for onnxruntime `version`."""
    if not version:
        return ["onnx", "onnxruntime"]
    old = tuple(int(part) for part in version.split(".")[:2]) < NUMPY_2
    return ["onnx==1.17.0", f"onnxruntime=={version}", "numpy<2" if old else "numpy"]


if __name__ == "__main__":
    main()
