"""Measurements of the training recipes: outputs and scores of exported models, and extremes of activations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from common import LOG, Arrays

Extreme = tuple[str, float, float, int, float]
"""Row of `activation_extremes`: module, minimum, maximum, channel of the largest magnitude, and its ratio to the median
channel."""


def run_onnx(path: Path, arrays: Arrays, batch: int = 64, threads: int = 1) -> np.ndarray:
    """Logits of an ONNX model for all samples; arrays that are no model input are left out."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    count = len(arrays[names[0]])
    chunks = []
    for start in range(0, count, batch):
        feed = {name: arrays[name][start : start + batch] for name in names}
        chunks.append(np.asarray(session.run(["logits"], feed)[0]))
    return np.concatenate(chunks)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of the samples whose largest logit is the label's."""
    return float((logits.argmax(-1) == labels).mean())


def perplexity(logits: np.ndarray, labels: np.ndarray) -> float:
    """Exponential of the mean negative log-likelihood of ``labels`` [samples, length] under ``logits``."""
    total = 0.0
    for row, target in zip(logits.astype(np.float64), labels, strict=True):
        shifted = row - row.max(-1, keepdims=True)
        normal = np.log(np.exp(shifted).sum(-1))
        total += float((normal - np.take_along_axis(shifted, target[:, None], -1)[:, 0]).sum())
    return float(np.exp(total / labels.size))


def activation_extremes(model: nn.Module, run: Callable[[], Any]) -> list[Extreme]:
    """Extremes of the input of every LayerNorm and GELU while ``run`` executes the model.

    Each row: module name, minimum, maximum, channel of the largest magnitude, and that channel's largest
    magnitude divided by the median over channels of the largest magnitudes (large for an outlier channel).
    """
    low: dict[str, torch.Tensor] = {}
    high: dict[str, torch.Tensor] = {}

    def watch(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            flat = inputs[0].detach().float().flatten(0, -2)
            least, most = flat.amin(0), flat.amax(0)
            low[name] = torch.minimum(low.get(name, least), least)
            high[name] = torch.maximum(high.get(name, most), most)

        return hook

    handles = [
        module.register_forward_pre_hook(watch(name))
        for name, module in model.named_modules()
        if isinstance(module, nn.LayerNorm) or "GELU" in type(module).__name__
    ]
    model.eval()
    with torch.inference_mode():
        run()
    for handle in handles:
        handle.remove()
    rows = []
    for name, least in low.items():
        peak = torch.maximum(least.abs(), high[name].abs())
        channel = int(peak.argmax())
        quotient = float(peak[channel] / peak.median())
        rows.append((name, float(least.min()), float(high[name].max()), channel, quotient))
    return rows


def log_extremes(rows: list[Extreme]) -> None:
    """Log the table of ``activation_extremes``."""
    for row in rows:
        LOG.info("%-60s min %9.3f max %9.3f  channel %4d: %.1f x median", *row)
