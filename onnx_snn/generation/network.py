# SPDX-License-Identifier: Apache-2.0
"""One file of a decoder in a session: tokens and a cache in, logits and the next cache out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from onnx_snn.arrays import Float32, Int64
from onnx_snn.data.element_types import widened
from onnx_snn.data.specs import InputSpec, session_specs
from onnx_snn.errors import ModelError, SaturationWarning
from onnx_snn.generation.cache import Cache, new_cache
from onnx_snn.generation.decoder_files import Names
from onnx_snn.runtime.execution import contiguous, copied
from onnx_snn.runtime.guarded_session import GuardedSession

BRANCH = "use_cache_branch"
"""Input of a decoder that is two in one: whether the cache is to be read."""


class Tokens(NamedTuple):
    """What a network is to read.

    Attributes:
        ids: tokens, int64 [batch, new].
        mask: 1 for tokens and 0 for padding, int64 [batch, past + new].
        positions: position of each of the tokens in its text, int64 [batch, new].
        places: column in `ids` of the last token of each text, int64 [batch].
    """

    ids: Int64
    mask: Int64
    positions: Int64
    places: Int64

    @property
    def past(self) -> int:
        """Number of columns that were read before."""
        return int(self.mask.shape[1] - self.ids.shape[1])


class Network:
    """A file of a decoder, run by onnxruntime.

    Args:
        path: the file.
        session: a session with it.
        names: what it calls its inputs and outputs.
        pasts: inputs that read the cache, of this network or of the one that goes on after it.
        folders: where its configuration may lie.

    Attributes:
        is_masked: whether it reads which tokens are padding.

    Raises:
        ModelError: it lacks the tokens among its inputs or the logits or the cache among its outputs, or has inputs
            that generation does not provide.
    """

    def __init__(
        self, path: Path, session: ort.InferenceSession, names: Names, pasts: Sequence[str], folders: Sequence[Path]
    ) -> None:
        self._path, self._session, self._names, self._folders = path, session, names, folders
        specs = session_specs(session)
        outputs = [value.name for value in session.get_outputs()]
        self._pairs = names.pairs(pasts, outputs)
        self._pasts = [spec for spec in specs if spec.name in self._pairs]
        self._others = [spec for spec in specs if spec.name not in self._pairs]
        guard = session.guard if isinstance(session, GuardedSession) else None
        self._watched = {} if guard is None else {guard.name: guard}
        inputs = [spec.name for spec in specs]
        self.is_masked = names.mask in inputs
        for needed, known, kind in ((names.ids, inputs, "input"), (names.logits, outputs, "output")):
            if needed not in known:
                raise ModelError(f"'{path}' has no {kind} {needed!r}, only {known}; it is no decoder that can generate")

    def run(self, tokens: Tokens, cache: Cache | None) -> tuple[Float32, Cache]:
        """Read tokens.

        Args:
            tokens: what to read.
            cache: keys and values of what was read before; None where nothing was.

        Returns:
            Logits after the last token of each text, [batch, vocabulary], and the cache with these tokens.

        Raises:
            ModelError: an input is none that generation provides, or the run fails.
        """
        resumed = cache is not None
        before = new_cache(self._pasts, len(tokens.ids), self._folders) if cache is None else cache
        given = self._given(tokens, resumed)
        binding = self._session.io_binding()
        try:
            for name, array in given.items():
                binding.bind_cpu_input(name, array)
            for spec in self._pasts:
                binding.bind_ortvalue_input(spec.name, before[spec.name])
            for name in (self._names.logits, *self._pairs.values(), *self._watched):
                binding.bind_output(name, "cpu")
            self._session.run_with_iobinding(binding)
            logits, *others = binding.get_outputs()
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            shapes = {name: array.shape for name, array in given.items()}
            raise ModelError(f"'{self._path}': onnxruntime fails on inputs of shapes {shapes}: {error}") from error
        last = widened(copied(logits))[np.arange(len(tokens.ids)), tokens.places].astype(np.float32)
        if np.isnan(last).any():
            raise ModelError(f"'{self._path}' gives logits that are NaN after {tokens.mask.shape[1]} tokens")
        presents = others[: len(self._pairs)]
        self._look_at(others[len(self._pairs) :])
        return last, dict(zip(self._pairs, presents, strict=True))

    def _look_at(self, counts: Sequence[ort.OrtValue]) -> None:
        """Warn once of saturated elements, where the file has a range guard."""
        for guard, found in zip(self._watched.values(), counts, strict=True):
            warning = guard.warning(copied(found))
            if warning:
                self._watched = {}
                warnings.warn(warning, SaturationWarning, stacklevel=2)

    def _given(self, tokens: Tokens, resumed: bool) -> dict[str, NDArray[Any]]:
        """The inputs beside the cache.

        Raises:
            ModelError: the network has one that generation does not provide.
        """
        known = self._known(tokens, resumed)
        unknown = [spec.name for spec in self._others if spec.name not in known]
        if unknown:
            raise ModelError(f"'{self._path}' reads {unknown}, which generation does not provide")
        return {spec.name: _fitting(known[spec.name], spec) for spec in self._others}

    def _known(self, tokens: Tokens, resumed: bool) -> Mapping[str, NDArray[Any]]:
        """Every input that generation provides, by name."""
        lengths = tokens.mask.sum(axis=1)
        return {
            "token_type_ids": np.zeros_like(tokens.ids),
            "total_sequence_length": np.array(tokens.mask.shape[1]),
            "past_sequence_length": np.array(tokens.past),
            "past_seq_len": np.array(tokens.past),
            "total_seq_len": np.array(tokens.mask.shape[1]),
            "seqlens_k": lengths - 1,
            BRANCH: np.array([resumed]),
            self._names.positions: tokens.positions,
            self._names.mask: tokens.mask,
            self._names.ids: tokens.ids,
        }


def _fitting(array: NDArray[Any], spec: InputSpec) -> NDArray[Any]:
    """`array` in the type of an input, and with its rank where it is a single number."""
    if array.size == 1 and array.ndim != len(spec.shape):
        array = array.reshape([1] * len(spec.shape))
    return contiguous(array.astype(spec.dtype))
