# SPDX-License-Identifier: Apache-2.0
"""Caches that are still empty: what the model does not fix of their shapes comes from the configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnx_snn import CalibrationError, ModelError
from onnx_snn.data.caches import empty_cache
from onnx_snn.data.specs import InputSpec

FLOAT = np.dtype(np.float32)
SPEC = InputSpec("past", FLOAT, ("batch", 2, "past", "features"))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (("batch", 2, "past", 8), (3, 2, 0, 8)),
        (("batch", 2, "past", "features"), (3, 2, 0, 6)),
        (("batch", "past", 2, "features"), (3, 0, 2, 6)),
        (("batch", 2, 8, "past"), (3, 2, 8, 0)),
        (("batch", "past"), (3, 0)),
        ((1, 2, "past", 8), (1, 2, 0, 8)),
    ],
)
def test_sizes_are_those_of_the_model_then_of_the_configuration(
    shape: tuple[int | str, ...], expected: tuple[int, ...], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"head_dim": 6}))
    made = empty_cache(InputSpec("past", FLOAT, shape), 3, [tmp_path])
    assert (made.shape, made.dtype) == (expected, FLOAT)


@pytest.mark.parametrize(
    ("name", "config", "size"),
    [
        ("config.json", {"hidden_size": 24, "num_attention_heads": 4}, 6),
        ("config.json", {"n_embd": 24, "n_head": 3}, 8),
        ("config.json", {"head_dim": 5, "hidden_size": 24, "num_attention_heads": 4}, 5),
        ("genai_config.json", {"model": {"decoder": {"head_size": 7}}}, 7),
        ("genai_config.json", {"model": {"decoder": {"hidden_size": 24, "num_attention_heads": 2}}}, 12),
    ],
)
def test_configurations_tell_the_size_of_a_head(name: str, config: dict[str, Any], size: int, tmp_path: Path) -> None:
    (tmp_path / name).write_text(json.dumps(config))
    assert empty_cache(SPEC, 1, [tmp_path / "nowhere", tmp_path]).shape == (1, 2, 0, size)


@pytest.mark.parametrize("config", [{}, {"head_dim": 0}, {"hidden_size": 24}, {"head_dim": "6"}, {"head_dim": None}])
def test_an_unknown_size_of_a_head_is_named(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="last size of input 'past', that of an attention head"):
        empty_cache(SPEC, 1, [tmp_path])


def test_a_damaged_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CalibrationError, match=r"config\.json' as a JSON object"):
        empty_cache(SPEC, 1, [tmp_path])
