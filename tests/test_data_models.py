# SPDX-License-Identifier: Apache-2.0
"""The networks in `models/` read the images and texts that their arrays were made of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onnx_snn.cli.main import main
from onnx_snn.data.data_files import DataFiles
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import input_specs
from onnx_snn.graph.model_reader import load_model

pytestmark = pytest.mark.slow

MODELS = Path(__file__).parents[1] / "models"
VIT = MODELS / "vit-cifar10"


def image_folder(folder: Path, suffix: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Write test images into folders of their classes; returns them as the model's inputs, and their labels."""
    names = json.loads((VIT / "config.json").read_text())["id2label"]
    with np.load(VIT / "test.npz") as data:
        inputs, labels = data["pixel_values"][:count], data["labels"][:count]
    for number, (pixels, label) in enumerate(zip(inputs, labels, strict=True)):
        path = folder / names[str(label)] / f"{number:03}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(((pixels + 1) * 128).astype(np.uint8).transpose(1, 2, 0)).save(path)
    return inputs, labels


def test_images_are_the_inputs_of_the_vit(tmp_path: Path) -> None:
    inputs, labels = image_folder(tmp_path, "png", 40)
    feeds = open_feeds(DataFiles(tmp_path, model_folder=VIT), input_specs(load_model(VIT / "model.onnx")))
    assert feeds.order is not None
    numbers = [int(path.stem) for path in sorted(tmp_path.rglob("*.png"))]
    chosen = np.array(numbers)[feeds.order]
    np.testing.assert_array_equal(np.concatenate([feed["pixel_values"] for feed in feeds]), inputs[chosen])
    np.testing.assert_array_equal(feeds.labels, labels[chosen])


def test_texts_are_the_inputs_of_the_roberta(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    model = MODELS / "roberta-mr"
    with np.load(model / "test.npz") as data:
        tokens, mask = data["input_ids"][:12], data["attention_mask"][:12]
    tokenizer = AutoTokenizer.from_pretrained(model)
    lines = [tokenizer.decode(row, skip_special_tokens=True) for row in tokens]
    (tmp_path / "texts.txt").write_text("\n".join(lines))
    specs = input_specs(load_model(model / "model.onnx"))
    feeds = open_feeds(DataFiles(tmp_path / "texts.txt", model_folder=model), specs, batch_size=1)
    assert feeds.order is not None
    for number, feed in zip(feeds.order, feeds, strict=True):
        np.testing.assert_array_equal(feed["input_ids"][0], tokens[number][mask[number] == 1])


def test_a_folder_of_jpegs_calibrates_and_judges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image_folder(tmp_path / "photos", "jpg", 32)
    model, output, photos = (
        str(MODELS / "resnet-cifar10" / "model.onnx"),
        str(tmp_path / "snn.onnx"),
        tmp_path / "photos",
    )
    files = ["--processor", str(VIT), "-q"]
    assert main(["convert", "-m", model, "-o", output, "-c", str(photos), "--fast", *files]) == 0
    assert main(["compare", model, output, str(photos), *files]) == 0
    out = capsys.readouterr().out
    assert "accuracy, original" in out
    assert "32 samples" in out
    assert main(["convert", "-m", model, "-o", output, "-c", str(photos), "-q"]) == 1
    assert "--processor" in capsys.readouterr().err


def test_processors_need_no_pytorch(tmp_path: Path) -> None:
    """Transformers is told that PyTorch is not there."""
    image_folder(tmp_path, "png", 2)
    (tmp_path / "texts.txt").write_text("a film")
    roberta = MODELS / "roberta-mr"
    script = f"""
import sys
from onnx_snn.data.data_files import DataFiles
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import input_specs
from onnx_snn.graph.model_reader import load_model
for model, data in (({str(VIT)!r}, {str(tmp_path)!r}), ({str(roberta)!r}, {str(tmp_path / "texts.txt")!r})):
    open_feeds(DataFiles(data, model_folder=model), input_specs(load_model(model + "/model.onnx")))
assert "torch" not in sys.modules
"""
    environment = {**os.environ, "USE_TORCH": "0", "USE_TF": "0", "USE_JAX": "0"}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
