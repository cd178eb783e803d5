# SPDX-License-Identifier: Apache-2.0
"""Calibration data for decoders, generated from that of their encoder.

A decoder reads the output of its encoder and a key/value cache of its own, which users do not have as data. Here the
original network decodes greedily from the inputs of the encoder. Its decoders are calibrated on the inputs that occur:
the start token and the whole text without a cache, every further token with one.

A folder, as Optimum writes it, holds the encoder and

    decoder_model.onnx             reads a text, returns logits and the cache
    decoder_with_past_model.onnx   reads one more token and the cache
    decoder_model_merged.onnx      both, selected by an input
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onnx_snn.data.feeds import Feeds
from onnx_snn.data.specs import Feed, session_specs
from onnx_snn.errors import CalibrationError, ModelError
from onnx_snn.json_files import read_object
from onnx_snn.runtime.execution import run
from onnx_snn.runtime.session import session, session_options

ENCODER = "encoder_model.onnx"
DECODER = "decoder_model.onnx"
WITH_PAST = "decoder_with_past_model.onnx"
MERGED = "decoder_model_merged.onnx"
DECODERS = (DECODER, WITH_PAST, MERGED)

_WITHOUT_CACHE = (DECODER, MERGED)
"""Files of decoders that read a text without a cache; the first one that a folder has is used."""

_WITH_CACHE = (WITH_PAST, MERGED)
"""Files of decoders that read a token with a cache; the first one that a folder has is used."""

TOKENS = 16
"""Length of the decoded texts in tokens."""

HIDDEN = "last_hidden_state"
"""Output of an encoder."""

LOGITS = "logits"
"""Output of a decoder."""

_PAST = "past_key_values."
"""Prefix of the inputs that hold the cache."""

_PRESENT = "present."
"""Prefix of the outputs that hold the cache."""

_CROSS = ".encoder."
"""Part of the names of cached keys and values of the encoder's output, for cross-attention."""

_CONFIGURATIONS = ("config.json", "generation_config.json")
"""Files that name the special tokens; entries of a later file override those of an earlier one."""


class DecoderFeeds:
    """Inputs of one decoder of a folder during greedy decoding; every iteration decodes again.

    Args:
        folder: folder of the network.
        encoder: inputs of its encoder.
        name: file name of the decoder.
        custom_ops: libraries of custom operators that the networks need.

    Raises:
        ModelError: no decoder of the folder reads a text without a cache, or no configuration names the start token.
    """

    def __init__(self, folder: Path, encoder: Feeds, name: str, custom_ops: Sequence[str | Path] = ()) -> None:
        self._custom_ops = custom_ops
        self._folder, self._encoder, self._name = folder, encoder, name
        self._special = _SpecialTokens.of(folder)
        start = _first_existing(folder, _WITHOUT_CACHE)
        if start is None:
            names = " nor ".join(_WITHOUT_CACHE)
            raise ModelError(f"'{folder}' has neither {names}; give calibration data for {name}")
        self._start, self._resume = start, _first_existing(folder, _WITH_CACHE)

    def __iter__(self) -> Iterator[Feed]:
        """Feeds of the decoder.

        Raises:
            CalibrationError: the decoder has an input that decoding does not provide, or the network fails on the data.
            ModelError: the encoder lacks its hidden states, or a decoder its logits, among the outputs.
        """
        needed = {ENCODER, self._start, self._resume or self._start, self._name}
        networks = {
            name: _Network(self._folder / name, HIDDEN if name == ENCODER else LOGITS, self._custom_ops)
            for name in needed
        }
        for feed in self._encoder:
            for inputs in self._decode(networks, feed):
                if self._name == MERGED or _has_cache(inputs) == (self._name == WITH_PAST):
                    yield networks[self._name].feed(inputs)

    def _decode(self, networks: dict[str, _Network], feed: Feed) -> Iterator[Feed]:
        """Decode one batch of texts; yield the inputs of each step, for decoders of any kind."""
        start, resume = networks[self._start], networks[self._resume] if self._resume else None
        hidden = networks[ENCODER].run(feed)[HIDDEN]
        encoded = {
            "encoder_hidden_states": hidden,
            "encoder_attention_mask": feed.get("attention_mask", np.ones(hidden.shape[:2], np.int64)),
        }
        text = np.full((len(hidden), 1), self._special.start, np.int64)
        ended = np.zeros(len(hidden), np.bool_)
        inputs = encoded | {"input_ids": text}
        cross_cache: Feed = {}
        yield inputs
        outputs = start.run(inputs)
        while True:
            token = np.where(ended, self._special.pad, outputs[LOGITS][:, -1].argmax(axis=-1))
            ended |= np.isin(token, self._special.end)
            text = np.concatenate([text, token[:, None]], axis=1)
            if ended.all() or text.shape[1] == TOKENS:
                break
            cache = {name.replace(_PRESENT, _PAST): array for name, array in outputs.items() if name != LOGITS}
            if resume is None or not _has_cache(cache):
                outputs = start.run(encoded | {"input_ids": text})
                continue
            # Only the first step returns keys and values of the encoder's output, which stay the same.
            cross_cache = cross_cache or {name: array for name, array in cache.items() if _CROSS in name}
            inputs = encoded | cache | cross_cache | {"input_ids": token[:, None]}
            yield inputs
            outputs = resume.run(inputs)
        yield encoded | {"input_ids": text}


class _Network:
    """An original network, run by onnxruntime.

    Args:
        path: its file.
        needed: name of an output that it must have.
        custom_ops: libraries of custom operators that it needs.

    Raises:
        ModelError: it lacks that output.
    """

    def __init__(self, path: Path, needed: str, custom_ops: Sequence[str | Path]) -> None:
        self._path = path
        options = session_options(quiet=True, kernels=False, custom_ops=custom_ops)
        self._session = session(path, session_options=options, kernels=False)
        self._specs = session_specs(self._session)
        self._outputs = [value.name for value in self._session.get_outputs()]
        if needed not in self._outputs:
            raise ModelError(
                f"'{path}' has no output {needed!r}, only {self._outputs}; give calibration data for the decoders"
            )

    def feed(self, inputs: Feed) -> Feed:
        """The inputs of this network among `inputs`; an empty cache where these have none.

        Raises:
            CalibrationError: the network has further inputs.
        """
        known = inputs | {"use_cache_branch": np.array([_has_cache(inputs)])}
        for spec in self._specs:
            if spec.name.startswith(_PAST) and spec.name not in known:
                sizes = (size if isinstance(size, int) else 0 for size in spec.shape[1:])
                known[spec.name] = np.zeros((len(inputs["input_ids"]), *sizes), spec.dtype)
        unknown = [spec.name for spec in self._specs if spec.name not in known]
        if unknown:
            raise CalibrationError(
                f"'{self._path}' reads {unknown}, which decoding does not provide; give calibration data for it"
            )
        return {spec.name: known[spec.name] for spec in self._specs}

    def run(self, inputs: Feed) -> Feed:
        """The outputs by name."""
        try:
            return run(self._session, self._outputs, self.feed(inputs))
        except CalibrationError as error:
            raise CalibrationError(f"'{self._path}': {error}") from error


def _has_cache(inputs: Feed) -> bool:
    return any(name.startswith(_PAST) for name in inputs)


def _first_existing(folder: Path, names: Sequence[str]) -> str | None:
    """The first of the file names `names` that `folder` has."""
    return next((name for name in names if (folder / name).exists()), None)


class _SpecialTokens(NamedTuple):
    """Token ids with a meaning of their own.

    Attributes:
        start: first token of a text.
        end: tokens that end a text.
        pad: token that fills a text behind its end.
    """

    start: int
    end: list[int]
    pad: int

    @classmethod
    def of(cls, folder: Path) -> _SpecialTokens:
        """Special tokens of the network in `folder`, from its configuration files.

        Raises:
            ModelError: the files name no start token, or are not JSON.
        """
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
        ends = [end] if isinstance(end, int) else list(end or ())
        return cls(start, ends, config.get("pad_token_id") or 0)


def _object(file: Path) -> dict[str, Any]:
    """The JSON object in `file`."""
    try:
        return read_object(file)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read '{file}' as a JSON object: {error}") from error
