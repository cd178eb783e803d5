# SPDX-License-Identifier: Apache-2.0
"""Recordings and tables: what their libraries read is what the model gets, and what cannot be read is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_kinds import BYTES, SAMPLES, TOKENS, image_folder, pixels, whole

from onnx_snn.data.data_files import DataFiles
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import InputSpec
from onnx_snn.errors import CalibrationError

# --- recordings ----------------------------------------------------------------------------------


def tone(length: int, *, channels: int = 1) -> Any:
    samples = np.arange(length * channels).reshape(length, channels)
    return (samples % 64 - 32).astype(np.float32) / 64


def recording(path: Path, samples: Any, rate: int = 16000) -> None:
    soundfile = pytest.importorskip("soundfile")
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)


def test_recordings_are_samples(tmp_path: Path) -> None:
    for name, length in (("yes/0.wav", 30), ("no/0.wav", 50), ("no/1.wav", 50)):
        recording(tmp_path / name, tone(length))
    feeds = open_feeds(tmp_path, [SAMPLES])
    assert sorted(feed["samples"].shape for feed in feeds) == [(1, 30), (2, 50)]
    assert feeds.labels is not None
    assert sorted(feeds.labels) == [0, 0, 1]
    longest = max(feeds, key=lambda feed: feed["samples"].shape[1])["samples"]
    np.testing.assert_array_equal(longest, [tone(50)[:, 0]] * 2)


def test_a_length_that_the_model_fixes_cuts_windows(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav", tone(50, channels=2))
    spec = InputSpec("x", np.dtype(np.float32), ("batch", 1, 20))
    (feed,) = open_feeds(tmp_path, [spec])
    expected = np.pad(tone(50, channels=2).mean(axis=1), (0, 10)).reshape(3, 1, 20)
    np.testing.assert_array_equal(feed["x"][np.argsort([0, 1, 2])], expected)
    whole_numbers = InputSpec("x", np.dtype(np.int16), (1, 20))
    assert [feed["x"].dtype for feed in open_feeds(tmp_path, [whole_numbers])] == [np.int16] * 3


def test_rates_are_not_mixed(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav", tone(50))
    recording(tmp_path / "b.wav", tone(50), 8000)
    with pytest.raises(CalibrationError, match=r"b\.wav' has 8000 samples.*a\.wav' has 16000; recordings are not"):
        open_feeds(tmp_path, [SAMPLES])
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    with pytest.raises(CalibrationError, match=r"cannot read recording '.*b\.wav'"):
        open_feeds(tmp_path, [SAMPLES])


def test_a_model_that_takes_no_samples(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav", tone(50))
    with pytest.raises(CalibrationError, match=r"takes samples.*--processor"):
        open_feeds(tmp_path, [InputSpec("mel", np.dtype(np.float32), ("batch", 80, "frames"))])


@pytest.mark.slow
def test_a_feature_extractor_and_its_rate(tmp_path: Path) -> None:
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor(feature_size=8, chunk_length=1)
    extractor.save_pretrained(tmp_path / "model")
    recording(tmp_path / "data" / "a.wav", tone(900))
    spec = InputSpec("mel", np.dtype(np.float32), ("batch", 8, 100))
    data = DataFiles(tmp_path / "data", processor=tmp_path / "model" / "preprocessor_config.json")
    (feed,) = open_feeds(data, [spec])
    expected = extractor(tone(900)[:, 0], sampling_rate=16000, return_tensors="np")["input_features"]
    np.testing.assert_array_equal(feed["mel"], expected)
    recording(tmp_path / "data" / "b.wav", tone(900), 44100)
    with pytest.raises(CalibrationError, match=r"b\.wav' has 44100 samples a second.*model' names 16000"):
        open_feeds(data, [spec])


# --- tables --------------------------------------------------------------------------------------


def saved(folder: Path, form: str, columns: dict[str, Any], features: Any = None) -> Path:
    """A table as a folder that datasets saved, or as Parquet files."""
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict(columns, features=features)
    path = folder / ("table" if form == "saved" else "part-0.parquet")
    if form == "saved":
        table.save_to_disk(path)
    else:
        table.to_parquet(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("form", ["saved", "parquet"])
def test_columns_with_the_names_of_inputs(form: str, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    path = saved(tmp_path, form, {"samples": rows.tolist(), "label": list(range(9))})
    feeds = open_feeds(path, [SAMPLES], batch_size=4)
    assert feeds.order is not None
    assert feeds.labels is not None
    np.testing.assert_array_equal(whole(feeds, "samples"), rows[feeds.order])
    np.testing.assert_array_equal(feeds.labels, feeds.order)
    assert len(whole(open_feeds(path, [SAMPLES], max_samples=3), "samples")) == 3


@pytest.mark.parametrize("form", ["saved", "parquet", "folder of parquet"])
def test_a_column_of_images(form: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    names = ["cat", "dog"]
    (tmp_path / "config.json").write_text(json.dumps({"label2id": {"dog": 0, "cat": 1}}))
    features = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=names)})
    images = image_folder(tmp_path / "images", ["0.png", "1.png"], processor=False)
    columns = {"picture": [str(images / f"{n}.png") for n in range(2)], "kind": [0, 1]}
    path = saved(tmp_path, form, columns, features)
    feeds = open_feeds(DataFiles(path if form != "folder of parquet" else tmp_path, model_folder=tmp_path), [BYTES])
    np.testing.assert_array_equal(whole(feeds, "image"), [pixels(0), pixels(1)])
    assert feeds.labels is not None
    assert feeds.labels.tolist() == [1, 0]


def test_bytes_without_a_type(tmp_path: Path) -> None:
    images = image_folder(tmp_path / "images", ["0.png"], processor=False)
    path = saved(tmp_path, "parquet", {"picture": [{"bytes": (images / "0.png").read_bytes(), "path": None}]})
    np.testing.assert_array_equal(whole(open_feeds(path, [BYTES]), "image"), [pixels(0)])


def test_a_column_of_audio(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    cells = [{"array": tone(40)[:, 0].tolist(), "sampling_rate": 16000}] * 2
    path = saved(tmp_path, "saved", {"audio": cells, "label": ["yes", "no"]})
    feeds = open_feeds(path, [SAMPLES])
    np.testing.assert_array_equal(whole(feeds, "samples"), [tone(40)[:, 0]] * 2)
    assert feeds.labels is not None
    assert feeds.labels.tolist() == [1, 0]


@pytest.mark.slow
def test_columns_of_texts(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    model = Path(__file__).parents[1] / "models" / "roberta-mr"
    columns = {"text": ["a film", "a very long film"], "other": ["one", "two"], "label": ["positive", "negative"]}
    path = saved(tmp_path, "saved", columns)
    with pytest.raises(CalibrationError, match=r"text \(texts\), other \(texts\).*--columns"):
        open_feeds(DataFiles(path, model_folder=model), TOKENS)
    for chosen in (("text",), ("text", "other")):
        feeds = open_feeds(DataFiles(path, model_folder=model, columns=chosen), TOKENS)
        expected = AutoTokenizer.from_pretrained(model)(*(columns[name] for name in chosen), padding=True)
        np.testing.assert_array_equal(whole(feeds, "input_ids"), expected["input_ids"])
        assert feeds.labels is not None
        assert feeds.labels.tolist() == [1, 0]


def test_splits_are_named(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    split = datasets.Dataset.from_dict({"samples": [[1.0, 2.0]]})
    datasets.DatasetDict({"train": split, "test": split}).save_to_disk(tmp_path / "both")
    with pytest.raises(CalibrationError, match=r"several splits; name one of '.*both/train', '.*both/test'"):
        open_feeds(tmp_path / "both", [SAMPLES])
    assert len(list(open_feeds(tmp_path / "both" / "test", [SAMPLES]))) == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"other": [1.0]}, r"columns other \(other values\).*inputs \['samples'\]"),
        ({"samples": [[1.0]], "label": [[[1], [2, 3]]]}, "column 'label'.*neither integers"),
        ({"samples": [["x"]]}, "row 0 of .*'samples' has dtype"),
    ],
)
def test_bad_tables_are_named(columns: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = saved(tmp_path, "saved", columns)
    with pytest.raises(CalibrationError, match=message):
        assert open_feeds(path, [SAMPLES]).labels is None


def test_a_broken_table_is_named(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(CalibrationError, match=r"cannot read '.*a\.parquet' as a table"):
        open_feeds(tmp_path / "a.parquet", [SAMPLES])
