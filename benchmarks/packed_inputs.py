# SPDX-License-Identifier: Apache-2.0
"""Samples of the networks in models/ twice: as a packed network reads them, and as Transformers feeds the network."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer

PROMPT_TOKENS = 24

FORMATS: dict[str, dict[str, Any]] = {
    "PNG": {"format": "PNG"},
    "JPEG 4:4:4": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "JPEG 4:2:0": {"format": "JPEG", "quality": 95, "subsampling": 2},
}


class Sample(NamedTuple):
    """One sample.

    Attributes:
        packed: Feed of the packed network.
        plain: Feed of the network alone.
    """

    packed: dict[str, NDArray[Any]]
    plain: dict[str, NDArray[Any]]


def text_samples(model: Path, count: int) -> dict[str, list[Sample]]:
    """Texts of test.npz, whose ids are decoded."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    with np.load(model / "test.npz") as test:
        texts = [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in test["input_ids"][:count]]
    return {"text": list(_encoded(tokenizer, texts))}


def prompt_samples(model: Path, count: int) -> dict[str, list[Sample]]:
    """The first tokens of each sequence in test.npz, decoded."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    with np.load(model / "test.npz") as test:
        rows = test["input_ids"]
    windows = [row[begin : begin + PROMPT_TOKENS] for row in rows for begin in range(0, rows.shape[1], PROMPT_TOKENS)]
    texts = [tokenizer.decode(window) for window in windows[:count]]
    return {"prompt": list(_encoded(tokenizer, texts, positions=True))}


def _encoded(tokenizer: Any, texts: list[str], *, positions: bool = False) -> Iterator[Sample]:
    """Each text, with the inputs of the network; decoders read positions as well."""
    for text in texts:
        feed = tokenizer(text, return_tensors="np", truncation=True)
        names = ("input_ids", "attention_mask")
        plain = {name: feed[name].astype(np.int64) for name in names}
        if positions:
            plain["position_ids"] = np.cumsum(plain["attention_mask"], axis=1) - 1
        yield Sample({"text": np.array([text], dtype=object)}, plain)


def image_samples(model: Path, count: int) -> dict[str, list[Sample]]:
    """Pixels of test.npz in files of several formats."""
    processor = AutoImageProcessor.from_pretrained(model.parent / "vit-cifar10", use_fast=False)
    with np.load(model / "test.npz") as test:
        pixels = np.round((test["pixel_values"][:count] + 1) * 128).astype(np.uint8).transpose(0, 2, 3, 1)
    return {kind: [_image(image, options, processor) for image in pixels] for kind, options in FORMATS.items()}


def _image(pixels: NDArray[np.uint8], options: dict[str, Any], processor: Any) -> Sample:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    decoded = Image.open(io.BytesIO(file.getvalue())).convert("RGB")
    plain = processor(decoded, return_tensors="np")["pixel_values"]
    return Sample({"image": np.frombuffer(file.getvalue(), np.uint8)}, {"pixel_values": plain})


def image_sources(model: Path, scratch: Path) -> dict[str, Any]:
    """ResNet reads what ViT reads, by whose processor."""
    described = json.loads((model.parent / "vit-cifar10" / "preprocessor_config.json").read_text())
    path = scratch / "preprocessor_config.json"
    path.write_text(json.dumps(described))
    return {"processor": path}
