# SPDX-License-Identifier: Apache-2.0
"""A session of onnxruntime that records its feeds, for `wild_inputs.py`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

FEEDS = 24
"""Feeds of a network that are kept, drawn from all that were recorded: at even distances they could all be the first
ones of clips, whose states are zero."""

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
"""Element types, as some packages feed lists."""

_recorded: dict[str, list[dict[str, Any]]] = {}
_Session = ort.InferenceSession


class RecordingSession(_Session):  # type: ignore[misc, valid-type]
    """An ordinary session that remembers its feeds."""

    def __init__(self, model: Any, *arguments: Any, **options: Any) -> None:
        content = model if isinstance(model, bytes) else Path(model).read_bytes()
        self._feeds = _recorded.setdefault(hashlib.sha256(content).hexdigest(), [])
        super().__init__(model, *arguments, **options)
        self._types = {value.name: _TYPES[value.type] for value in self.get_inputs()}

    def run(self, output_names: Any, input_feed: Any, run_options: Any = None) -> Any:
        """Remember `input_feed`, then run it."""
        self._feeds.append({name: np.array(value, self._types[name]) for name, value in input_feed.items()})
        return super().run(output_names, input_feed, run_options)


def save(folder: Path) -> None:
    """Write one .npz for each network that was fed, named by the SHA-256 of its file, with arrays `NUMBER:INPUT`."""
    for digest, feeds in _recorded.items():
        drawn = np.random.default_rng(0).permutation(len(feeds))[:FEEDS]
        kept = [feeds[index] for index in sorted(drawn)]
        if kept:
            arrays = {f"{number}:{name}": array for number, feed in enumerate(kept) for name, array in feed.items()}
            np.savez(folder / f"{digest}.npz", allow_pickle=False, **arrays)
