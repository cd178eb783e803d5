# SPDX-License-Identifier: Apache-2.0
"""Sessions that come and go leave no memory behind."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CYCLES = 100

PROGRAM = f"""
import ctypes
import onnxruntime
import onnx_snn

class Usage(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL("libc.so.6")
libc.mallinfo2.restype = Usage

def used(cycles):
    for _ in range(cycles):
        onnxruntime.SessionOptions().register_custom_ops_library(str(onnx_snn.get_library_path()))
    return libc.mallinfo2().uordblks

first = used(10)
print((used({CYCLES}) - first) / {CYCLES})
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.system() != "Linux", reason="asks the allocator of glibc")
def test_registering_the_library_again_and_again_takes_no_memory() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert float(ended.stdout) < 1024, "bytes for each registration"
