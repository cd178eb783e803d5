# SPDX-License-Identifier: Apache-2.0
"""Feeds in a folder, one file each, where other processes read them."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path

from onnx_snn.data.specs import Feed, NumberedFeed, sample_count


class StoredFeeds:
    """Feeds that were written into a folder.

    Args:
        folder: an existing folder of their own.
        feeds: what is written, feed by feed, so that memory does not grow with the data.

    Raises:
        OSError: the files cannot be written.
    """

    def __init__(self, folder: Path, feeds: Iterable[Feed]) -> None:
        self._folder = folder
        self._starts = [0]
        for number, feed in enumerate(feeds):
            with self._file(number).open("wb") as file:
                pickle.dump(feed, file, protocol=pickle.HIGHEST_PROTOCOL)
            self._starts.append(self._starts[-1] + sample_count(feed))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __iter__(self) -> Iterator[Feed]:
        return (feed for _, _, feed in self.part(0, 1))

    def part(self, index: int, parts: int) -> Iterator[NumberedFeed]:
        """Every feed whose number is `index` modulo `parts`; no other one is read."""
        for number in range(index, len(self), parts):
            with self._file(number).open("rb") as file:
                yield NumberedFeed(number, self._starts[number], pickle.load(file))

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.pickle"
