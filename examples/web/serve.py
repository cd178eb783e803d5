# SPDX-License-Identifier: Apache-2.0
"""Serve this page and networks to a browser on this machine, and to nobody else.

    python serve.py MODEL=SPIKING[=METERED] ... [--port 8000]

MODEL is a folder as Transformers and Optimum write it: model.onnx, config.json, and preprocessor_config.json or
tokenizer.json with tokenizer_config.json. SPIKING is the file that `onnx-snn convert` made of its model.onnx, METERED
the one that it makes with `--meter`, which counts spikes and takes longer for it.
"""

import argparse
import http.server
import json
from pathlib import Path

PAGE = Path(__file__).parent
SIDE_FILES = ("config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json")
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",  # these two let WebAssembly use threads
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob:",
    "Cache-Control": "no-cache",
}


def served_files(networks: list[str]) -> dict[str, Path]:
    """Files by their address, from MODEL=SPIKING or MODEL=SPIKING=METERED each."""
    files = {}
    for index, network in enumerate(networks):
        folder, *converted = network.split("=")
        if not 1 <= len(converted) <= 2:
            raise SystemExit(f"{network!r} is not MODEL=SPIKING or MODEL=SPIKING=METERED")
        found = {"original.onnx": Path(folder, "model.onnx")}
        found |= dict(zip(("spiking.onnx", "metered.onnx"), map(Path, converted), strict=False))
        for path in found.values():
            if not path.is_file():
                raise SystemExit(f"{network!r}: there is no file {path}")
        found |= {name: Path(folder, name) for name in SIDE_FILES if Path(folder, name).is_file()}
        files |= {f"/networks/{index}/{name}": path for name, path in found.items()}
    return files


def handler(networks: list[str], packages: Path) -> type[http.server.SimpleHTTPRequestHandler]:
    """What answers requests for the page, `networks` and the JavaScript packages."""
    files = served_files(networks)
    listed = [
        {
            "name": Path(network.partition("=")[0]).resolve().name,
            "image": f"/networks/{index}/preprocessor_config.json" in files,
            "metered": f"/networks/{index}/metered.onnx" in files,
        }
        for index, network in enumerate(networks)
    ]

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
            ".js": "text/javascript",
            ".mjs": "text/javascript",
            ".wasm": "application/wasm",
        }

        def do_GET(self) -> None:
            if self.path != "/networks.json":
                return super().do_GET()
            body = json.dumps(listed).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return None

        def translate_path(self, path: str) -> str:
            name = path.partition("?")[0]
            if name in files:
                return str(files[name])
            root = packages.parent if name.startswith("/node_modules/") else PAGE
            self.directory = str(root)
            return super().translate_path(path)

        def end_headers(self) -> None:
            for name, value in HEADERS.items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing of requests."""

    return Handler


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", metavar="MODEL=SPIKING[=METERED]")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--packages", type=Path, default=PAGE / "node_modules", help="where npm installed them")
    options = parser.parse_args()
    answer = handler(options.networks, options.packages)
    with http.server.ThreadingHTTPServer(("127.0.0.1", options.port), answer) as server:
        print(f"http://localhost:{server.server_address[1]}/", flush=True)
        server.serve_forever()
