# SPDX-License-Identifier: Apache-2.0
"""Error of converted networks by their depth, with the outlier channels of trained ones.

Writes docs/measurements/depth.md.

    python benchmarks/depth.py

Networks of width 128 are built from their configurations with random weights and exported with Optimum. A few
channels of the residual stream stand 30 to 60 times above the others at every depth: before the normalization
(pre-norm) through all weights that write to them, behind it (post-norm) through its scale. Sequences have 512 tokens.
Errors are those of the logits on the calibration samples. How much of an error a network itself lets grow shows the
same network with a little noise behind every normalization and GELU.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import onnx_snn
from onnx_snn.formatting import table

DEPTHS = (3, 6, 12, 24)
TIMESTEPS = (8, 4)
WIDTH, HEADS, VOCABULARY, TOKENS, SAMPLES = 128, 4, 512, 512, 4
OUTLIERS = {17: 30.0, 59: 60.0, 101: 40.0}
"""Outlier channels of the residual stream, with their magnitude relative to the other channels."""

NOISE = 1e-3
"""Standard deviation of the multiplicative noise, relative to each element."""

HEADER = ("network", "error of", *(f"depth {depth}" for depth in DEPTHS), "growth", "root of depth")


class Stack(NamedTuple):
    """A kind of network.

    Attributes:
        architecture: class in Transformers.
        task: task in Optimum.
        depth: name of the option that sets the number of blocks.
        options: the rest of the configuration.
        writers: how the names of the parameters end that write to the residual stream, and the axis of its channels.
    """

    architecture: str
    task: str
    depth: str
    options: dict[str, Any]
    writers: dict[str, int]


STACKS = {
    "pre-norm (GPT-2)": Stack(
        "GPT2LMHeadModel",
        "text-generation",
        "n_layer",
        {"n_embd": WIDTH, "n_head": HEADS, "n_positions": TOKENS, "vocab_size": VOCABULARY},
        {"wte.weight": -1, "wpe.weight": -1, "c_proj.weight": -1, "c_proj.bias": -1},
    ),
    "post-norm (BERT)": Stack(
        "BertForSequenceClassification",
        "text-classification",
        "num_hidden_layers",
        {
            "hidden_size": WIDTH,
            "num_attention_heads": HEADS,
            "intermediate_size": 4 * WIDTH,
            "max_position_embeddings": TOKENS,
            "vocab_size": VOCABULARY,
            "num_labels": 64,
        },
        {"LayerNorm.weight": 0},
    ),
}


def build(stack: Stack, depth: int) -> Any:
    """The network with `depth` blocks, in PyTorch."""
    import torch
    import transformers

    model_class = getattr(transformers, stack.architecture)
    torch.manual_seed(0)
    model = model_class(model_class.config_class(**stack.options, **{stack.depth: depth})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            for axis in (axis for ending, axis in stack.writers.items() if name.endswith(ending)):
                for channel, factor in OUTLIERS.items():
                    parameter.select(axis, channel).mul_(factor)
    return model


def export(model: Any, stack: Stack, folder: Path) -> Path:
    """The network as a file in `folder`."""
    from optimum.exporters.onnx import onnx_export_from_model

    with warnings.catch_warnings():
        # PyTorch deprecates the exporter that Optimum calls, and traces warn of every Python branch.
        warnings.simplefilter("ignore")
        onnx_export_from_model(model, folder, task=stack.task, do_validation=False)
    return folder / "model.onnx"


def error_from_noise(model: Any) -> float:
    """Relative error of the logits when each element behind a normalization or GELU is off a little."""
    import torch

    def disturb(_: Any, __: Any, output: Any) -> Any:
        return output * (1.0 + NOISE * torch.randn_like(output))

    ids = torch.from_numpy(token_ids())
    with torch.inference_mode():
        exact = model(ids).logits
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm) or "GELU" in type(module).__name__:
                module.register_forward_hook(disturb)
        return float((model(ids).logits - exact).norm() / exact.norm())


def token_ids() -> np.ndarray[Any, Any]:
    """Random, int64 [samples, tokens]."""
    return np.random.default_rng(0).integers(0, VOCABULARY, (SAMPLES, TOKENS))


def samples(file: Path) -> dict[str, Any]:
    """Token ids and whatever else the network takes."""
    ids = token_ids()
    whole = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
        "position_ids": np.arange(TOKENS)[None].repeat(SAMPLES, axis=0),
    }
    return {value.name: whole[value.name] for value in onnx_snn.session(file, kernels=False).get_inputs()}


def measure(stack: Stack, depth: int) -> dict[str, float]:
    """Relative error of the logits by what causes it."""
    errors = {}
    model = build(stack, depth)
    with tempfile.TemporaryDirectory() as folder:
        file = export(model, stack, Path(folder))
        data = samples(file)
        for timesteps in TIMESTEPS:
            output = Path(folder, f"T{timesteps}.onnx")
            report = onnx_snn.convert(
                file, output, data, timesteps=timesteps, scope="full", batch_size=1, progress=False
            )
            errors[f"T={timesteps}"] = report.outputs[0].relative_error
    return errors | {f"noise of {NOISE:.1%}": error_from_noise(model)}


def page(rows: dict[str, dict[str, dict[str, float]]]) -> str:
    """The measurements as Markdown."""
    root = math.sqrt(DEPTHS[-1] / DEPTHS[0])
    lines = []
    for name, by_cause in rows.items():
        for cause, by_depth in by_cause.items():
            errors = [by_depth[str(depth)] for depth in DEPTHS]
            growth = errors[-1] / errors[0]
            lines.append((name, cause, *(f"{error:.1e}" for error in errors), f"{growth:.2f}", f"{root:.2f}"))
    return (
        "# Error and depth\n\n"
        "Written by `python benchmarks/depth.py`; do not edit. Relative error of the logits, scope full, of networks\n"
        f"of width {WIDTH} on {TOKENS} tokens, with channels {', '.join(f'{f:g}' for f in OUTLIERS.values())} times\n"
        "above the others.\n\n"
        f"```text\n{table(HEADER, lines)}\n```\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/depth.md"))
    options = parser.parse_args(arguments)
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for name, stack in STACKS.items():
        for depth in DEPTHS:
            for cause, error in measure(stack, depth).items():
                rows.setdefault(name, {}).setdefault(cause, {})[str(depth)] = error
                print(f"{name}, depth {depth}, {cause}: {error:.2e}", flush=True)
    options.output.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    options.output.write_text(page(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
