# SPDX-License-Identifier: Apache-2.0
"""Files of data of several kinds, and the inputs that take them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from onnx_snn.data.feeds import Feeds
from onnx_snn.data.specs import InputSpec

PIXELS = InputSpec("pixel_values", np.dtype(np.float32), ("batch", 3, 4, 4))
BYTES = InputSpec("image", np.dtype(np.uint8), ("batch", "height", "width", 3))
TOKENS = [InputSpec(name, np.dtype(np.int64), ("batch", "length")) for name in ("input_ids", "attention_mask")]
SAMPLES = InputSpec("samples", np.dtype(np.float32), ("batch", "time"))

PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": False,
    "do_rescale": True,
    "rescale_factor": 1 / 256,
    "do_normalize": True,
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
}
"""A processor that maps pixel u to u / 128 - 1."""


def whole(feeds: Feeds, name: str) -> Any:
    return np.concatenate([feed[name] for feed in feeds])


def pixels(number: int, *, size: int = 4) -> Any:
    return np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)


def image_folder(folder: Path, names: list[str], *, processor: bool = True) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(number)).save(folder / name)
    if processor:
        (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return folder
