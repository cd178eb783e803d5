# SPDX-License-Identifier: Apache-2.0
"""The programs in examples/ answer as Python does: in Node.js, in C++ and in a page in Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from browser import Page, page_at
from c_program import EXAMPLES, HEADERS, WARNINGS, compiler, onnxruntime_library
from chromium import CHROMIUM
from hosts.runner import HOSTS, javascript_missing
from packed_networks import byte_level, classifier, save
from PIL import Image

import onnx_snn

pytestmark = [pytest.mark.host, pytest.mark.slow]

CLASSES = ("red", "green", "blue", "grey")
IMAGES = np.random.default_rng(3).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
PIXELS = (IMAGES.transpose(0, 3, 1, 2) / np.float32(127.5) - 1).astype(np.float32)
PROCESSOR = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
NODES = ("/encoder/layer.0/Conv", "/encoder/layer.0/Tanh", "/encoder/Flatten", "/classifier/MatMul")
TEXT = "a gripping film, and naïve"


@pytest.fixture(scope="module", autouse=True)
def javascript() -> None:
    missing = javascript_missing()
    if missing:
        pytest.fail(missing)


def image_classifier(path: Path) -> None:
    """A network of one layer, whose answers for `IMAGES` are not all the same."""
    generator = np.random.default_rng(0)
    weights = {"kernel": generator.normal(0, 0.1, (32, 3, 8, 8)), "head": generator.normal(0, 0.5, (512, len(CLASSES)))}
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        net (float[batch, 3, 32, 32] pixel_values) => (float[batch, {len(CLASSES)}] logits) {{
            patches = Conv <strides = [8, 8]> (pixel_values, kernel)
            bounded = Tanh (patches)
            flat = Flatten (bounded)
            logits = MatMul (flat, head)
        }}"""
    )
    for node, name in zip(model.graph.node, NODES, strict=True):
        node.name = name
    for name, value in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value.astype(np.float32), name))
    onnx.save(model, path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `image` and `text` with a network, its spiking twins and the side files, and the examples beside them."""
    root = tmp_path_factory.mktemp("examples")
    image, text = root / "image", root / "text"
    image.mkdir()
    image_classifier(image / "model.onnx")
    (image / "config.json").write_text(json.dumps({"id2label": dict(enumerate(CLASSES))}))
    (image / "preprocessor_config.json").write_text(json.dumps({**PROCESSOR, "rescale_factor": 1 / 255}))
    save(byte_level(), text)
    classifier(text / "model.onnx")
    (text / "config.json").write_text(json.dumps({"id2label": {"0": "negative", "1": "positive"}}))
    options: dict[str, Any] = {"timesteps": 4, "fast": True, "body": "closed", "progress": False}
    for network, data in ((image, {"pixel_values": PIXELS}), (text, ids_of(text, TEXT))):
        onnx_snn.convert(network / "model.onnx", network / "snn.onnx", data, **options)
    onnx_snn.convert(image / "model.onnx", image / "metered.onnx", {"pixel_values": PIXELS}, **options, meter=True)
    for name in ("node", "web"):
        shutil.copytree(EXAMPLES / name, root / name, ignore=shutil.ignore_patterns("node_modules"))
    (root / "node_modules").symlink_to(HOSTS / "node_modules")
    return root


def ids_of(folder: Path, text: str) -> dict[str, np.ndarray]:
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(48)
    row = tokenizer.encode(text)
    return {"input_ids": np.array([row.ids]), "attention_mask": np.array([row.attention_mask])}


def logits(network: Path, feeds: dict[str, np.ndarray]) -> np.ndarray:
    values: np.ndarray = onnx_snn.session(network, kernels=False).run(["logits"], feeds)[0]
    return values


def shares(values: np.ndarray) -> np.ndarray:
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def program(command: list[str | Path]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_images_in_node(folder: Path) -> None:
    PIXELS.tofile(folder / "images.bin")
    network = folder / "image" / "snn.onnx"
    said = program(["node", folder / "node" / "classify.mjs", network, folder / "images.bin"])
    wanted = logits(network, {"pixel_values": PIXELS}).argmax(axis=1)
    assert said.split() == ["classes:", *map(str, wanted)]
    assert len(set(wanted)) > 1


@pytest.mark.parametrize("text", [TEXT, "", "far too long " * 50])
def test_texts_in_node(folder: Path, text: str) -> None:
    network = folder / "text" / "snn.onnx"
    said = program(["node", folder / "node" / "classify_text.mjs", network, folder / "text", text])
    wanted = shares(logits(network, ids_of(folder / "text", text))[0])
    answered = dict(line.split("\t") for line in said.splitlines())
    assert [float(answered[name]) for name in ("negative", "positive")] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.skipif(HEADERS is None, reason="ONNXRUNTIME_INCLUDE_DIR is not set")
def test_images_in_cpp(folder: Path) -> None:
    library, network = onnxruntime_library(), folder / "image" / "snn.onnx"
    linked = [str(library), f"-Wl,-rpath,{library.parent}", "-o", str(folder / "classify")]
    source = str(EXAMPLES / "cpp" / "main.cpp")
    program([compiler("c++"), "-std=c++17", *WARNINGS, f"-I{HEADERS}", source, *linked])
    PIXELS.tofile(folder / "images.bin")
    wanted = ["classes:", *map(str, logits(network, {"pixel_values": PIXELS}).argmax(axis=1))]
    for libraries in ([], [onnx_snn.get_library_path()]):
        assert program([folder / "classify", network, folder / "images.bin", *libraries]).split() == wanted


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Where examples/web is served with both networks."""
    image, text = folder / "image", folder / "text"
    networks = [f"{image}={image / 'snn.onnx'}={image / 'metered.onnx'}", f"{text}={text / 'snn.onnx'}"]
    packages = ["--port", "0", "--packages", str(HOSTS / "node_modules")]
    command = [sys.executable, str(EXAMPLES / "web" / "serve.py"), *networks, *packages]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip().replace("localhost", "127.0.0.1")
        process.terminate()


ANSWERED = "document.getElementById('verdict').textContent && " + " && ".join(
    f"document.getElementById('{name}').getAttribute('aria-busy') !== 'true'" for name in ("answer", "spikes")
)
TABLE = "[...document.querySelectorAll('#classes tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"


def answers(page: Page) -> np.ndarray:
    """Probabilities that the page shows, in percent [2, classes], the label of each best one being shown too."""
    page.wait(ANSWERED)
    rows = page.evaluate(TABLE)
    shown = np.array([[float(cell.split()[0]) for cell in row[2:]] for row in rows]).T
    for which, values in zip(("original", "spiking"), shown, strict=True):
        label = page.evaluate(f"document.getElementById('label-{which}').textContent")
        assert values[[row[0] for row in rows].index(label)] == values.max()
    page.evaluate("document.getElementById('verdict').textContent = ''")
    return shown


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")
def test_page(folder: Path, address: str, tmp_path: Path) -> None:
    """Sixteen images and a text are answered as in Python; nothing is written to the console, nothing leaves."""
    image, text = folder / "image", folder / "text"
    files = [tmp_path / f"{index}.png" for index in range(len(IMAGES))]
    for file, pixels in zip(files, IMAGES, strict=True):
        Image.fromarray(pixels).save(file)
    with page_at(address) as page:
        shown = []
        for file in files:
            page.choose("#file", file)
            shown.append(answers(page))
        wanted = [shares(logits(image / name, {"pixel_values": PIXELS})) for name in ("model.onnx", "snn.onnx")]
        np.testing.assert_allclose(np.array(shown), 100 * np.stack(wanted, axis=1), atol=0.1)
        counts = onnx_snn.session(image / "metered.onnx", kernels=False).run(None, {"pixel_values": PIXELS[-1:]})[1:]
        page.wait("!document.querySelector('#layers .waiting')")
        total = page.evaluate("document.getElementById('total').textContent")
        assert int(total.replace(",", "")) == pytest.approx(sum(count.sum() for count in counts), rel=0.01)
        for width in (1200, 390):
            page.show(width, phone=width < 400)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate("document.querySelector('#networks input').focus()")
        page.press("ArrowRight", 39)
        answers(page)
        page.evaluate("document.getElementById('text').select()")
        page.call("Input.insertText", text=TEXT)
        feeds = ids_of(text, TEXT)
        wanted = [shares(logits(text / name, feeds))[0] for name in ("model.onnx", "snn.onnx")]
        np.testing.assert_allclose(answers(page), 100 * np.array(wanted), atol=0.1)
    assert page.console == []
    assert len(page.fetched) > 10
    assert [asked for asked in page.fetched if not asked.startswith((address, "blob:" + address))] == []
