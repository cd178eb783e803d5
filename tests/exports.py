# SPDX-License-Identifier: Apache-2.0
"""Tiny networks built from their configurations and exported through Optimum, without any download."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

LAYERS = 2
WIDTHS = {"hidden_size": 32, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "intermediate_size": 64}
_TEXT = {**WIDTHS, "vocab_size": 96, "max_position_embeddings": 64, "pad_token_id": 1}

FAMILIES: dict[str, tuple[str, str, dict[str, object]]] = {
    "vit": (
        "ViTForImageClassification",
        "image-classification",
        {**WIDTHS, "image_size": 16, "patch_size": 8},
    ),
    "roberta": ("RobertaForSequenceClassification", "text-classification", _TEXT),
    "bert": ("BertForSequenceClassification", "text-classification", _TEXT),
    "distilbert": (
        "DistilBertForSequenceClassification",
        "text-classification",
        {"dim": 32, "n_layers": LAYERS, "n_heads": 4, "hidden_dim": 64, "vocab_size": 96},
    ),
    "gpt2": (
        "GPT2LMHeadModel",
        "text-generation",
        {"n_embd": 32, "n_layer": LAYERS, "n_head": 4, "vocab_size": 96, "n_positions": 64},
    ),
}
"""Name of a family: class in transformers, task in Optimum, configuration."""

FAMILIES["gpt2-with-past"] = (FAMILIES["gpt2"][0], "text-generation-with-past", FAMILIES["gpt2"][2])


T5 = {
    "vocab_size": 96,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": LAYERS,
    "num_heads": 4,
    "pad_token_id": 1,
    "eos_token_id": 3,
    "decoder_start_token_id": 2,
}

TRANSLATOR = (
    "T5ForConditionalGeneration",
    "text2text-generation-with-past",
    {
        **T5,
        # With a random head of its own each text goes another way; a tied one repeats the token that it has read.
        "tie_word_embeddings": False,
    },
)
"""A network of several files: encoder, decoder, decoder with a cache, and both decoders merged into one."""


def export(family: str, folder: Path) -> Path:
    """Export a seeded random network of `family` into `folder`; the path of the ONNX file."""
    _export(*FAMILIES[family], folder)
    return folder / "model.onnx"


def export_translator(folder: Path) -> None:
    """Export a seeded random encoder-decoder network into `folder`."""
    _export(*TRANSLATOR, folder)


def _export(architecture: str, task: str, options: dict[str, object], folder: Path) -> None:
    import torch
    import transformers
    from optimum.exporters.onnx import onnx_export_from_model

    model_class = getattr(transformers, architecture)
    torch.manual_seed(0)
    model = model_class(model_class.config_class(**options)).eval()
    with warnings.catch_warnings():
        # PyTorch deprecates the exporter that Optimum calls, and traces warn of every Python branch.
        warnings.simplefilter("ignore")
        onnx_export_from_model(model, folder, task=task, do_validation=False)
