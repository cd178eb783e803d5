"""Helpers of the training recipes of this folder: optimizer, schedule, checkpoints, export, samples."""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from torch import nn

Arrays = dict[str, np.ndarray]
Extreme = tuple[str, float, float, int, float]
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
)
LOG = logging.getLogger("models")


def recipe_parser(description: str | None, *, data: str, work: str, epochs: int) -> argparse.ArgumentParser:
    """What every recipe takes: where `data` lies, where results and checkpoints go, and for how long to train."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=form)
    parser.add_argument("--data", type=Path, required=True, help=data)
    parser.add_argument("--output", type=Path, required=True, help="folder for model.onnx and the samples")
    parser.add_argument("--work", type=Path, default=Path(work), help="folder for checkpoints")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--threads", type=int, default=1)
    return parser


def setup(seed: int, threads: int) -> None:
    """Seed every generator, fix the number of threads and start logging."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(threads)


def orthogonalize(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Map matrices to (almost) the nearest semi-orthogonal ones by a quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16()
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalized updates for matrices (Jordan et al. 2024), decoupled weight decay."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        transposed: bool = False,
    ) -> None:
        """Take matrices [outputs, inputs], or [inputs, outputs] if ``transposed`` (GPT-2's Conv1D)."""
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "transposed": transposed}
        super().__init__(list(params), defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update every matrix; matrices of one shape are orthogonalized together."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for param in group["params"]:
                if param.grad is not None:
                    shapes.setdefault(param.shape, []).append(param)
            for same in shapes.values():
                self._update(same, group)

    def _update(self, params: list[nn.Parameter], group: dict[str, Any]) -> None:
        """Update matrices of one shape."""
        lr, momentum, weight_decay = group["lr"], group["momentum"], group["weight_decay"]
        grads = []
        for param in params:
            state = self.state[param]
            buffer = state.setdefault("momentum", torch.zeros_like(param))
            assert param.grad is not None
            buffer.lerp_(param.grad, 1 - momentum)
            grads.append(param.grad.lerp(buffer, momentum))
        updates = orthogonalize(torch.stack(grads))
        outputs, inputs = reversed(params[0].shape) if group.get("transposed") else params[0].shape
        scale = max(1.0, outputs / inputs) ** 0.5
        for param, update in zip(params, updates, strict=True):
            param.mul_(1 - lr * weight_decay)
            param.add_(update, alpha=-lr * scale)


class Optimizers:
    """Muon for the matrices inside the blocks, AdamW for everything else, one rate factor for both."""

    def __init__(
        self,
        model: nn.Module,
        muon: dict[str, Any],
        adam: dict[str, Any],
        block_prefixes: tuple[str, ...] = ("encoder.layer", "transformer.h", ".encoder.layer"),
    ) -> None:
        matrices, decayed, rest = [], [], []
        for name, param in model.named_parameters():
            if param.ndim == 2 and any(prefix in name for prefix in block_prefixes):
                matrices.append(param)
            elif param.ndim >= 2:
                decayed.append(param)
            else:
                rest.append(param)
        decay = adam.pop("weight_decay", 0.0)
        groups = [{"params": decayed, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
        self.parts: list[torch.optim.Optimizer] = [
            Muon(matrices, **muon),
            torch.optim.AdamW(groups, **adam),
        ]
        self.base = [[group["lr"] for group in part.param_groups] for part in self.parts]

    def step(self, factor: float) -> None:
        """Apply one update with every base learning rate multiplied by ``factor`` and clear the gradients."""
        for part, rates in zip(self.parts, self.base, strict=True):
            for group, rate in zip(part.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """State of both optimizers."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Restore the state of both optimizers."""
        for part, value in zip(self.parts, state, strict=True):
            part.load_state_dict(value)


class Ema:
    """Exponential moving average of a model's parameters, with a short memory at the start."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.shadow = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Fold the present parameters in."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.shadow[name].lerp_(value, 1 - decay)
            else:
                self.shadow[name].copy_(value)


class Budget:
    """Progress of a training in [0, 1]: by steps or, if ``minutes`` is given, by wall-clock time."""

    def __init__(self, total_steps: int, minutes: float | None = None) -> None:
        self.total_steps, self.minutes = total_steps, minutes
        self.step, self.spent = 0, 0.0
        self.last = time.monotonic()

    def advance(self) -> None:
        """Count one step and the time since the last one."""
        now = time.monotonic()
        self.step += 1
        self.spent += now - self.last
        self.last = now

    @property
    def progress(self) -> float:
        """Fraction of the budget that is used up."""
        used = self.spent / (60 * self.minutes) if self.minutes else self.step / self.total_steps
        return min(1.0, used)

    def state_dict(self) -> dict[str, float]:
        """Steps and seconds so far."""
        return {"step": self.step, "spent": self.spent}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue from a saved state; the pause does not count."""
        self.step, self.spent, self.last = int(state["step"]), state["spent"], time.monotonic()


def rate_factor(progress: float, warmup: float = 0.02, hold: float = 0.3) -> float:
    """Learning-rate factor: linear warm-up, constant until ``hold``, then linear decay to zero."""
    if progress < warmup:
        return max(progress / warmup, 0.02)
    return 1.0 if progress < hold else max(0.0, (1 - progress) / (1 - hold))


def save_checkpoint(path: Path, model: nn.Module, optimizers: Optimizers, ema: Ema, budget: Budget) -> None:
    """Write everything that a training needs to go on, atomically."""
    state = {
        "model": model.state_dict(),
        "optimizers": optimizers.state_dict(),
        "ema": {"steps": ema.steps, "shadow": ema.shadow},
        "budget": budget.state_dict(),
        "rng": torch.get_rng_state(),
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def load_checkpoint(path: Path, model: nn.Module, optimizers: Optimizers, ema: Ema, budget: Budget) -> bool:
    """Restore a training from ``path`` if there is one."""
    if not path.exists():
        return False
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizers.load_state_dict(state["optimizers"])
    ema.steps, ema.shadow = state["ema"]["steps"], state["ema"]["shadow"]
    budget.load_state_dict(state["budget"])
    torch.set_rng_state(state["rng"])
    return True


def shuffled_batches(count: int, size: int) -> Iterator[torch.Tensor]:
    """Indices of full batches in random order, for one epoch."""
    order = torch.randperm(count)
    for start in range(0, count - size + 1, size):
        yield order[start : start + size]


def export_onnx(checkpoint: Path, output: Path, task: str) -> None:
    """Export a saved Transformers folder with Optimum into ``output``."""
    from optimum.exporters.onnx import main_export

    output.mkdir(parents=True, exist_ok=True)
    main_export(str(checkpoint), output=output, task=task, local_files_only=True)
    leftover = output / "generation_config.json"
    if leftover.exists() and not task.startswith("text-generation"):
        leftover.unlink()


def copy_files(source: Path, target: Path, names: Iterable[str]) -> None:
    """Copy the named files that exist."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)


def write_npz(path: Path, arrays: Arrays, compressed: bool = True) -> None:
    """Write one array per model input (first axis: samples) and log the size of the file."""
    counts = {len(value) for value in arrays.values()}
    if len(counts) != 1:
        raise ValueError(f"arrays of different length: {sorted(counts)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write = np.savez_compressed if compressed else np.savez
    write(path, allow_pickle=False, **arrays)
    LOG.info("%s: %d samples, %.2f MB", path.name, counts.pop(), path.stat().st_size / 1e6)


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
