# SPDX-License-Identifier: Apache-2.0
"""Calibration data of decoders, from that of the encoder beside them.

What a decoder reads, the output of its encoder and a cache of its own making, nobody has as data. Here the original
network decodes greedily from the encoder's inputs, and its decoders are calibrated on what they would read on the way:
the start token and the whole text without a cache, every further token with one.

A folder, as Optimum writes it, holds the encoder and

    decoder_model.onnx             reads a text, gives logits and the cache
    decoder_with_past_model.onnx   reads one more token and the cache
    decoder_model_merged.onnx      both, and an input that tells which
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onnx_snn.data.feeds import Feeds
from onnx_snn.data.specs import Feed, session_specs
from onnx_snn.errors import CalibrationError, ModelError
from onnx_snn.runtime.execution import run
from onnx_snn.runtime.session import session, session_options

ENCODER = "encoder_model.onnx"
DECODER = "decoder_model.onnx"
WITH_PAST = "decoder_with_past_model.onnx"
MERGED = "decoder_model_merged.onnx"
DECODERS = (DECODER, WITH_PAST, MERGED)

_STARTS, _RESUMES = (DECODER, MERGED), (WITH_PAST, MERGED)
"""Decoders that read a text without a cache, and with one; the first that a folder has decodes."""

TOKENS = 16
"""Length of the texts that are decoded."""

HIDDEN, LOGITS = "last_hidden_state", "logits"
"""Outputs of an encoder and of a decoder."""

_PAST, _PRESENT, _CROSS = "past_key_values.", "present.", ".encoder."
"""Parts of the names of the cache as it goes in, as it comes out, and of that of the encoder's output."""

_CONFIGURATIONS = ("config.json", "generation_config.json")
"""Files that name the special tokens; the later one has the last word."""


class DecoderFeeds:
    """What one decoder of a folder reads while the network decodes; every iteration decodes again.

    Args:
        folder: The network.
        encoder: Inputs of its encoder.
        name: File name of the decoder.

    Raises:
        ModelError: no decoder there can start a text, or no configuration names the token to start with.
    """

    def __init__(self, folder: Path, encoder: Feeds, name: str) -> None:
        self._folder, self._encoder, self._name = folder, encoder, name
        self._special = _SpecialTokens.of(folder)
        starts, resumes = ([file for file in files if (folder / file).exists()] for files in (_STARTS, _RESUMES))
        if not starts:
            raise ModelError(f"'{folder}' has neither {' nor '.join(_STARTS)}; give calibration data for {name}")
        self._start, self._resume = starts[0], next(iter(resumes), None)

    def __iter__(self) -> Iterator[Feed]:
        """Feeds of the decoder.

        Raises:
            CalibrationError: it has an input that decoding does not know, or the network fails on the data.
        ModelError: encoder or decoders lack the outputs to go on with.
        """
        needed = {ENCODER, self._start, self._resume or self._start, self._name}
        networks = {name: _Network(self._folder / name, HIDDEN if name == ENCODER else LOGITS) for name in needed}
        for feed in self._encoder:
            for read in self._decode(networks, feed):
                if self._name == MERGED or _has_cache(read) == (self._name == WITH_PAST):
                    yield networks[self._name].feed(read)

    def _decode(self, networks: dict[str, _Network], feed: Feed) -> Iterator[Feed]:
        """What is read on the way of one batch of texts, inputs of any decoder among it."""
        start, resume = networks[self._start], networks[self._resume] if self._resume else None
        hidden = networks[ENCODER].run(feed)[HIDDEN]
        given = {
            "encoder_hidden_states": hidden,
            "encoder_attention_mask": feed.get("attention_mask", np.ones(hidden.shape[:2], np.int64)),
        }
        text = np.full((len(hidden), 1), self._special.start, np.int64)
        ended = np.zeros(len(hidden), np.bool_)
        read = given | {"input_ids": text}
        cross: Feed = {}
        yield read
        outputs = start.run(read)
        while True:
            token = np.where(ended, self._special.pad, outputs[LOGITS][:, -1].argmax(axis=-1))
            ended |= np.isin(token, self._special.end)
            text = np.concatenate([text, token[:, None]], axis=1)
            if ended.all() or text.shape[1] == TOKENS:
                break
            cache = {name.replace(_PRESENT, _PAST): array for name, array in outputs.items() if name != LOGITS}
            if resume is None or not _has_cache(cache):
                outputs = start.run(given | {"input_ids": text})
                continue
            # The encoder's output does not change, and decoders that have read it do not give it again.
            cross = cross or {name: array for name, array in cache.items() if _CROSS in name}
            read = given | cache | cross | {"input_ids": token[:, None]}
            yield read
            outputs = resume.run(read)
        yield given | {"input_ids": text}


class _Network:
    """An original network, run by onnxruntime, that has an output `needed`."""

    def __init__(self, path: Path, needed: str) -> None:
        self._path = path
        self._session = session(path, session_options=session_options(quiet=True, kernels=False), kernels=False)
        self._specs = session_specs(self._session)
        self._outputs = [value.name for value in self._session.get_outputs()]
        if needed not in self._outputs:
            raise ModelError(
                f"'{path}' has no output {needed!r}, only {self._outputs}; give calibration data for the decoders"
            )

    def feed(self, read: Feed) -> Feed:
        """The inputs of this network among `read`; an empty cache where that has none."""
        known = read | {"use_cache_branch": np.array([_has_cache(read)])}
        for spec in self._specs:
            if spec.name.startswith(_PAST) and spec.name not in known:
                sizes = (size if isinstance(size, int) else 0 for size in spec.shape[1:])
                known[spec.name] = np.zeros((len(read["input_ids"]), *sizes), spec.dtype)
        unknown = [spec.name for spec in self._specs if spec.name not in known]
        if unknown:
            raise CalibrationError(
                f"'{self._path}' reads {unknown}, which decoding does not know; give calibration data for it"
            )
        return {spec.name: known[spec.name] for spec in self._specs}

    def run(self, read: Feed) -> Feed:
        """The outputs by name."""
        try:
            return run(self._session, self._outputs, self.feed(read))
        except CalibrationError as error:
            raise CalibrationError(f"'{self._path}': {error}") from error


def _has_cache(read: Feed) -> bool:
    return any(name.startswith(_PAST) for name in read)


class _SpecialTokens(NamedTuple):
    """The token that a text starts with, those that end it, and what follows the end."""

    start: int
    end: list[int]
    pad: int

    @classmethod
    def of(cls, folder: Path) -> _SpecialTokens:
        """Those of a network in `folder`."""
        config: dict[str, Any] = {}
        for file in (folder / name for name in _CONFIGURATIONS):
            config |= _object(file) if file.exists() else {}
        start = config.get("decoder_start_token_id", config.get("bos_token_id"))
        if not isinstance(start, int):
            raise ModelError(
                f"no {' or '.join(_CONFIGURATIONS)} in '{folder}' names a decoder_start_token_id; add it, or give "
                "calibration data for the decoders"
            )
        end = config.get("eos_token_id")
        end = [] if end is None else [end] if isinstance(end, int) else list(end)
        return cls(start, end, config.get("pad_token_id") or 0)


def _object(file: Path) -> dict[str, Any]:
    """The JSON object in `file`."""
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"cannot read '{file}' as a JSON object: {error}") from error
