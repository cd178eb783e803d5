"""Train a small ResNet on CIFAR-10 from scratch and export it to ONNX.

    python models/resnet-cifar10/train.py --data cifar10-jpg.tar --output models/resnet-cifar10

The data is a tar of JPEG files named ``train|test/<class>/NNNN.jpg``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnx
import torch
from torch import nn

# isort: off
import common
import measures
from cifar10 import CLASSES, SEED, SIDE, augment, class_balanced, load_split, normalize
from common import LOG

# isort: on

BATCH = 256
HELD_OUT = 1000
WIDTHS = (32, 64, 128, 256)
RATE = 0.4


class Block(nn.Module):
    """Basic residual block (He et al. 2016): two convolutions, and a projection where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        projection = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity() if inputs == outputs else projection

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [batch, outputs, height / stride, width / stride]."""
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """ResNet of one basic block a stage."""

    def __init__(self) -> None:
        super().__init__()
        widths = (WIDTHS[0], *WIDTHS)
        self.stem = nn.Sequential(
            nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU()
        )
        self.blocks = nn.Sequential(
            *(Block(widths[i], widths[i + 1], 1 if i == 0 else 2) for i in range(len(WIDTHS)))
        )
        self.classifier = nn.Linear(WIDTHS[-1], len(CLASSES))

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Logits [batch, classes] of images [batch, 3, height, width]."""
        return cast("torch.Tensor", self.classifier(self.blocks(self.stem(pixel_values)).mean((2, 3))))


@torch.inference_mode()
def logits_of(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Logits of uint8 images."""
    model.eval()
    logits = [model(normalize(images[start : start + 250])) for start in range(0, len(images), 250)]
    model.train()
    return torch.cat(logits)


def train(model: ResNet, images: torch.Tensor, labels: torch.Tensor, args: argparse.Namespace) -> None:
    """Train for the budget, from the checkpoint if there is one; leave the averaged weights in ``model``."""
    held_images, held_labels = images[:HELD_OUT], labels[:HELD_OUT]
    images, labels = images[HELD_OUT:], labels[HELD_OUT:]
    padded = nn.functional.pad(images, (4, 4, 4, 4), mode="reflect")
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=5e-4)
    ema = common.Ema(model, 0.99)
    budget = common.Budget(args.epochs * (len(images) // BATCH), args.minutes)
    checkpoint = args.work / "checkpoint.pt"
    if common.load_checkpoint(checkpoint, model, optimizer, ema, budget):
        LOG.info("resumed at step %d", budget.step)
    probe = ResNet()
    model.train()
    while budget.progress < 1 and not args.export_only:
        losses = []
        for chosen in common.shuffled_batches(len(images), BATCH):
            pixels = augment(padded, chosen).to(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(pixels)
            loss = nn.functional.cross_entropy(logits.float(), labels[chosen], label_smoothing=0.1)
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = RATE * common.rate_factor(budget.progress, warmup=0.15, hold=0.15)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            ema.update(model)
            losses.append(loss.item())
            budget.advance()
            if budget.progress >= 1:
                break
        probe.load_state_dict(ema.shadow)
        held = float((logits_of(probe, held_images).argmax(-1) == held_labels).float().mean())
        text = "step %d, %.0f s, progress %.3f: loss %.4f, held-out accuracy %.4f"
        LOG.info(text, budget.step, budget.spent, budget.progress, np.mean(losses), held)
        common.save_checkpoint(checkpoint, model, optimizer, ema, budget)
    model.load_state_dict(ema.shadow)


def drop_traces(path: Path) -> None:
    """Remove the exporter's node metadata, which holds stack traces with file paths."""
    exported = onnx.load(path)
    for node in exported.graph.node:
        del node.metadata_props[:]
    onnx.save(exported, path)


def export(model: ResNet, args: argparse.Namespace) -> None:
    """Export and write the samples; log the accuracy of the exported file on both test samples."""
    args.output.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model.eval().to(memory_format=torch.contiguous_format),
        (torch.zeros(2, 3, SIDE, SIDE),),
        args.output / "model.onnx",
        input_names=["pixel_values"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        external_data=False,
        dynamo=True,
    )
    drop_traces(args.output / "model.onnx")
    images, labels = load_split(args.data, "train", args.work)
    chosen = class_balanced(labels.numpy(), 256, SEED)
    common.write_npz(args.output / "calibration.npz", {"pixel_values": normalize(images[chosen]).numpy()})
    images, labels = load_split(args.data, "test", args.work)
    chosen = class_balanced(labels.numpy(), args.test_samples, SEED)
    sample = {"pixel_values": normalize(images[chosen]).numpy(), "labels": labels[chosen].numpy()}
    common.write_npz(args.output / "test.npz", sample)
    logits = measures.run_onnx(args.output / "model.onnx", sample)
    difference = np.abs(logits - logits_of(model, images[chosen]).numpy()).max()
    LOG.info("largest difference between torch and onnxruntime: %.2e", difference)
    LOG.info("test.npz: accuracy %.4f", measures.accuracy(logits, sample["labels"]))
    whole = measures.run_onnx(args.output / "model.onnx", {"pixel_values": normalize(images).numpy()})
    LOG.info("whole test split: accuracy %.4f of %d", measures.accuracy(whole, labels.numpy()), len(labels))


def main() -> None:
    """Command line."""
    parser = common.recipe_parser(__doc__, data="tar of the JPEG files", work="work-resnet", epochs=10)
    parser.add_argument("--minutes", type=float, help="schedule by wall-clock time instead of epochs")
    parser.add_argument("--test-samples", type=int, default=1200)
    parser.add_argument("--export-only", action="store_true", help="export the last checkpoint")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    common.setup(SEED, args.threads)
    images, labels = load_split(args.data, "train", args.work)
    model = ResNet().to(memory_format=torch.channels_last)
    train(model, images, labels, args)
    export(model, args)


if __name__ == "__main__":
    main()
