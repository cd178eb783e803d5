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
from pathlib import Path
from typing import Any

import onnx
import onnx_ir
import torch
import transformers
from architecture_families import FAMILIES, INPUTS, Family
from corpus import FRAMES, IMAGE, SHAPES, VOCABULARY, write

os.environ.setdefault("HF_HUB_OFFLINE", "1")


NORMALIZED = 256
"""Images by which layers are normalized: the last ones see a single pixel of each."""


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
