# SPDX-License-Identifier: Apache-2.0
"""Readers: every form of data gives the same feeds, and what does not fit the model is named."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnx_snn.data.feeds import Source, open_feeds
from onnx_snn.data.specs import Feed, InputSpec, check_feed, input_specs, sample_count
from onnx_snn.errors import CalibrationError

IMAGES = InputSpec("images", np.dtype(np.float32), ("batch", 3, "size"))
MASK = InputSpec("mask", np.dtype(np.int64), ("batch", None))
SPECS = [IMAGES, MASK]


def feed(samples: int = 4, first: int = 0) -> Feed:
    images = np.arange(samples * 3 * 5, dtype=np.float32).reshape(samples, 3, 5) + 15 * first
    return {"images": images, "mask": np.ones((samples, 2), np.int64)}


def assert_same(actual: list[Feed], expected: list[Feed]) -> None:
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        assert list(a) == list(b) == ["images", "mask"]
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


class Reader:
    """What onnxruntime's `CalibrationDataReader` looks like."""

    def __init__(self, feeds: list[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)


def write_test_data(folder: Path, feeds: list[Feed], names: Mapping[str, str]) -> Path:
    for n, one in enumerate(feeds):
        (folder / f"test_data_set_{n}").mkdir()
        for m, (name, array) in enumerate(one.items()):
            tensor = onnx.numpy_helper.from_array(array, names[name])
            (folder / f"test_data_set_{n}" / f"input_{m}.pb").write_bytes(tensor.SerializeToString())
    return folder


@pytest.mark.parametrize(
    "form", ["list", "generator", "reader", "dict", "npz", "folder", "nameless folder", "folder of npz"]
)
def test_every_form_gives_the_same_feeds_again_and_again(form: str, tmp_path: Path) -> None:
    expected = [feed(4, first=4 * n) for n in range(12)]
    arrays = {name: np.concatenate([one[name] for one in expected]) for name in expected[0]}
    source: Source
    if form == "list":
        source = expected
    elif form == "generator":
        source = (one for one in expected)
    elif form == "reader":
        source = Reader(expected)
    elif form == "dict":
        source = arrays | {"labels": np.arange(3)}
    elif form == "npz":
        source = tmp_path / "data.npz"
        np.savez(source, **arrays, labels=np.arange(48))
    elif form == "folder of npz":
        source = tmp_path
        for number, stop in enumerate((20, 24, 48)):
            start = (0, 20, 24)[number]
            np.savez(tmp_path / f"{number}.npz", **{name: array[start:stop] for name, array in arrays.items()})
    else:
        names = {name: "" if "nameless" in form else name for name in arrays}
        source = str(write_test_data(tmp_path, expected, names))
    feeds = open_feeds(source, SPECS, batch_size=4)
    assert_same([feeds.first()], expected[:1])
    assert_same(list(feeds), expected)
    assert feeds.batches == 12
    assert_same(list(feeds), expected)


def test_a_single_pass_source_survives_interleaved_iterations() -> None:
    feeds = open_feeds((feed(2, n) for n in range(3)), SPECS)
    first, second = iter(feeds), iter(feeds)
    assert_same([next(first), next(second), next(second)], [feed(2, 0), feed(2, 0), feed(2, 1)])
    assert_same([*first], [feed(2, 1), feed(2, 2)])
    assert_same([*second], [feed(2, 2)])


def test_max_samples_ends_after_the_feed_that_reaches_it() -> None:
    assert sum(map(sample_count, open_feeds(feed(20), SPECS, batch_size=8, max_samples=10))) == 10
    endless = (feed(4, n) for n in iter(int, 1))
    assert sum(map(sample_count, open_feeds(endless, SPECS, max_samples=10))) == 12


def test_the_last_batch_may_be_smaller() -> None:
    feeds = open_feeds(feed(10), SPECS, batch_size=4)
    assert feeds.batches == 3
    assert [sample_count(one) for one in feeds] == [4, 4, 2]


def test_singles_are_the_samples_one_by_one() -> None:
    singles = list(open_feeds(feed(5), SPECS, batch_size=2).singles())
    assert_same(singles, [{name: array[i : i + 1] for name, array in feed(5).items()} for i in range(5)])


FLAG = InputSpec("flag", np.dtype(np.bool_), (1,))


@pytest.mark.parametrize(
    ("flag", "sizes"),
    [
        ([True], [4, 4, 1]),
        ([True] * 9, [4, 4, 1]),
        ([False] * 5 + [True] * 4, [4, 1, 4]),
        ([True, False, False] * 3, [1, 2] * 3),
    ],
)
def test_feeds_end_where_an_input_that_their_samples_share_changes(flag: list[bool], sizes: list[int]) -> None:
    feeds = open_feeds({**feed(9), "flag": np.array(flag)}, [*SPECS, FLAG], batch_size=4)
    assert [len(one["mask"]) for one in feeds] == sizes
    assert feeds.batches == len(sizes)
    np.testing.assert_array_equal(np.concatenate([one["images"] for one in feeds]), feed(9)["images"])
    shared = [one["flag"] for one in feeds for _ in one["mask"]]
    assert np.concatenate(shared).tolist() == np.broadcast_to(flag, 9).tolist()
    singles = list(feeds.singles())
    assert [(len(one["mask"]), len(one["flag"])) for one in singles] == [(1, 1)] * 9


def test_an_input_that_samples_share_has_one_element_for_all_or_for_each() -> None:
    with pytest.raises(CalibrationError, match="'flag': 2"):
        open_feeds({**feed(9), "flag": np.array([True, False])}, [*SPECS, FLAG])


@pytest.mark.parametrize("first_axis", [2, None])
def test_feeds_that_cannot_be_cut_stay_whole(first_axis: int | None) -> None:
    """A batch that the model fixes, or an input (here a table of another length) without a batch."""
    table = InputSpec("table", np.dtype(np.float32), (first_axis or "rows",))
    feeds = [{**feed(2), "table": np.ones(first_axis or 7, np.float32)}]
    (whole,) = open_feeds(feeds, [*SPECS, table]).singles()
    assert [len(array) for array in whole.values()] == [2, 2, first_axis or 7]


def test_a_batch_size_that_the_model_fixes_wins(caplog: pytest.LogCaptureFixture) -> None:
    fixed = [IMAGES._replace(shape=(3, 3, "size")), MASK]
    with caplog.at_level(logging.WARNING):
        feeds = open_feeds(feed(10), fixed, batch_size=8)
    assert [sample_count(one) for one in feeds] == [3, 3, 3]
    assert "9 of 10 samples" in caplog.text


def test_specs_of_a_model() -> None:
    text = """<ir_version: 8, opset_import: ["": 17]>
        main (float16[N, 4] x, int64[N, past] ids, bool flag, string[1] s) => (float16[N, 4] y)
        <float16[1, 4] w = {1, 2, 3, 4}> { y = Add(x, w) }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    model.graph.inputs.append(model.graph.initializers["w"])
    assert input_specs(model) == [
        InputSpec("x", np.dtype(np.float16), ("N", 4)),
        InputSpec("ids", np.dtype(np.int64), ("N", "past")),
        InputSpec("flag", np.dtype(bool), ()),
        InputSpec("s", np.dtype(object), (1,)),
    ]


def test_strings_are_accepted() -> None:
    specs = [InputSpec("text", np.dtype(object), ("N",))]
    assert open_feeds({"text": np.array(["a", "b"])}, specs).first()["text"].tolist() == ["a", "b"]


def bad_feed(**changes: Any) -> dict[str, Any]:
    return {name: array for name, array in (feed() | changes).items() if array is not None}


NAN = feed()["images"].copy()
NAN[1, 2, 3] = np.nan
INFINITE = feed()["images"].copy()
INFINITE[0, 0, 1] = -np.inf

BAD_FEEDS = [
    (bad_feed(images=None), ["lacks model input 'images'", "mask"]),
    (bad_feed(images=None, image=feed()["images"]), ["lacks model input 'images'", "did you mean 'image'"]),
    (bad_feed(labels=np.ones(4)), ["'labels', which is not a model input", "images"]),
    (bad_feed(images=feed()["images"].astype(np.float64)), ["'images'", "float64", "astype('float32')"]),
    (bad_feed(mask=np.ones((4, 2), np.int32)), ["'mask'", "int32", "astype('int64')"]),
    (bad_feed(images=np.ones((4, 3), np.float32)), ["'images'", "(4, 3)", "3 axes", "[batch, 3, size]"]),
    (bad_feed(images=np.ones((4, 5, 3), np.float32)), ["'images'", "(4, 5, 3)", "axis 1 to 3"]),
    (bad_feed(images=NAN), ["'images'", "nan at (1, 2, 3)", "finite"]),
    (bad_feed(images=INFINITE), ["'images'", "-inf at (0, 0, 1)"]),
    (feed(0), ["is empty"]),
    ([1, 2], ["is a list", "dict"]),
]


@pytest.mark.parametrize(("bad", "messages"), BAD_FEEDS, ids=[" ".join(m)[:40] for _, m in BAD_FEEDS])
def test_a_feed_that_does_not_fit_is_named(bad: Any, messages: list[str]) -> None:
    with pytest.raises(CalibrationError, match="feed 7") as caught:
        check_feed(bad, SPECS, where="feed 7")
    for message in messages:
        assert message in str(caught.value)


def test_a_bad_feed_is_named_by_its_number() -> None:
    feeds = open_feeds([feed(), bad_feed(images=NAN)], SPECS)
    with pytest.raises(CalibrationError, match=r"feed 1 of the data: input 'images' holds nan"):
        list(feeds)


BAD_SOURCES = [
    ([], "empty"),
    (iter([]), "empty"),
    (Reader([]), "empty"),
    (feed(0), "the data is empty; give at least one sample"),
    (feed() | {"mask": np.ones((3, 2), np.int64)}, r"differ.*'images': 4, 'mask': 3"),
    ({"mask": feed()["mask"], "image": 1}, "lacks model input 'images'; did you mean 'image'"),
    (feed() | {"mask": np.int64(1)}, "'mask' is a scalar"),
    (3, "is a int; expected a reader"),
    ("nowhere.npz", "data file 'nowhere.npz' does not exist"),
]


@pytest.mark.parametrize(("source", "message"), BAD_SOURCES, ids=[m for _, m in BAD_SOURCES])
def test_a_bad_source_is_refused_at_once(source: Any, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        open_feeds(source, SPECS)


def test_different_fixed_batch_sizes_need_feeds() -> None:
    fixed = [IMAGES._replace(shape=(1, 3, "size")), MASK._replace(shape=(2, None))]
    with pytest.raises(CalibrationError, match=r"'images': 1, 'mask': 2.*iterable of feeds"):
        open_feeds(feed(), fixed)


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"max_samples": 0}])
def test_sizes_below_one_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(CalibrationError, match="at least 1"):
        open_feeds(feed(), SPECS, **options)


def npy(path: Path) -> None:
    np.save(path.open("wb"), np.ones(3))


def truncated_npz(path: Path) -> None:
    np.savez(path.open("wb"), **feed())
    path.write_bytes(path.read_bytes()[:-40])


def pickled(path: Path) -> None:
    np.savez(path.open("wb"), images=np.array([{}], object), mask=feed()["mask"])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_text("x"), "cannot read"),
        (lambda path: path.write_bytes(b""), "cannot read"),
        (truncated_npz, "cannot read"),
        (pickled, "holds Python objects"),
        (npy, "one per model input"),
    ],
)
def test_a_bad_file_is_named(write: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    write(path)
    with pytest.raises(CalibrationError, match=f"data.npz.*{message}|{message}.*data.npz"):
        open_feeds(path, SPECS)


def test_bad_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"no data that can be read; expected an \.npz file"):
        open_feeds(tmp_path, SPECS)
    write_test_data(tmp_path, [feed()], {"images": "images", "mask": "mask"})
    (tmp_path / "test_data_set_0" / "input_1.pb").write_bytes(b"\xff\xff")
    with pytest.raises(CalibrationError, match=r"input_1\.pb"):
        open_feeds(tmp_path, SPECS)


def test_a_failing_reader_is_not_hidden() -> None:
    def broken() -> Iterator[Feed]:
        yield feed()
        raise KeyError("from the user's own code")

    feeds = open_feeds(broken(), SPECS)
    with pytest.raises(KeyError, match="user's own code"):
        list(feeds)
