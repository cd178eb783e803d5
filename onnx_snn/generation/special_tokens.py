# SPDX-License-Identifier: Apache-2.0
"""What the configuration files of a decoder say about generation: special tokens, lengths, and the choice of tokens."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from onnx_snn.errors import ModelError
from onnx_snn.json_files import read_object

logger = logging.getLogger(__name__)

GENERATION, NETWORK, GENAI = "generation_config.json", "config.json", "genai_config.json"

POSITIONS = ("context_length", "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")
"""What configurations call the largest number of tokens of a text."""

NEUTRAL: Mapping[str, Any] = {
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "min_length": 0,
    "min_new_tokens": None,
    "bad_words_ids": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "num_beams": 1,
    "penalty_alpha": None,
    "sequence_bias": None,
    "guidance_scale": None,
    "exponential_decay_length_penalty": None,
}
"""Settings that change which tokens Transformers chooses and that are not applied here, with the values at which they
change nothing."""


class GenerationSettings(NamedTuple):
    """What the files of a decoder say.

    Attributes:
        ends: tokens that end a text.
        pad: token of padding.
        positions: largest number of tokens of a text; None where the files do not tell.
        repetition_penalty: as of `Sampling`.
    """

    ends: frozenset[int]
    pad: int
    positions: int | None
    repetition_penalty: float


def generation_settings(folders: Sequence[Path], end_of_tokenizer: int | None) -> GenerationSettings:
    """The settings in the folder of a decoder, or in the one around it.

    The first file that has an entry decides: generation_config.json, config.json, genai_config.json.

    Args:
        folders: folders that may have the files; the first one with a file has all.
        end_of_tokenizer: token that ends texts by the tokenizer, where no file names one; None for none.

    Raises:
        ModelError: a file cannot be read.
    """
    configs = next((found for folder in folders if (found := _configurations(folder))), [])
    values: dict[str, Any] = {}
    for config in configs:
        values = {**config, **values}
    end = values.get("eos_token_id")
    ends = [token for token in (end if isinstance(end, list) else [end]) if isinstance(token, int)]
    if not ends and end_of_tokenizer is not None:
        ends = [end_of_tokenizer]
    pad = values.get("pad_token_id")
    positions = [values[name] for name in POSITIONS if isinstance(values.get(name), int) and values[name] > 0]
    penalty = values.get("repetition_penalty")
    _tell_of_others(values)
    return GenerationSettings(
        frozenset(ends),
        pad if isinstance(pad, int) and pad >= 0 else next(iter(ends), 0),
        positions[0] if positions else None,
        float(penalty) if isinstance(penalty, (int, float)) and penalty > 0 else 1.0,
    )


def _configurations(folder: Path) -> list[dict[str, Any]]:
    """The objects in the files of `folder`, with what each says about a network alone."""
    found = []
    for file in (folder / name for name in (GENERATION, NETWORK, GENAI)):
        if not file.is_file():
            continue
        try:
            values = read_object(file)
        except (OSError, ValueError) as error:
            raise ModelError(f"cannot read '{file}' as a JSON object: {error}") from error
        for part in ("text_config", "model", "search"):  # of networks for images and text, and of onnxruntime-genai
            values |= values[part] if isinstance(values.get(part), dict) else {}
        found.append({key: value for key, value in values.items() if value is not None})
    return found


def _tell_of_others(values: Mapping[str, Any]) -> None:
    """Warn of settings that Transformers applies and this package does not."""
    others = {name: values[name] for name, neutral in NEUTRAL.items() if values.get(name, neutral) != neutral}
    if others:
        logger.warning("settings of the network's configuration files that are not applied: %s", others)
