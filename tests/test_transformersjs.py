# SPDX-License-Identifier: Apache-2.0
"""Folders in the layout of transformers.js, run by it in Node.js where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hosts.runner import HOSTS
from tokenizers import Tokenizer, models, pre_tokenizers

import onnx_snn

pytestmark = [
    pytest.mark.export,
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (HOSTS / "node_modules" / "@huggingface" / "transformers").is_dir(),
        reason="npm install --no-save --ignore-scripts @huggingface/transformers, in tests/hosts, runs this test",
    ),
]

WORDS = ("[UNK]", "a", "gripping", "film", "far", "too", "long")
TEXTS = ("a gripping film", "far too long a film")


def test_transformersjs_classifies_texts_with_it(exported: Callable[[str], Path], tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "spiking"
    shutil.copytree(exported("distilbert"), source)
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(source / "tokenizer.json"))
    (source / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[UNK]"}'
    )
    feeds = [feed_of(tokenizer, text) for text in TEXTS]
    onnx_snn.convert(source, target, feeds, layout="transformersjs", body="closed", fast=True, progress=False)
    session = onnx_snn.session(target / "onnx" / "model.onnx")
    expected = []
    for feed in feeds:
        [[logits]] = session.run(None, feed)
        scores = np.exp(logits) / np.exp(logits).sum()
        expected.append((f"LABEL_{scores.argmax()}", float(scores.max())))
    # One by one: the tokenizer pads a batch.
    for text, (label, score) in zip(TEXTS, expected, strict=True):
        command = ["node", "transformersjs.mjs", str(target), text]
        answer = subprocess.run(command, cwd=HOSTS, capture_output=True, text=True, check=True, timeout=300)
        [[found, likelihood]] = json.loads(answer.stdout)
        assert (found, likelihood) == (label, pytest.approx(score, rel=1e-4))


def feed_of(tokenizer: Tokenizer, text: str) -> dict[str, np.ndarray]:
    ids = np.asarray([tokenizer.encode(text).ids])
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}
