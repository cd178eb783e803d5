# SPDX-License-Identifier: Apache-2.0
"""Data in files: every kind gives the feeds that its library makes, and what cannot be read is named."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_kinds import BYTES, PIXELS, SAMPLES, TOKENS, image_folder, pixels, whole
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from onnx_snn import extras
from onnx_snn.data.data_files import DataFiles
from onnx_snn.data.drawing import evenly_spaced, spread
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import InputSpec
from onnx_snn.errors import CalibrationError

# --- which samples -------------------------------------------------------------------------------


@given(st.integers(0, 300))
def test_spread_is_a_permutation_whose_first_parts_lie_evenly(total: int) -> None:
    order = spread(total)
    assert sorted(order.tolist()) == list(range(total))
    for bits in range(total.bit_length()):
        ends = [*sorted(order[: 1 << bits].tolist()), total]
        assert set(np.diff(ends)) <= {total >> bits, -(-total >> bits)}


@given(st.integers(0, 100), st.integers(1, 120))
def test_evenly_spaced(total: int, count: int) -> None:
    chosen = evenly_spaced(total, count)
    assert len(chosen) == min(total, count)
    assert len(set(np.diff(chosen).tolist()) - {total // count, -(-total // count)} - {1}) == 0


@pytest.mark.parametrize("form", ["dict", "npy", "folder of npz"])
def test_samples_of_arrays_are_drawn_evenly(form: str, tmp_path: Path) -> None:
    data: Any = {"samples": np.arange(40, dtype=np.float32).reshape(40, 1), "labels": np.arange(40)}
    if form == "npy":
        np.save(tmp_path / "data.npy", data["samples"])
        data = tmp_path / "data.npy"
    elif form == "folder of npz":
        for number, part in enumerate((slice(0, 12), slice(12, 40))):
            np.savez(tmp_path / f"{number}.npz", **{name: array[part] for name, array in data.items()})
        data = tmp_path
    feeds = open_feeds(data, [SAMPLES], max_samples=10, evenly=True)
    drawn = whole(feeds, "samples")[:, 0]
    assert len(drawn) == 10
    assert set(np.diff(drawn)) <= {3, 4, 5}
    first = open_feeds(data, [SAMPLES], max_samples=10)
    assert whole(first, "samples")[:10, 0].tolist() == list(range(10))
    if form == "dict":
        np.testing.assert_array_equal(feeds.labels, drawn)


# --- images and texts ---


def test_images_without_a_processor_are_bytes_or_nothing(tmp_path: Path) -> None:
    data = image_folder(tmp_path, ["0.png", "1.png"], processor=False)
    feeds = open_feeds(data, [BYTES])
    assert feeds.labels is None
    np.testing.assert_array_equal(whole(feeds, "image"), [pixels(0), pixels(1)])
    with pytest.raises(CalibrationError, match=r"preprocessor_config\.json.*'pixel_values'.*--processor"):
        open_feeds(data, [PIXELS])


def test_grey_images(tmp_path: Path) -> None:
    Image.fromarray(pixels(0)).save(tmp_path / "0.png")
    spec = InputSpec("x", np.dtype(np.uint8), (1, 1, 4, 4))
    (feed,) = open_feeds(tmp_path, [spec])
    np.testing.assert_array_equal(feed["x"][0, 0], np.asarray(Image.fromarray(pixels(0)).convert("L")))


@pytest.mark.parametrize("named", ["nowhere", "config.json"])
def test_a_processor_that_is_none_is_named(named: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    data = image_folder(tmp_path / "data", ["0.png"])
    with pytest.raises(CalibrationError, match=f"processor '.*{named}' is neither"):
        open_feeds(DataFiles(data, processor=tmp_path / named), [PIXELS])


@pytest.mark.parametrize(("names", "labels"), [(["10", "9"], [10, 9]), (["b", "a", "c"], [1, 0, 2])])
def test_classes_that_the_model_does_not_know(names: list[str], labels: list[int], tmp_path: Path) -> None:
    data = image_folder(tmp_path, [f"{name}/0.png" for name in names], processor=False)
    feeds = open_feeds(data, [BYTES])
    assert feeds.labels is not None
    by_image = {feed["image"].tobytes(): label for feed, label in zip(feeds.singles(), feeds.labels, strict=True)}
    assert [by_image[pixels(number).tobytes()] for number in range(len(names))] == labels


def test_strings_are_fed_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    (feed,) = open_feeds(tmp_path / "texts.txt", [InputSpec("text", np.dtype(object), ("batch", 1))])
    assert feed["text"].tolist() == [["one"], ["two"]]


# --- Python files --------------------------------------------------------------------------------

FEED = "{'samples': numpy.ones((2, 3), numpy.float32)}"
CLASS = f"""
from onnxruntime.quantization import CalibrationDataReader
class Mine(CalibrationDataReader):
    left = 3
    def get_next(self):
        self.left -= 1
        return {FEED} if self.left >= 0 else None
"""


@pytest.mark.parametrize(
    ("script", "count"),
    [
        (CLASS, 3),
        (f"def reader():\n    yield from [{FEED}] * 2", 2),
        (f"def reader():\n    return [{FEED}] * 4", 4),
        ("def reader():\n    return {'samples': numpy.ones((9, 3), numpy.float32)}", 2),
        (f"{CLASS}\ndef reader():\n    return Mine()", 3),
    ],
)
def test_a_python_file_defines_the_data(script: str, count: int, tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text(f"import numpy\n{script}\n")
    feeds = open_feeds(tmp_path / "data.py", [SAMPLES])
    assert len(list(feeds)) == len(list(feeds)) == count


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import nowhere", r"data\.py', line 1 fails: ModuleNotFoundError"),
        ("x = (", r"data\.py' fails: SyntaxError"),
        ("", r"must define a function reader\(\).*defines neither"),
        ("class A:\n    def get_next(self): ...\nclass B(A): ...", r"\['A', 'B'\]"),
        ("class A:\n    def __init__(self, x): ...\n    def get_next(self): ...", "TypeError"),
        ("def reader():\n    yield 1 / 0", r"data\.py', line 2 fails: ZeroDivisionError"),
        ("def reader():\n    return 3", "TypeError"),
    ],
)
def test_what_fails_in_a_python_file_is_named(script: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text(script)
    with pytest.raises(CalibrationError, match=message):
        open_feeds(tmp_path / "data.py", [SAMPLES])


# --- .npy, and what is no data -------------------------------------------------------------------


def test_an_array_is_for_a_single_input(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.ones((9, 3), np.float32))
    assert whole(open_feeds(tmp_path / "data.npy", [SAMPLES]), "samples").shape == (9, 3)
    with pytest.raises(CalibrationError, match=r"holds one array, and the model has the inputs \['input_ids'"):
        open_feeds(tmp_path / "data.npy", TOKENS)
    (tmp_path / "data.npy").write_bytes(b"x")
    with pytest.raises(CalibrationError, match=r"cannot read '.*\.npy'"):
        open_feeds(tmp_path / "data.npy", [SAMPLES])


def test_a_file_that_is_no_data_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.xyz").write_text("")
    with pytest.raises(CalibrationError, match=r"file '.*data\.xyz' is no data.*images"):
        open_feeds(tmp_path / "data.xyz", [SAMPLES])


def test_a_missing_package_is_named_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
    with pytest.raises(CalibrationError, match=r"soundfile.*pip install soundfile"):
        open_feeds(tmp_path, [SAMPLES])
