# SPDX-License-Identifier: Apache-2.0
"""Data that a processor of Transformers turns into inputs: images and texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_kinds import PIXELS, TOKENS, image_folder, pixels, whole
from PIL import Image

from onnx_snn.data.data_files import DataFiles
from onnx_snn.data.drawing import spread
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import InputSpec, sample_count
from onnx_snn.errors import CalibrationError

pytestmark = pytest.mark.slow  # the first one loads Transformers

MODELS = Path(__file__).parents[1] / "models"


# --- images --------------------------------------------------------------------------------------


def test_images_are_processed_and_labelled_by_their_folders(tmp_path: Path) -> None:
    names = [f"{kind}/{number}.png" for kind in ("cat", "dog") for number in range(5)]
    data = image_folder(tmp_path / "data", names)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"label2id": {"dog": 3, "cat": 7, "bird": 0}}))
    feeds = open_feeds(DataFiles(data, model_folder=model), [PIXELS], batch_size=4)
    assert [sample_count(feed) for feed in feeds] == [4, 4, 2]
    assert feeds.order is not None
    expected = [pixels(number).transpose(2, 0, 1).astype(np.float32) / 128 - 1 for number in feeds.order]
    np.testing.assert_array_equal(whole(feeds, "pixel_values"), expected)
    assert feeds.labels is not None
    assert feeds.labels.tolist() == [7 if number < 5 else 3 for number in feeds.order]
    assert len(set(feeds.labels[:2])) == 2, "the first samples are of all classes"
    own = feeds.labels_or(np.arange(10))
    np.testing.assert_array_equal(own, feeds.order)
    with pytest.raises(CalibrationError, match="9 labels"):
        feeds.labels_or(np.arange(9))


def test_layout_type_and_name_are_those_of_the_model(tmp_path: Path) -> None:
    data = image_folder(tmp_path, ["0.png"])
    spec = InputSpec("x", np.dtype(np.float16), (1, 4, 4, 3))
    (feed,) = open_feeds(data, [spec])
    np.testing.assert_array_equal(feed["x"][0], pixels(0).astype(np.float16) / 128 - 1)


def bad_image(folder: Path) -> str:
    (folder / "1.png").write_bytes(b"not an image")
    return r"cannot read image '.*1\.png'"


def large_image(folder: Path) -> str:
    Image.fromarray(pixels(1, size=5)).save(folder / "1.png")
    return r"image '.*1\.png'.*\(1, 3, 5, 5\).*axis 2 to 4"


def bad_processor(folder: Path) -> str:
    (folder / "preprocessor_config.json").write_text("{")
    return "Transformers cannot load what"


@pytest.mark.parametrize("spoil", [bad_image, large_image, bad_processor])
def test_bad_images_are_named(spoil: Any, tmp_path: Path) -> None:
    message = spoil(image_folder(tmp_path, ["0.png"]))
    with pytest.raises(CalibrationError, match=message):
        list(open_feeds(DataFiles(tmp_path, model_folder=tmp_path), [PIXELS]))


def test_a_class_that_the_model_does_not_know_matters_to_labels_alone(tmp_path: Path) -> None:
    image_folder(tmp_path, ["cat/0.png", "dgo/1.png"])
    (tmp_path / "config.json").write_text(json.dumps({"label2id": {"cat": 0, "dog": 1}}))
    feeds = open_feeds(DataFiles(tmp_path, model_folder=tmp_path), [PIXELS])
    assert whole(feeds, "pixel_values").shape == (2, 3, 4, 4)
    with pytest.raises(CalibrationError, match=r"class 'dgo'.*did you mean 'dog'"):
        _ = feeds.labels


# --- texts ---------------------------------------------------------------------------------------

TEXTS = ["a fine film", "no", "", "this one is rather long , and dull"]


def test_texts_are_tokenized_as_by_transformers(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    (feed,) = open_feeds(DataFiles(tmp_path / "texts.txt", tokenizer=MODELS / "roberta-mr"), TOKENS)
    kept = [text for text in TEXTS if text]
    ordered = [kept[i] for i in spread(3)]
    expected = AutoTokenizer.from_pretrained(MODELS / "roberta-mr")(ordered, padding=True, return_tensors="np")
    for name in ("input_ids", "attention_mask"):
        np.testing.assert_array_equal(feed[name], expected[name])


def test_inputs_that_tokens_imply(tmp_path: Path) -> None:
    """GPT-2 has no token for padding, reads positions, and begins with an empty cache."""
    (tmp_path / "texts.txt").write_text("well , prince\nso\n")
    past = InputSpec("past_key_values.0.key", np.dtype(np.float32), ("batch", 3, "past", 64))
    specs = [*TOKENS, InputSpec("position_ids", np.dtype(np.int32), ("batch", "length")), past]
    (feed,) = open_feeds(DataFiles(tmp_path / "texts.txt", tokenizer=MODELS / "gpt2-war-and-peace"), specs)
    mask = feed["attention_mask"]
    assert not mask.all(), "the texts differ in length"
    np.testing.assert_array_equal(feed["position_ids"][mask == 1], (np.cumsum(mask, axis=1) - 1)[mask == 1])
    assert feed[past.name].shape == (2, 3, 0, 64)


def test_texts_that_cannot_be_padded_are_fed_by_length(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    feeds = list(open_feeds(DataFiles(tmp_path / "texts.txt", tokenizer=MODELS / "roberta-mr"), TOKENS[:1]))
    assert [len(feed["input_ids"]) for feed in feeds] == [1, 1, 1]


def test_a_length_that_the_model_fixes_pads_and_cuts(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    specs = [spec._replace(shape=("batch", 6)) for spec in TOKENS]
    feeds = open_feeds(DataFiles(tmp_path / "texts.txt", tokenizer=MODELS / "roberta-mr"), specs)
    assert whole(feeds, "attention_mask").shape == (3, 6)


@pytest.mark.parametrize(
    ("content", "tokenizer", "message"),
    [
        (b"\n \n", MODELS / "roberta-mr", "holds no text"),
        (b"caf\xe9", MODELS / "roberta-mr", "as text in UTF-8"),
        (b"text", None, "need a tokenizer.*--tokenizer"),
        (b"text", MODELS, "models' holds none"),
    ],
)
def test_bad_texts_are_named(content: bytes, tokenizer: Path | None, message: str, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_bytes(content)
    with pytest.raises(CalibrationError, match=message):
        open_feeds(DataFiles(tmp_path / "texts.txt", tokenizer=tokenizer), TOKENS)
