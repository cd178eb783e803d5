"""Train a small Vision Transformer on CIFAR-10 from scratch and export it to ONNX.

    python models/vit-cifar10/train.py --data cifar10-jpg.tar --output models/vit-cifar10

The data is a tar of JPEG files named ``train|test/<class>/NNNN.jpg``.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import nn
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

# isort: off
import common
import measures
from cifar10 import CLASSES, SEED, SIDE, augment, class_balanced, load_split, normalize
from common import LOG
from muon import Optimizers

# isort: on

BATCH = 128
HELD_OUT = 1000
WIDTH, DEPTH, HEADS, PATCH = 192, 6, 3, 4


def make_config() -> ViTConfig:
    """Configuration of the network: ViT-Ti width, half its depth."""
    return ViTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        hidden_act="gelu",
        image_size=SIDE,
        patch_size=PATCH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=len(CLASSES),
        id2label=dict(enumerate(CLASSES)),
        label2id={name: index for index, name in enumerate(CLASSES)},
        attn_implementation="eager",
    )


def whitened_filters(images: torch.Tensor, count: int) -> torch.Tensor:
    """Filters that whiten the patches of ``images``: each eigenvector with both signs, then mixtures."""
    patches = images.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)
    flat = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * PATCH * PATCH)
    values, vectors = torch.linalg.eigh(torch.cov(flat.T))
    basis = (vectors / (values + 1e-2).sqrt()).T
    mixing = torch.randn(count - 2 * len(basis), len(basis)) / math.sqrt(len(basis))
    filters = torch.cat([basis, -basis, mixing @ basis])
    return filters.reshape(count, 3, PATCH, PATCH)


def sinusoids(width: int, rows: int) -> torch.Tensor:
    """Two-dimensional sinusoidal position embedding of a square grid, one row per patch."""
    quarter = width // 4
    frequency = 1.0 / (rows ** (torch.arange(quarter) / (quarter - 1)))
    angle = torch.arange(rows)[:, None] * frequency[None] * math.pi / 2
    one = torch.cat([angle.sin(), angle.cos()], 1)
    grid = torch.cat([one[:, None].expand(-1, rows, -1), one[None].expand(rows, -1, -1)], -1)
    return grid.reshape(rows * rows, width)


def mimetic_attention(model: ViTForImageClassification) -> None:
    """Make W_q^T W_k of each head near 0.7 I and W_o W_v near -0.4 I (Trockman & Kolter 2023)."""
    size = WIDTH // HEADS
    layers: Any = model.vit.encoder.layer
    for layer in layers:
        heads = layer.attention.attention
        for start in range(0, WIDTH, size):
            target = 0.7 * torch.randn(WIDTH, WIDTH) / math.sqrt(WIDTH) + 0.7 * torch.eye(WIDTH)
            left, scale, right = torch.linalg.svd(target)
            root = scale[:size].sqrt()[:, None]
            heads.query.weight.data[start : start + size] = root * left[:, :size].T
            heads.key.weight.data[start : start + size] = root * right[:size]
        target = 0.4 * torch.randn(WIDTH, WIDTH) / math.sqrt(WIDTH) - 0.4 * torch.eye(WIDTH)
        left, scale, right = torch.linalg.svd(target)
        layer.attention.output.dense.weight.data = left * scale.sqrt()
        heads.value.weight.data = scale.sqrt()[:, None] * right


def initialize(model: ViTForImageClassification, images: torch.Tensor) -> None:
    """Data-dependent and structured initial weights."""
    with torch.no_grad():
        embeddings: Any = model.vit.embeddings
        projection = embeddings.patch_embeddings.projection
        projection.weight.copy_(0.5 * whitened_filters(images, WIDTH))
        nn.init.zeros_(projection.bias)
        embeddings.position_embeddings[0, 1:] = 0.5 * sinusoids(WIDTH, SIDE // PATCH)
        mimetic_attention(model)
        nn.init.zeros_(cast("nn.Linear", model.classifier).weight)


def logits_of(model: ViTForImageClassification, pixels: torch.Tensor, keep: int) -> torch.Tensor:
    """Logits of the network when only ``keep`` random patches of each image are shown to it."""
    hidden = model.vit.embeddings(pixels)
    patches = hidden.size(1) - 1
    if keep < patches:
        chosen = torch.rand(len(hidden), patches).argsort(1)[:, :keep]
        index = chosen[..., None].expand(-1, -1, hidden.size(2))
        hidden = torch.cat([hidden[:, :1], hidden[:, 1:].gather(1, index)], 1)
    hidden = model.vit.encoder(hidden).last_hidden_state
    return cast("torch.Tensor", model.classifier(model.vit.layernorm(hidden[:, 0])))


def patches_shown(progress: float) -> int:
    """Number of patches shown: half of them for the first 65 % of the training, then all."""
    total = (SIDE // PATCH) ** 2
    return total // 2 if progress < 0.65 else total


@torch.inference_mode()
def measure(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Top-1 accuracy."""
    model.eval()
    right = 0
    for start in range(0, len(images), 250):
        logits = model(normalize(images[start : start + 250])).logits
        right += int((logits.argmax(-1) == labels[start : start + 250]).sum())
    model.train()
    return right / len(images)


def train(
    model: ViTForImageClassification,
    images: torch.Tensor,
    labels: torch.Tensor,
    args: argparse.Namespace,
) -> None:
    """Train for the budget, from the checkpoint if there is one; leave the averaged weights in ``model``."""
    held_images, held_labels = images[:HELD_OUT], labels[:HELD_OUT]
    images, labels = images[HELD_OUT:], labels[HELD_OUT:]
    padded = nn.functional.pad(images, (4, 4, 4, 4), mode="reflect")
    optimizers = Optimizers(
        model,
        muon={"lr": 0.012, "weight_decay": 0.05},
        adam={"lr": 1.5e-3, "betas": (0.9, 0.98), "weight_decay": 0.05},
    )
    ema = common.Ema(model, 0.998)
    budget = common.Budget(args.epochs * (len(images) // BATCH), args.minutes)
    checkpoint = args.work / "checkpoint.pt"
    if common.load_checkpoint(checkpoint, model, optimizers, ema, budget):
        LOG.info("resumed at step %d", budget.step)
    probe = ViTForImageClassification(make_config())
    model.train()
    while budget.progress < 1 and not args.export_only:
        losses = []
        for chosen in common.shuffled_batches(len(images), BATCH):
            pixels = augment(padded, chosen)
            with torch.autocast("cpu", torch.bfloat16):
                logits = logits_of(model, pixels, patches_shown(budget.progress))
            loss = nn.functional.cross_entropy(logits.float(), labels[chosen], label_smoothing=0.1)
            loss.backward()
            optimizers.step(common.rate_factor(budget.progress))
            ema.update(model)
            losses.append(loss.item())
            budget.advance()
            if budget.progress >= 1:
                break
        probe.load_state_dict(ema.shadow)
        held = measure(probe, held_images, held_labels)
        text = "step %d, %.0f s, progress %.3f: loss %.4f, held-out accuracy %.4f"
        LOG.info(text, budget.step, budget.spent, budget.progress, np.mean(losses), held)
        common.save_checkpoint(checkpoint, model, optimizers, ema, budget)
    model.load_state_dict(ema.shadow)


def export(model: ViTForImageClassification, data: Path, args: argparse.Namespace) -> None:
    """Save, export and write the samples; log the accuracy of the exported file on both test samples."""
    saved = args.work / "model"
    model.eval().save_pretrained(saved)
    side = {"height": SIDE, "width": SIDE}
    ViTImageProcessor(
        size=side, do_rescale=True, rescale_factor=1 / 256, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(saved)
    common.export_onnx(saved, args.output, "image-classification")
    images, labels = load_split(data, "train", args.work)
    chosen = class_balanced(labels.numpy(), 256, SEED)
    common.write_npz(args.output / "calibration.npz", {"pixel_values": normalize(images[chosen]).numpy()})
    images, labels = load_split(data, "test", args.work)
    chosen = class_balanced(labels.numpy(), args.test_samples, SEED)
    sample = {"pixel_values": normalize(images[chosen]).numpy(), "labels": labels[chosen].numpy()}
    common.write_npz(args.output / "test.npz", sample)
    logits = measures.run_onnx(args.output / "model.onnx", sample)
    with torch.inference_mode():
        reference = model(torch.from_numpy(sample["pixel_values"])).logits.numpy()
    LOG.info("largest difference between torch and onnxruntime: %.2e", np.abs(logits - reference).max())
    LOG.info("test.npz: accuracy %.4f", measures.accuracy(logits, sample["labels"]))
    whole = measures.run_onnx(args.output / "model.onnx", {"pixel_values": normalize(images).numpy()})
    LOG.info("whole test split: accuracy %.4f of %d", measures.accuracy(whole, labels.numpy()), len(labels))
    measures.log_extremes(measures.activation_extremes(model, lambda: model(normalize(images[:1000]))))


def main() -> None:
    """Command line."""
    parser = common.recipe_parser(__doc__, data="tar of the JPEG files", work="work-vit", epochs=12)
    parser.add_argument("--minutes", type=float, help="schedule by wall-clock time instead of epochs")
    parser.add_argument("--test-samples", type=int, default=1200)
    parser.add_argument("--export-only", action="store_true", help="export the last checkpoint")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    common.setup(SEED, args.threads)
    images, labels = load_split(args.data, "train", args.work)
    model = ViTForImageClassification(make_config())
    initialize(model, normalize(images[:2000]))
    train(model, images, labels, args)
    export(model, args.data, args)


if __name__ == "__main__":
    main()
