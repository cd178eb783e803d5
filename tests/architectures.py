# SPDX-License-Identifier: Apache-2.0
"""Tiny networks of many families, built from their configurations and exported in three dialects.

    python tests/architectures.py --dialect optimum
    python tests/architectures.py --dialect dynamo
    OTHER/bin/python tests/architectures.py --dialect transformers5

writes the corpus that `corpus.py` reads: tests/families/FAMILY.DIALECT.onnx.gz, one file for each part of a network.
The third command needs an environment with transformers 5.14 or later, which the one with Optimum cannot hold.
`--only` names families; what an exporter refuses is printed and skipped.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import onnx_ir
import torch
import transformers
from corpus import BATCH, FRAMES, IMAGE, LENGTH, MELS, SHAPES, VOCABULARY, write

os.environ.setdefault("HF_HUB_OFFLINE", "1")

LAYERS = 2

NORMALIZED = 256
"""Images by which layers are normalized: the last ones see a single pixel of each."""


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


_WIDTHS = {"hidden_size": 32, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "intermediate_size": 64}
_WORDS = {"vocab_size": VOCABULARY, "max_position_embeddings": 64}
_BERT = {**_WIDTHS, **_WORDS, "pad_token_id": 1}
_LLAMA = {**_WIDTHS, **_WORDS, "num_key_value_heads": 2, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
_PHI = {**_WIDTHS, **_WORDS, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
_VIT = {**_WIDTHS, "image_size": IMAGE, "patch_size": 8}
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
_T5 = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": LAYERS,
    "num_heads": 4,
    "pad_token_id": 1,
    "eos_token_id": 3,
    "decoder_start_token_id": 2,
}
_CLIP = {"text_config": {**_WIDTHS, **_WORDS, "eos_token_id": 3}, "vision_config": _VIT, "projection_dim": 32}
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
        {"text_config": {**_WIDTHS, **_WORDS, "projection_size": 32}, "vision_config": _VIT},
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
    "gpt-neox": Family("GPTNeoXForCausalLM", "text", {**_WIDTHS, **_WORDS, "rotary_pct": 0.5}, _CAUSAL),
    "opt": Family(
        "OPTForCausalLM",
        "text",
        {**_WIDTHS, **_WORDS, "ffn_dim": 64, "word_embed_proj_dim": 32, "pad_token_id": 1},
        _CAUSAL,
    ),
    "bloom": Family(
        "BloomForCausalLM",
        "text",
        {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": LAYERS, "n_head": 4},
        _CAUSAL,
    ),
    "falcon": Family("FalconForCausalLM", "text", {**_WIDTHS, **_WORDS, "alibi": False}, _CAUSAL),
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
    "t5": Family("T5ForConditionalGeneration", "text to text", _T5, "text2text-generation", merged=True),
    "flan-t5": Family(
        "T5ForConditionalGeneration",
        "text to text",
        {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
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


def build(family: Family, **options: Any) -> torch.nn.Module:
    """A seeded random network, its configuration updated by `options`, ready for inference."""
    torch.manual_seed(0)
    if callable(family.architecture):
        model = family.architecture()
    else:
        model_class = getattr(transformers, family.architecture)
        config = model_class.config_class(**family.options)
        for name, value in options.items():
            setattr(config, name, value)
        model = model_class(config)
    for module in model.modules():
        if family.gain and isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
            with torch.no_grad():
                module.weight.mul_(family.gain)
    if family.normalized:
        _normalize(model, family.normalized)
    return model.eval()


def _normalize(model: torch.nn.Module, weight: float) -> None:
    """Let batch normalizations normalize what passes them."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
            torch.nn.init.constant_(module.weight, weight)
    with torch.no_grad():
        model.train()(torch.randn(NORMALIZED, 3, IMAGE, IMAGE))


def sample(family: Family) -> dict[str, torch.Tensor]:
    """Inputs to trace with; the last token of every other row is masked."""
    inputs: dict[str, torch.Tensor] = {}
    for name, shape in INPUTS[family.inputs].items():
        if name.endswith("ids"):
            inputs[name] = torch.randint(4, VOCABULARY, shape)
        elif name.endswith("mask"):
            inputs[name] = torch.ones(shape, dtype=torch.int64)
            inputs[name][1::2, -1] = 0
        else:
            inputs[name] = torch.randn(shape)
    return inputs


def optimum(family: Family, folder: Path) -> None:
    """Export through Optimum, whose exporter is TorchScript; by that alone where Optimum knows no such network."""
    if family.task is None:
        torch.onnx.export(
            build(family),
            tuple(sample(family).values()),
            str(folder / "model.onnx"),
            dynamo=False,
            input_names=list(sample(family)),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch"} for name in sample(family)},
        )
        return
    from optimum.exporters.onnx import onnx_export_from_model

    frames = {"nb_max_frames": FRAMES} if family.inputs == "speech to text" else {}
    onnx_export_from_model(build(family), folder, task=family.task, do_validation=False, **frames)
    if family.merged:
        with_past = folder / "with_past"
        onnx_export_from_model(build(family), with_past, task=f"{family.task}-with-past", do_validation=False, **frames)
        (with_past / "decoder_model_merged.onnx").replace(folder / "merged.onnx")


def dynamo(family: Family, folder: Path) -> None:
    """Export by PyTorch's exporter that is based on torch.export."""
    inputs = sample(family)
    axes = {name: _dynamic_axes(name) for name in inputs}
    model = _FirstOutput(build(family, use_cache=False, return_dict=True), list(inputs))
    program = torch.onnx.export(
        model,
        tuple(inputs.values()),
        dynamo=True,
        dynamic_shapes=[tuple(axes.values())],
        input_names=list(inputs),
        output_names=["logits"],
        verbose=False,
    )
    program.save(str(folder / "model.onnx"))


class _FirstOutput(torch.nn.Module):
    """A network that takes its inputs by position and returns the first of its outputs."""

    def __init__(self, model: torch.nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        if isinstance(self.model, torch.nn.Sequential):
            return self.model(*values)
        output = self.model(**dict(zip(self.names, values, strict=True)))
        return output[0]


def _dynamic_axes(name: str) -> dict[int, str]:
    if name in SHAPES:
        return {0: "batch"}
    return {0: "batch", 1: f"{'decoder_' if 'decoder' in name else ''}sequence"}


def transformers5(family: Family, folder: Path) -> None:
    """Export by the exporter that is part of transformers since 5.14."""
    from transformers.exporters import OnnxConfig, OnnxExporter

    inputs = sample(family)
    axes = {name: dict.fromkeys(_dynamic_axes(name), torch.export.Dim.AUTO) for name in inputs}
    config = OnnxConfig(dynamic=True, dynamic_shapes=axes)
    exported = OnnxExporter().export(build(family, use_cache=False), inputs, config=config)
    onnx_ir.save(exported.program, str(folder / "model.onnx"))


DIALECTS: dict[str, Callable[[Family, Path], None]] = {
    "optimum": optimum,
    "dynamo": dynamo,
    "transformers5": transformers5,
}


def parts(folder: Path) -> Iterator[tuple[str, Path]]:
    """The exported files of a network, each with the name of its part, empty where there is only one."""
    for file in sorted(folder.glob("*.onnx")):
        yield file.stem.removesuffix("_model").removesuffix("model"), file


def main(arguments: Sequence[str] | None = None) -> int:
    """Export what is asked for; the number of families that were refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", choices=DIALECTS, required=True)
    parser.add_argument("--only", nargs="*", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("families"))
    options = parser.parse_args(arguments)
    refused = 0
    for name in options.only:
        with tempfile.TemporaryDirectory() as scratch:
            try:
                with warnings.catch_warnings():
                    # Exporters warn of every Python branch, and PyTorch deprecates the one that Optimum calls.
                    warnings.simplefilter("ignore")
                    DIALECTS[options.dialect](FAMILIES[name], Path(scratch))
            except Exception as error:
                refused += 1
                print(f"{name}: {type(error).__name__}: {str(error).strip().splitlines()[0][:300]}", file=sys.stderr)
                if os.environ.get("TRACE"):
                    traceback.print_exc()
                continue
            for part, file in parts(Path(scratch)):
                path = options.output / ".".join(filter(None, (name, options.dialect, part, "onnx.gz")))
                size = write(onnx.load(file), path)
                print(f"{path.name}: {size / 1000:.0f} kB", flush=True)
    return refused


if __name__ == "__main__":
    sys.exit(main())
