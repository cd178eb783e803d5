# SPDX-License-Identifier: Apache-2.0
"""Data that workers read where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx_snn.data.feeds import Feeds, Judge, Opening, open_feeds
from onnx_snn.data.specs import InputSpec
from onnx_snn.data.stored_feeds import StoredFeeds


@dataclass(frozen=True)
class SharedFeeds:
    """Feeds that any worker can open.

    Attributes:
        opening: how.
        specs: the model's inputs.
    """

    opening: Opening
    specs: Sequence[InputSpec]

    @classmethod
    def of(cls, feeds: Feeds, folder: Path) -> SharedFeeds:
        """`feeds` for workers: files are read by them, anything else is read here once and written into `folder`.

        Raises:
            CalibrationError: a feed does not fit the model.
        """
        if feeds.opening is not None:
            return cls(feeds.opening, feeds.specs)
        stored = folder / "feeds"
        stored.mkdir()
        return cls(Opening(StoredFeeds(stored, feeds)), feeds.specs)

    def open(self, judge: Judge) -> Feeds:
        """The feeds; `judge` judges those that are not finite.

        Raises:
            CalibrationError: they cannot be read where the worker is.
        """
        source, batch_size, samples, evenly = self.opening
        return open_feeds(source, self.specs, batch_size=batch_size, max_samples=samples, evenly=evenly, judge=judge)
