# SPDX-License-Identifier: Apache-2.0
"""Text generation beside Optimum and Transformers: the same tokens, and the same distributions to draw them from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import onnx_snn
from onnx_snn.generation.sampling import Sampling, penalized

pytestmark = [pytest.mark.export, pytest.mark.slow]

GPT2 = Path(__file__).parents[1] / "models" / "gpt2-war-and-peace" / "with-past"


@pytest.mark.parametrize("penalty", [1.0, 1.2])
def test_optimum_generates_the_same_tokens(penalty: float) -> None:
    import torch
    from optimum.onnxruntime import ORTModelForCausalLM

    model = ORTModelForCausalLM.from_pretrained(GPT2, session_options=onnx_snn.session_options(quiet=True))
    with np.load(GPT2 / "test.npz") as archive:
        ids = archive["input_ids"][:4].tolist()
    prompts = [row[: 4 + 3 * index] for index, row in enumerate(ids)]
    longest = max(map(len, prompts))
    padded = torch.tensor([[0] * (longest - len(row)) + row for row in prompts])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in prompts])
    options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, "repetition_penalty": penalty}
    texts = model.generate(input_ids=padded, attention_mask=mask, **options)[:, longest:].tolist()
    result = onnx_snn.generate(GPT2, prompts, max_new_tokens=12, repetition_penalty=penalty)
    for tokens, text in zip(result.tokens, texts, strict=True):
        assert list(tokens) == text[: len(tokens)]
        assert len(tokens) == 12 or tokens[-1] == 0


@pytest.mark.parametrize("temperature", [0.5, 1.5])
@pytest.mark.parametrize("top_k", [0, 1, 7, 100])
@pytest.mark.parametrize("top_p", [0.1, 0.9, 1.0])
def test_tokens_are_drawn_from_the_distributions_of_transformers(temperature: float, top_k: int, top_p: float) -> None:
    import torch
    from transformers.generation import logits_process as library

    logits = np.random.default_rng(1).normal(size=40).astype(np.float32) * 2
    text = [3, 5, 5, 8]
    steps = [library.RepetitionPenaltyLogitsProcessor(1.3), library.TemperatureLogitsWarper(temperature)]
    steps += [library.TopKLogitsWarper(top_k)] if top_k else []
    steps += [library.TopPLogitsWarper(top_p)] if top_p < 1 else []
    expected = torch.from_numpy(logits)[None]
    for step in steps:
        expected = step(torch.tensor([text]), expected)
    got = Sampling(temperature, top_k, top_p).probabilities(penalized(logits, text, 1.3))
    np.testing.assert_allclose(got, expected.softmax(-1)[0].numpy(), rtol=1e-5, atol=1e-7)
    assert np.count_nonzero(got) == np.count_nonzero(np.isfinite(expected.numpy()))
