# SPDX-License-Identifier: Apache-2.0
"""Fits return the same bits on every machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FINGERPRINT = """
import hashlib
import numpy as np
from onnx_snn.fitting.density import Density, calibrated_density
from onnx_snn.fitting.function_fit import fit_function
from onnx_snn.fitting.identity_code import fit_identity
from onnx_snn.fitting.paper_neuron import fit_paper
from onnx_snn.neurons.functions import get

points = np.arange(-64, 512) / 8.0
counts = 1.0 / (1.0 + points * points * points * points)
calibrated = calibrated_density(points, counts, -16.0, 256.0)
magnitudes = Density(points[64:], counts[64:])
neurons = [fit_function(get(name), n, t) for name in ("gelu", "erf") for n, t in ((8, 2), (8, 4), (8, 8))]
neurons += [fit_function(get(name), 16, 8, calibrated) for name in ("silu", "relu")]
neurons += [fit_identity(magnitudes, 8, t, limit=256.0) for t in (2, 4, 8, 16)]
neurons += [fit_paper(get("tanh"), 4, 16)]
tensors = [tensor.tobytes() for neuron in neurons for tensor in neuron.tensors().values()]
print(hashlib.sha256(b"".join(tensors)).hexdigest())
"""


def fingerprint(**environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FINGERPRINT],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


@pytest.mark.slow
def test_same_bits_on_every_machine() -> None:
    plain = fingerprint(OPENBLAS_NUM_THREADS="1")
    assert len(plain) == 64
    # Other matrix kernels, and vector units no wider than SSE's: exp differs in its last bit there.
    other = fingerprint(
        OPENBLAS_NUM_THREADS="2",
        OPENBLAS_CORETYPE="Nehalem",
        NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4 AVX512_ICL AVX2 FMA3 AVX512F AVX512CD AVX512_SKX",
    )
    assert other == plain
