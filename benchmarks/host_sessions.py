# SPDX-License-Identifier: Apache-2.0
"""Sessions, each in a process of its own: onnxruntime in Python, in Node.js and in Chromium, and OpenVINO.

    python benchmarks/host_sessions.py HOST MODEL FEEDS RUNS    # of `IN_PYTHON`; seconds and outputs as JSON

FEEDS is a JSON file [{"name", "type", "shape", "data"}, ...]. All sessions have one thread. Seconds are those of the
processor in Python and in Node.js, so that other load does not count, and of the clock in Chromium, whose pages see no
others. Creation there includes the compilation of onnxruntime-web. The first runs do not count, while which a browser
still compiles.
"""

from __future__ import annotations

import http.server
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

PROGRAMS = Path(__file__).parent / "hosts"
PACKAGES = Path(__file__).parents[1] / "tests" / "hosts"
"""The folder with onnxruntime-node and onnxruntime-web, where `npm ci` installs them."""

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
TIMEOUT = 600
OUTPUT_ELEMENTS = 10000
"""Outputs of more elements are not returned, as in hosts/session.mjs."""

Run: TypeAlias = "Callable[[Mapping[str, Any]], dict[str, Any]]"
"""Runs a session: from inputs to outputs, by name."""

Create: TypeAlias = "Callable[[str], Run]"
"""Creates a session of a file."""

WARM_UP = 3
"""Runs that do not count, here and in hosts/session.mjs."""

HOSTS = ("python", "node", "chromium")
"""Hosts without the library."""

IN_PYTHON = ("python", "kernels", "openvino")
"""Hosts of this program: onnxruntime without onnx_snn, onnxruntime with the kernels, OpenVINO."""


def write_feeds(feeds: Mapping[str, np.ndarray[Any, Any]], path: Path) -> None:
    """Write `feeds` for the programs of all hosts."""
    entries = [
        {"name": name, "type": array.dtype.name, "shape": array.shape, "data": array.ravel().tolist()}
        for name, array in feeds.items()
    ]
    path.write_text(json.dumps(entries))


def measured(host: str, model: Path, feeds: Path, runs: int, *, python: str = sys.executable) -> dict[str, Any]:
    """Seconds to create a session of `model` ("create") and, the median of `runs`, to run it ("run") in a host.

    With them are the float32 outputs of the last run ("outputs"), by name, flat, where they are small.

    Args:
        host: one of `HOSTS` and `IN_PYTHON`.
        model: the file.
        feeds: what `write_feeds` wrote.
        runs: number of runs.
        python: the interpreter of those in Python.

    Raises:
        RuntimeError: the host failed.
    """
    if host == "chromium":
        return _in_chromium(model, feeds, runs)
    node = ["node", str(PROGRAMS / "session.mjs"), str(PACKAGES)]
    program = [python, __file__, host] if host in IN_PYTHON else node
    done = subprocess.run(
        [*program, str(model), str(feeds), str(runs)], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{host} failed on {model}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _in_python(host: str, model: str, feeds: str, runs: int) -> dict[str, Any]:
    inputs = {
        entry["name"]: np.array(entry["data"], entry["type"]).reshape(entry["shape"])
        for entry in json.loads(Path(feeds).read_text())
    }
    create = {"python": _onnxruntime, "kernels": _kernels, "openvino": _openvino}[host]()
    start = time.process_time()
    run = create(model)
    created = time.process_time() - start
    for _ in range(WARM_UP):
        run(inputs)
    durations, outputs = [], dict[str, Any]()
    for _ in range(runs):
        start = time.process_time()
        outputs = run(inputs)
        durations.append(time.process_time() - start)
    small = {
        name: array.ravel().tolist()
        for name, array in outputs.items()
        if array.dtype == np.float32 and array.size <= OUTPUT_ELEMENTS
    }
    return {"create": created, "run": statistics.median(durations), "outputs": small}


def _onnxruntime(library: str | None = None) -> Create:
    import onnxruntime

    def create(model: str) -> Run:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        if library:
            options.register_custom_ops_library(library)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))

    return create


def _kernels() -> Create:
    import onnx_snn

    return _onnxruntime(str(onnx_snn.get_library_path()))


def _openvino() -> Create:
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}

    def create(model: str) -> Run:
        request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()
        return lambda inputs: {port.any_name: np.array(array) for port, array in request.infer(inputs).items()}

    return create


def _in_chromium(model: Path, feeds: Path, runs: int) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    arrived = threading.Event()

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

        def translate_path(self, path: str) -> str:
            name = path.partition("?")[0]
            if name.startswith("/ort/"):
                return str(PACKAGES / "node_modules" / "onnxruntime-web" / "dist" / name.removeprefix("/ort/"))
            return {"/model.onnx": str(model), "/feeds.json": str(feeds)}.get(name, str(PROGRAMS / name.lstrip("/")))

        def do_POST(self) -> None:
            results.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            arrived.set()

        def log_message(self, *_: object) -> None:
            """Say nothing of requests."""

    browser = next(path for name in CHROMIUM if (path := shutil.which(name)))
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/page.html?runs={runs}"
        with subprocess.Popen(
            [browser, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            arrived.wait(TIMEOUT)
            process.terminate()
        server.shutdown()
    if not results or "error" in results[0]:
        raise RuntimeError(f"chromium failed on {model}: {results}")
    return results[0]


if __name__ == "__main__":
    print(json.dumps(_in_python(*sys.argv[1:4], int(sys.argv[4]))))
