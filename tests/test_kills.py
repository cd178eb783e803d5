# SPDX-License-Identifier: Apache-2.0
"""A process that is killed at any moment while it writes leaves the old network or the new one, never a mixture.

`make fuzz` kills 200 times, two processes at once that write the same network.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from valued_networks import network, value_of

KILLS = int(os.environ.get("ONNX_SNN_KILLS", "6"))
WRITERS = int(os.environ.get("ONNX_SNN_WRITERS", "1"))
"""Processes that write at once."""

WRITER = """
import sys
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model
models = [load_model(path) for path in sys.argv[3:]]
print("ready", flush=True)
while True:
    for model in models:
        save_model(model, sys.argv[1], external_data=sys.argv[2] == "True")
"""


@pytest.mark.slow
@pytest.mark.parametrize("external_data", [False, True])
def test_killed_writers_leave_one_whole_network(external_data: bool, tmp_path: Path) -> None:
    moments, output = random.Random(int(external_data)), tmp_path / "out" / "snn.onnx"
    output.parent.mkdir()
    for name, value in (("a.onnx", 1.0), ("b.onnx", 2.0)):
        network(tmp_path / name, value)
    command = [sys.executable, "-c", WRITER, str(output), str(external_data), str(tmp_path / "a.onnx")]
    for _ in range(KILLS):
        with ExitStack() as stack:
            started = [
                stack.enter_context(Popen([*command, str(tmp_path / "b.onnx")], stdout=PIPE)) for _ in range(WRITERS)
            ]
            for process in started:
                assert process.stdout is not None
                process.stdout.readline()
            while not output.exists():
                time.sleep(0.001)
            time.sleep(0.05 * moments.random())
            for process in started:
                process.kill()
        assert value_of(output) in (1.0, 2.0)
    program = WRITER.replace("while True:", "for _ in range(1):")
    subprocess.run([sys.executable, "-c", program, *command[3:], str(tmp_path / "b.onnx")], check=True)
    assert value_of(output) == 2.0
    assert len(list(output.parent.iterdir())) == 1 + int(external_data), "nothing is left of the killed ones"
