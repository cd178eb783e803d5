# SPDX-License-Identifier: Apache-2.0
"""The kernels in sessions of onnxruntime under ThreadSanitizer: none of its reports is of the kernels.

    python tests/fuzz/race.py build/kernels-thread

The folder is that of a build with `-D ONNX_SNN_SANITIZE=thread`. Sessions of four threads run every operator from
several threads at once. onnxruntime's pool of threads is not instrumented, so the library tells the sanitizer the two
things that the pool promises (custom_ops/src/ort/hand_off.h): a task begins after the call of the loop, and ends before
it returns. Three controls (custom_ops/tests/control_ops.cc) show that this is enough and hides nothing: of an operator
whose tasks keep to it there is no report; of the same operator there are reports where the sanitizer is not told; and
an operator whose tasks race is found. Reports of onnxruntime alone are of accesses that it makes itself, as where
one of its threads frees what another allocated.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).parents[1]))

from composites import COMPOSITES
from portable import model_of, neuron_feeds, with_constants

from fuzz.nodes import random_neuron
from fuzz.sanitized import LIBRARY, run, runtime_of
from onnx_snn.neurons.opset import MBE_NEURON, Body

THREADS = 4
"""Threads of a session."""

CALLERS, RUNS = 2, 4
"""Threads that run a session at once, and how often each does."""


REPORT = "WARNING: ThreadSanitizer"

CONTROLS = {
    ("control_ops", "Ordered"): False,
    ("control_ops_untold", "Ordered"): True,
    ("control_ops", "Racy"): True,
}
"""Whether there have to be reports of an operator of a library."""


def kernel_models() -> Iterator[tuple[onnx.ModelProto, np.ndarray]]:
    """Models of every operator with an input, among them neurons of every kind."""
    random = np.random.default_rng(0)
    x = random.normal(0, 2, (64, 1024)).astype(np.float32)
    for composite in COMPOSITES.values():
        model = model_of(composite.operator, body=Body.LOOP, metered=True, polarity=composite.polarity)
        feeds = composite.feeds(x)
        yield with_constants(model, {name: array for name, array in feeds.items() if name != "x"}), x
    for seed in range(6):
        neuron = random_neuron(np.random.default_rng(seed))
        model = model_of(MBE_NEURON, body=Body.LOOP, metered=True, polarity=neuron.polarity)
        feeds = neuron_feeds(neuron, x)
        yield with_constants(model, {name: array for name, array in feeds.items() if name != "x"}), x


def control_model(op: str) -> tuple[onnx.ModelProto, np.ndarray]:
    """A model of an operator of custom_ops/tests/control_ops.cc, with an input."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], domain="control")], op, [x], [y])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("control", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9), np.ones(64, np.float32)


def run_at_once(library: str, model: onnx.ModelProto, x: np.ndarray) -> None:
    """Run a session from several threads at once."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, 3
    options.enable_cpu_mem_arena = False
    options.register_custom_ops_library(library)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def work() -> None:
        for _ in range(RUNS):
            session.run(None, {"x": x})

    threads = [threading.Thread(target=work) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def is_of(library: Path, report: str) -> bool:
    """Whether `library` makes an access that is reported: the innermost frame outside of the sanitizer is its own."""
    accesses = re.findall(r"  (?:Previous )?(?:[Aa]tomic )?(?:[Ww]rite|[Rr]ead) of .*\n((?:    #.*\n)*)", report)
    frames = [[frame for frame in stack.splitlines() if "(libtsan" not in frame] for stack in accesses]
    return any(library.name in stack[0] for stack in frames if stack)


def reports_of(library: Path, what: str, scratch: Path) -> tuple[list[str], list[str]]:
    """The reports while a process runs `what`, the kernels or a control: those of `library`, and others."""
    ended = run(library, [__file__, "--run", what, str(library)], scratch)
    if f"ran {what}" not in ended.output:
        raise SystemExit(f"{what} of {library} failed:\n{ended.output[-2000:]}")
    reports = [report for report in ended.reports.split("=" * 18) if REPORT in report]
    own = [report for report in reports if is_of(library, report)]
    return own, [report for report in reports if report not in own]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the kernels and the controls; 1 where a report is there that must not be, or lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, help="folder of a build with ThreadSanitizer")
    parser.add_argument("--run", metavar="WHAT", help="run it in this process, with the library in place of BUILD")
    options = parser.parse_args(arguments)
    if options.run:
        for model, x in kernel_models() if options.run == "kernels" else [control_model(options.run)]:
            run_at_once(str(options.build.resolve()), model, x)
        print(f"ran {options.run}")
        return 0
    kernels = options.build / LIBRARY
    if not runtime_of(kernels):
        print("skipped: the runtime of ThreadSanitizer is no shared library here, which Python could load")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        found, others = reports_of(kernels, "kernels", Path(scratch))
        print(f"kernels: {len(found)} reports, {len(others)} of onnxruntime alone", *found[:1], flush=True)
        failed = bool(found)
        for (control, op), expected in CONTROLS.items():
            found, others = reports_of(options.build / "tests" / f"lib{control}.so", op, Path(scratch))
            wanted = "some are expected" if expected else "none is expected"
            print(f"{control}, {op}: {len(found)} reports, {wanted}; {len(others)} of onnxruntime alone", flush=True)
            failed |= bool(found) != expected
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
