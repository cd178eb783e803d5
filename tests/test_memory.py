# SPDX-License-Identifier: Apache-2.0
"""A conversion holds one copy of the weights, whether they lie in the file or beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnx_snn.graph.model_writer import save_model

pytestmark = pytest.mark.slow

WIDTH, LAYERS = 2048, 8
MEBIBYTE = 1 << 20
ALLOWANCE = 160 * MEBIBYTE
"""What activations, histograms and onnxruntime itself need."""

PROGRAM = """
import sys
import numpy as np
import onnx_snn

def resident(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

before = resident("VmRSS")
data = {"x": np.random.default_rng(0).normal(size=(4, WIDTH)).astype(np.float32)}
onnx_snn.convert(sys.argv[1], sys.argv[2], data, progress=False)
print(resident("VmHWM") - before)
"""


def network() -> ir.Model:
    """A chain of weight products with one function at its end."""
    generator = np.random.default_rng(0)
    products = "".join(f"h{n + 1} = MatMul(h{n}, w{n})\n" for n in range(LAYERS))
    proto = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": 17]>
        main (float[N, {WIDTH}] x) => (float[N, {WIDTH}] y) <{", ".join(f"float w{n}" for n in range(LAYERS))}> {{
            h0 = Identity(x)
            {products}
            y = Relu(h{LAYERS})
        }}"""
    )
    for n in range(LAYERS):
        weights = generator.standard_normal((WIDTH, WIDTH), np.float32) / np.float32(WIDTH**0.5)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weights, f"w{n}"))
    del proto.graph.value_info[:]
    return ir.from_proto(proto)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measured as Linux tells it")
@pytest.mark.parametrize("external", [False, True], ids=["inside", "beside"])
def test_a_conversion_holds_one_copy_of_the_weights(external: bool, tmp_path: Path) -> None:
    source, size = tmp_path / "model.onnx", 4 * LAYERS * WIDTH**2
    save_model(network(), source, external_data=external)
    command = [sys.executable, "-c", PROGRAM.replace("WIDTH", str(WIDTH)), str(source), str(tmp_path / "snn.onnx")]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown <= size + ALLOWANCE, f"{grown / MEBIBYTE:.0f} MiB for {size / MEBIBYTE:.0f} MiB of weights"
