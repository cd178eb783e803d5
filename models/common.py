"""Helpers of the training recipes of this folder: command line, schedule, checkpoints, export, files of samples."""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from torch import nn

from muon import Optimizers

Arrays = dict[str, np.ndarray]
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
)
"""Files of a tokenizer that are copied into the folder of an exported model."""

LOG = logging.getLogger("models")


def recipe_parser(description: str | None, *, data: str, work: str, epochs: int) -> argparse.ArgumentParser:
    """A parser with the arguments that all recipes share: `data` is the help text of --data, the others are defaults."""
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


class Ema:
    """Exponential moving average of a model's parameters, with a short memory at the start."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.shadow = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Update the average with the present parameters."""
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
    """Write the state of a training atomically, so that it can be resumed."""
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
