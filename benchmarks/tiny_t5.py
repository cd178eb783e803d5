# SPDX-License-Identifier: Apache-2.0
"""A small T5, trained within minutes, for measurements that need a task: it writes a sequence of letters backward.

    OMP_NUM_THREADS=1 python benchmarks/tiny_t5.py --folder build/networks/tiny-t5

Encoder and decoder have 2 layers of width 64 and the gated GELU of T5 1.1. The folder gets `model.onnx`, with logits
for all positions of a given answer, and `calibration.npz` and `test.npz` with random sequences, of which the test's
have labels. Training stops while some answers are still wrong, so that an error in the logits could change the
accuracy.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import T5Config, T5ForConditionalGeneration

PAD, LETTERS, LENGTH = 0, 31, 12
STEPS, BATCH, RATE = 700, 128, 3e-3
CALIBRATION, TEST = 256, 2048
IGNORED = -100
"""Label of positions that do not count."""


class Logits(torch.nn.Module):
    """The logits of a T5 for given answers."""

    def __init__(self, model: T5ForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any, decoder_input_ids: Any) -> Any:
        """Logits [batch, length, letters]."""
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "decoder_input_ids": decoder_input_ids}
        return self.model(**given, use_cache=False).logits


def samples(count: int, seed: int) -> dict[str, Any]:
    """`count` sequences of 4 to `LENGTH` letters with the answers; labels are those of the letters alone."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(4, LENGTH + 1, (count, 1))
    letters = generator.integers(1, LETTERS + 1, (count, LENGTH))
    inside = np.arange(LENGTH) < lengths
    backward = np.take_along_axis(letters, np.maximum(lengths - 1 - np.arange(LENGTH), 0), axis=1)
    answers = np.where(inside, backward, PAD)
    given = np.concatenate([np.full((count, 1), PAD), answers[:, :-1]], axis=1)
    return {
        "input_ids": np.where(inside, letters, PAD),
        "attention_mask": inside.astype(np.int64),
        "decoder_input_ids": given,
        "labels": np.where(inside, answers, IGNORED),
    }


def trained(steps: int) -> T5ForConditionalGeneration:
    """The network after `steps` steps of training on sequences that are drawn anew for each."""
    torch.manual_seed(0)
    sizes = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}
    options = {"feed_forward_proj": "gated-gelu", "dropout_rate": 0.0, "decoder_start_token_id": PAD}
    config = T5Config(LETTERS + 1, **sizes, **options)
    model = T5ForConditionalGeneration(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    for step in range(steps):
        drawn = {name: torch.from_numpy(array) for name, array in samples(BATCH, seed=1000 + step).items()}
        loss = model(**drawn).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)
    return model.eval()


def build(folder: Path, steps: int = STEPS) -> None:
    """Train the network, and write it with its data to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    model = Logits(trained(steps))
    calibration, test = samples(CALIBRATION, seed=1), samples(TEST, seed=2)
    del calibration["labels"]
    names = list(calibration)
    example = tuple(torch.from_numpy(calibration[name][:2]) for name in names)
    axes = {name: {0: "batch", 1: "length" if name.startswith("decoder") else "sequence"} for name in names}
    torch.onnx.export(
        model,
        example,
        str(folder / "model.onnx"),
        input_names=names,
        output_names=["logits"],
        dynamic_axes={**axes, "logits": {0: "batch", 1: "length"}},
        opset_version=17,
        dynamo=False,
    )
    np.savez_compressed(folder / "calibration.npz", **calibration)
    np.savez_compressed(folder / "test.npz", **test)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/networks/tiny-t5"))
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args(arguments)
    build(options.folder, options.steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
