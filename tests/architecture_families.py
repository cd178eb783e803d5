# SPDX-License-Identifier: Apache-2.0
"""Families of networks: how each is built, and the shapes of what it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from corpus import BATCH, FRAMES, IMAGE, LENGTH, MELS, SHAPES, VOCABULARY
from exports import LAYERS, T5, WIDTHS


@dataclass(frozen=True)
class Family:
    """How a family is built.

    Attributes:
        architecture: class in transformers, or a function of this module that makes a `torch.nn.Module`.
        inputs: what it reads, a name of `INPUTS`.
        options: of its configuration.
        task: Optimum's name of what is exported; None where Optimum cannot.
        merged: what Optimum makes of its decoder with and without a cache, one file with a branch for each, is a part.
        gain: of the weights over those that He et al. draw for ReLU, where there are dozens of convolutions in a row,
            in whose small weights, as their configuration starts from them, any signal dies out; None leaves them so.
        normalized: weight of the batch normalizations, whose statistics then are those of many images; None leaves both
            as they are. Half of one keeps most of a signal where SiLU hardly bends it.
    """

    architecture: str | Callable[[], torch.nn.Module]
    inputs: str
    options: dict[str, Any] = field(default_factory=dict)
    task: str | None = None
    merged: bool = False
    gain: float | None = None
    normalized: float | None = None


_WORDS = {"vocab_size": VOCABULARY, "max_position_embeddings": 64}
_BERT = {**WIDTHS, **_WORDS, "pad_token_id": 1}
_LLAMA = {**WIDTHS, **_WORDS, "num_key_value_heads": 2, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
_PHI = {**WIDTHS, **_WORDS, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
_VIT = {**WIDTHS, "image_size": IMAGE, "patch_size": 8}
_SPECIAL = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 2}
_BART = {
    **_WORDS,
    **_SPECIAL,
    **dict.fromkeys(("encoder_layers", "decoder_layers"), LAYERS),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 64),
    "d_model": 32,
}
_WHISPER = {
    **{key: value for key, value in _BART.items() if key != "max_position_embeddings"},
    "num_mel_bins": MELS,
    "max_source_positions": FRAMES // 2,
    "max_target_positions": 32,
    "begin_suppress_tokens": None,
    "suppress_tokens": None,
}
_CLIP = {"text_config": {**WIDTHS, **_WORDS, "eos_token_id": 3}, "vision_config": _VIT, "projection_dim": 32}
_TEXT, _CAUSAL, _IMAGE = "text-classification", "text-generation", "image-classification"


def vgg16() -> torch.nn.Module:
    """The thirteen convolutions and three linear layers of VGG-16, an eighth as wide."""
    layers: list[torch.nn.Module] = []
    channels = 3
    for width, depth in ((8, 2), (16, 2), (32, 3), (64, 3), (64, 3)):
        for _ in range(depth):
            layers += [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.ReLU()]
            channels = width
        layers.append(torch.nn.MaxPool2d(2))
    head = (torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(64, 64), torch.nn.ReLU())
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), *head, torch.nn.Dropout(), torch.nn.Linear(64, 10))


FAMILIES: dict[str, Family] = {
    "vit": Family("ViTForImageClassification", "pixels", _VIT, _IMAGE),
    "deit": Family("DeiTForImageClassification", "pixels", _VIT, _IMAGE),
    "swin": Family(
        "SwinForImageClassification",
        "pixels",
        {
            "image_size": IMAGE,
            "patch_size": 2,
            "embed_dim": 16,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
        },
        _IMAGE,
    ),
    "beit": Family(
        "BeitForImageClassification",
        "pixels",
        # PyTorch's exporter trips over the strides of the fused attention.
        {**_VIT, "use_relative_position_bias": True, "vocab_size": VOCABULARY, "attn_implementation": "eager"},
        _IMAGE,
    ),
    "dinov2": Family("Dinov2ForImageClassification", "pixels", {**_VIT, "mlp_ratio": 2}, _IMAGE),
    "convnext": Family(
        "ConvNextForImageClassification",
        "pixels",
        {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 2, 1], "image_size": IMAGE},
        _IMAGE,
    ),
    "resnet34": Family(
        "ResNetForImageClassification",
        "pixels",
        {"embedding_size": 8, "hidden_sizes": [8, 16, 32, 64], "depths": [3, 4, 6, 3], "layer_type": "basic"},
        _IMAGE,
    ),
    "resnet50": Family(
        "ResNetForImageClassification",
        "pixels",
        {"embedding_size": 8, "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 2, 1], "layer_type": "bottleneck"},
        _IMAGE,
    ),
    "vgg16": Family(vgg16, "pixels", gain=1.0),
    "mobilenet-v1": Family(
        "MobileNetV1ForImageClassification",
        "pixels",
        {"depth_multiplier": 0.125, "image_size": IMAGE},
        _IMAGE,
        gain=1.0,
    ),
    "mobilenet-v2": Family(
        "MobileNetV2ForImageClassification",
        "pixels",
        {"depth_multiplier": 0.25, "image_size": IMAGE},
        _IMAGE,
        gain=0.8,  # ReLU6 bounds what is large
    ),
    "efficientnet": Family(
        "EfficientNetForImageClassification",
        "pixels",
        {
            "image_size": IMAGE,
            "width_coefficient": 0.25,
            "depth_coefficient": 0.5,
            "hidden_dim": 320,
        },
        _IMAGE,
        normalized=0.5,
    ),
    "clip": Family("CLIPModel", "text and pixels", _CLIP, "zero-shot-image-classification"),
    "clip-text": Family(
        "CLIPTextModelWithProjection", "text", {**_CLIP["text_config"], "projection_dim": 32}, "feature-extraction"
    ),
    "clip-vision": Family("CLIPVisionModel", "pixels", _VIT, "feature-extraction"),
    "siglip": Family(
        "SiglipModel",
        "text and pixels",
        {"text_config": {**WIDTHS, **_WORDS, "projection_size": 32}, "vision_config": _VIT},
        "zero-shot-image-classification",
    ),
    "bert": Family("BertForSequenceClassification", "text", _BERT, _TEXT),
    "minilm": Family("BertModel", "text", _BERT, "feature-extraction"),
    "roberta": Family("RobertaForSequenceClassification", "text", _BERT, _TEXT),
    "xlm-roberta": Family("XLMRobertaForTokenClassification", "text", _BERT, "token-classification"),
    "distilbert": Family(
        "DistilBertForSequenceClassification",
        "text",
        {**_WORDS, "dim": 32, "n_layers": LAYERS, "n_heads": 4, "hidden_dim": 64},
        _TEXT,
    ),
    "albert": Family("AlbertForSequenceClassification", "text", {**_BERT, "embedding_size": 16}, _TEXT),
    "electra": Family("ElectraForSequenceClassification", "text", {**_BERT, "embedding_size": 16}, _TEXT),
    "deberta": Family(
        "DebertaForSequenceClassification",
        "text",
        {**_BERT, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False},
        _TEXT,
    ),
    "deberta-v2": Family(
        "DebertaV2ForSequenceClassification",
        "text",
        {
            **_BERT,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "position_buckets": 16,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
        },
        _TEXT,
    ),
    "mpnet": Family("MPNetForSequenceClassification", "text", _BERT, _TEXT),
    "gpt2": Family(
        "GPT2LMHeadModel",
        "text",
        {"n_embd": 32, "n_layer": LAYERS, "n_head": 4, "vocab_size": VOCABULARY, "n_positions": 64},
        _CAUSAL,
    ),
    "gpt-neo": Family(
        "GPTNeoForCausalLM",
        "text",
        {
            **_WORDS,
            "hidden_size": 32,
            "num_layers": LAYERS,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 8,
        },
        _CAUSAL,
    ),
    "gptj": Family(
        "GPTJForCausalLM",
        "text",
        {"n_embd": 32, "n_layer": LAYERS, "n_head": 4, "vocab_size": VOCABULARY, "n_positions": 64, "rotary_dim": 4},
        _CAUSAL,
    ),
    "gpt-neox": Family("GPTNeoXForCausalLM", "text", {**WIDTHS, **_WORDS, "rotary_pct": 0.5}, _CAUSAL),
    "opt": Family(
        "OPTForCausalLM",
        "text",
        {**WIDTHS, **_WORDS, "ffn_dim": 64, "word_embed_proj_dim": 32, "pad_token_id": 1},
        _CAUSAL,
    ),
    "bloom": Family(
        "BloomForCausalLM",
        "text",
        {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": LAYERS, "n_head": 4},
        _CAUSAL,
    ),
    "falcon": Family("FalconForCausalLM", "text", {**WIDTHS, **_WORDS, "alibi": False}, _CAUSAL),
    "llama": Family("LlamaForCausalLM", "text", _LLAMA, _CAUSAL),
    "mistral": Family("MistralForCausalLM", "text", {**_LLAMA, "sliding_window": 8}, _CAUSAL),
    "mixtral": Family("MixtralForCausalLM", "text", {**_LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2}, None),
    "qwen2": Family("Qwen2ForCausalLM", "text", _LLAMA, _CAUSAL),
    "qwen3": Family("Qwen3ForCausalLM", "text", {**_LLAMA, "head_dim": 8}, _CAUSAL),
    "gemma": Family("GemmaForCausalLM", "text", {**_LLAMA, "head_dim": 8}, _CAUSAL),
    "gemma2": Family("Gemma2ForCausalLM", "text", {**_LLAMA, "head_dim": 8, "sliding_window": 8}, _CAUSAL),
    "gemma3": Family("Gemma3ForCausalLM", "text", {**_LLAMA, "head_dim": 8, "sliding_window": 8}, _CAUSAL),
    "phi": Family("PhiForCausalLM", "text", {**_PHI, "partial_rotary_factor": 0.5}, _CAUSAL),
    "phi3": Family("Phi3ForCausalLM", "text", _LLAMA, _CAUSAL),
    "t5": Family("T5ForConditionalGeneration", "text to text", T5, "text2text-generation", merged=True),
    "flan-t5": Family(
        "T5ForConditionalGeneration",
        "text to text",
        {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        "text2text-generation",
    ),
    "bart": Family("BartForConditionalGeneration", "text to text", _BART, "text2text-generation", merged=True),
    "marian": Family("MarianMTModel", "text to text", _BART, "text2text-generation"),
    "whisper": Family(
        "WhisperForConditionalGeneration", "speech to text", _WHISPER, "automatic-speech-recognition", merged=True
    ),
}

INPUTS: dict[str, dict[str, tuple[int, ...]]] = {
    "pixels": {"pixel_values": SHAPES["pixel_values"]},
    "text": {"input_ids": (BATCH, LENGTH), "attention_mask": (BATCH, LENGTH)},
    "text and pixels": {
        "input_ids": (BATCH, LENGTH),
        "pixel_values": SHAPES["pixel_values"],
        "attention_mask": (BATCH, LENGTH),
    },
    "text to text": {
        "input_ids": (BATCH, LENGTH),
        "attention_mask": (BATCH, LENGTH),
        "decoder_input_ids": (BATCH, LENGTH - 2),
    },
    "speech to text": {"input_features": SHAPES["input_features"], "decoder_input_ids": (BATCH, LENGTH)},
}
"""Names and shapes of sample inputs; of images and speech only the batch varies."""
