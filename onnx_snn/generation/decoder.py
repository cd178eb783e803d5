# SPDX-License-Identifier: Apache-2.0
"""A decoder that reads texts token by token, and tells the logits of the next one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime as ort

from onnx_snn.arrays import Float32, Int64
from onnx_snn.generation.cache import Cache
from onnx_snn.generation.decoder_files import DecoderFiles
from onnx_snn.generation.network import Network, Tokens
from onnx_snn.generation.prompt import Rows, Side, last_places, mask_of, padded, positions_of

Open = Callable[[Path], ort.InferenceSession]
"""Opens a session with a file."""

SHORT, LONG = [1, 2], [1, 2, 3]
"""Texts of different lengths, as tokens, that every vocabulary has."""

MEASURED_ERROR = 1e-2
"""Largest error of logits by padding, relative to the largest logit: above what sums in another order do to codes."""


class Decoder:
    """The networks of a decoder.

    Args:
        files: where it lies.
        open_session: opens a session with one of its files.

    Raises:
        ModelError: a file cannot be loaded, or is no decoder.
    """

    def __init__(self, files: DecoderFiles, open_session: Open) -> None:
        resume = open_session(files.resume)
        start = resume if files.start == files.resume else open_session(files.start)
        pasts = files.names.pasts(value.name for value in resume.get_inputs())
        self.has_cache = bool(pasts)
        self.start = Network(files.start, start, files.names, pasts, files.folders)
        self.resume = (
            self.start if start is resume else Network(files.resume, resume, files.names, pasts, files.folders)
        )

    @cached_property
    def padding(self) -> Side | None:
        """On which side the networks take padding; None where texts of a batch are to have equal lengths.

        Networks compute positions in two ways: from the mask, or, with `GroupQueryAttention`, from the left end of the
        batch. What a file tells of that is lost in conversions, so that it is measured: the side on which padding
        changes nothing in the logits of a short text.
        """
        if not (self.start.is_masked and self.resume.is_masked):
            return None
        alone = _two_steps(self, [SHORT], Side.LEFT)
        errors = {side: np.abs(_two_steps(self, [LONG, SHORT], side)[:, 1:] - alone).max() for side in Side}
        best = min(errors, key=errors.__getitem__)
        return best if errors[best] <= MEASURED_ERROR * np.abs(alone).max() else None


class Reading:
    """The reading of a batch of texts that grow by one token at a time.

    Args:
        decoder: what reads.
        side: on which side shorter texts are padded.
        pad: token of padding.
    """

    def __init__(self, decoder: Decoder, side: Side = Side.LEFT, pad: int = 0) -> None:
        self._decoder, self._side, self._pad = decoder, side, pad
        self._cache: Cache | None = None
        self._lengths = np.empty(0, np.int64)
        self._mask = np.empty((0, 0), np.int64)

    def logits(self, rows: Rows) -> Float32:
        """Logits [batch, vocabulary] of the token that follows each text.

        Args:
            rows: the tokens of each text; after the first call each has one token more than before, or is as it was
                because it has ended, in which case its logits mean nothing.

        Raises:
            ModelError: a network fails.
        """
        lengths = np.array(list(map(len, rows)))
        if self._cache is None or not self._decoder.has_cache:
            self._mask = mask_of(lengths, self._side)
            places = last_places(lengths, self._side)
            tokens = Tokens(padded(rows, self._pad, self._side), self._mask, positions_of(self._mask), places)
            logits, self._cache = self._decoder.start.run(tokens, None)
        else:
            logits, self._cache = self._decoder.resume.run(self._next(rows, lengths), self._cache)
        self._lengths = lengths
        return logits

    def _next(self, rows: Rows, lengths: Int64) -> Tokens:
        """The last token of each text, and what was read before them; padding in a text that has ended."""
        grown = lengths > self._lengths
        if self._side is Side.LEFT:
            self._mask = np.concatenate([self._mask, grown[:, None].astype(np.int64)], axis=1)
        else:
            self._mask = mask_of(lengths, self._side)
        last = np.where(grown, np.array([row[-1] for row in rows]), self._pad)
        return Tokens(last[:, None], self._mask, lengths[:, None] - 1, np.zeros_like(lengths))


def _two_steps(decoder: Decoder, rows: list[list[int]], side: Side) -> Float32:
    """Logits [2, batch, vocabulary] after texts, and after these with their first token once more."""
    reading = Reading(decoder, side)
    return np.stack([reading.logits(rows), reading.logits([[*row, row[0]] for row in rows])])
