# SPDX-License-Identifier: Apache-2.0
"""Networks of real sizes for the benchmarks, built from their configurations and exported with Optimum.

    python benchmarks/networks.py vit-base gpt2-medium --folder build/networks

Each goes to a folder of its own, `model.onnx` beside `calibration.npz` with eight samples, and is built once. Weights
are random and seeded, as a new network has them, but a few channels of the residual stream are given the outliers of
trained ones. The name of a network with `-external` behind it is the same network with its weights in a file of
their own. Images have the spectrum of natural ones; tokens follow Zipf's law.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import onnxruntime as ort

from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model

Feeds: TypeAlias = dict[str, np.ndarray[Any, Any]]

SAMPLES = 8
TOKENS = 128
EXTERNAL = "-external"

OUTLIERS = {57: 10.0, 138: 20.0, 378: 12.0, 447: 16.0}
"""Outlier channels of the residual stream at every depth, with their magnitude relative to the other channels."""

VIT_WRITERS = {
    "cls_token": -1,
    "position_embeddings": -1,
    "projection.weight": 0,
    "projection.bias": 0,
    "output.dense.weight": 0,
    "output.dense.bias": 0,
}
ROBERTA_WRITERS = {"embeddings.LayerNorm.weight": 0, "output.dense.weight": 0, "output.dense.bias": 0}
GPT2_WRITERS = {"wpe.weight": -1, "c_proj.weight": -1, "c_proj.bias": -1}


class Network(NamedTuple):
    """How a network is built.

    Attributes:
        architecture: Class in Transformers.
        task: Task in Optimum.
        options: Configuration, where it is not the class's default.
        writers: How the names of the parameters end that write to the residual stream, and the axis of its channels.
        data: Makes the calibration data of the exported file.
    """

    architecture: str
    task: str
    options: dict[str, Any]
    writers: dict[str, int]
    data: Callable[[Path], Feeds]


def images(_: Path) -> Feeds:
    """Noise of all scales, each as strong as the next, in the range of a normalized photograph."""
    generator, side, channels = np.random.default_rng(0), 224, 3
    pixels = np.zeros((SAMPLES, channels, side, side))
    for block in (1, 2, 4, 8, 16, 32, 56, 112):
        grey = generator.normal(size=(SAMPLES, 1, side // block, side // block))
        colour = generator.normal(size=(SAMPLES, channels, side // block, side // block))
        pixels += (grey + 0.3 * colour).repeat(block, axis=2).repeat(block, axis=3)
    return {"pixel_values": np.clip(pixels / pixels.std() * 0.5, -1.0, 1.0).astype(np.float32)}


def zipfian(vocabulary: int) -> np.ndarray[Any, Any]:
    """Token ids [SAMPLES, TOKENS], one in k as often as the most frequent; which ids are frequent is random."""
    generator = np.random.default_rng(0)
    frequency = 1.0 / np.arange(1, vocabulary + 1)
    order = generator.permutation(vocabulary)
    return order[generator.choice(vocabulary, (SAMPLES, TOKENS), p=frequency / frequency.sum())]


def padded_text(_: Path) -> Feeds:
    """Sentences of half to full length, and padding."""
    begin, padding, end, specials = 0, 1, 2, 4
    ids = zipfian(50265 - specials) + specials
    lengths = np.random.default_rng(1).integers(TOKENS // 2, TOKENS + 1, SAMPLES)
    mask = np.arange(TOKENS) < lengths[:, None]
    ids[:, 0], ids[np.arange(SAMPLES), lengths - 1] = begin, end
    return {"input_ids": np.where(mask, ids, padding), "attention_mask": mask.astype(np.int64)}


def text(_: Path) -> Feeds:
    """Whole contexts."""
    ids = zipfian(50257)
    return {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "position_ids": np.arange(TOKENS)[None].repeat(SAMPLES, axis=0),
    }


def continued_text(file: Path) -> Feeds:
    """The second half of each context, with what the network itself remembers of the first."""
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    pasts = [value for value in session.get_inputs() if value.name.startswith("past_key_values")]
    whole, half = text(file), TOKENS // 2
    first = {name: array[:, :half] for name, array in whole.items()}
    first |= {past.name: np.zeros((SAMPLES, past.shape[1], 0, past.shape[3]), np.float32) for past in pasts}
    names = [past.name.replace("past_key_values", "present") for past in pasts]
    presents = dict(zip((past.name for past in pasts), session.run(names, first), strict=True))
    second = {name: array[:, half:] for name, array in whole.items()}
    return second | {"attention_mask": whole["attention_mask"]} | presents


_ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}
_MEDIUM = {"n_embd": 1024, "n_layer": 24, "n_head": 16}

NETWORKS = {
    "vit-base": Network("ViTForImageClassification", "image-classification", {"num_labels": 1000}, VIT_WRITERS, images),
    "roberta-base": Network(
        "RobertaForSequenceClassification", "text-classification", _ROBERTA, ROBERTA_WRITERS, padded_text
    ),
    "gpt2": Network("GPT2LMHeadModel", "text-generation", {}, GPT2_WRITERS, text),
    "gpt2-with-past": Network("GPT2LMHeadModel", "text-generation-with-past", {}, GPT2_WRITERS, continued_text),
    "gpt2-medium": Network("GPT2LMHeadModel", "text-generation", _MEDIUM, GPT2_WRITERS, text),
}


def build(name: str, folder: Path) -> Path:
    """The path of network `name` in `folder`, built where it is not there; whole or not at all."""
    target = folder / name
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder) as scratch:
            stage = Path(scratch) / name
            if name.endswith(EXTERNAL):
                _move_weights_out(build(name.removesuffix(EXTERNAL), folder), stage)
            else:
                _export(NETWORKS[name], stage)
            stage.rename(target)
    return target / "model.onnx"


def _export(network: Network, folder: Path) -> None:
    import torch
    import transformers
    from optimum.exporters.onnx import onnx_export_from_model

    model_class = getattr(transformers, network.architecture)
    torch.manual_seed(0)
    model = model_class(model_class.config_class(**network.options)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            for axis in (axis for ending, axis in network.writers.items() if name.endswith(ending)):
                for channel, factor in OUTLIERS.items():
                    parameter.select(axis, channel).mul_(factor)
    with warnings.catch_warnings():
        # PyTorch deprecates the exporter that Optimum calls, and traces warn of every Python branch.
        warnings.simplefilter("ignore")
        onnx_export_from_model(model, folder, task=network.task, do_validation=False)
    np.savez(folder / "calibration.npz", allow_pickle=False, **network.data(folder / "model.onnx"))


def _move_weights_out(file: Path, folder: Path) -> None:
    """Write the network of `file` to `folder` with its weights in external data."""
    folder.mkdir()
    save_model(load_model(file), folder / "model.onnx", external_data=True)
    (folder / "calibration.npz").write_bytes(file.with_name("calibration.npz").read_bytes())


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what is asked for and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NETWORKS)}; all by default")
    parser.add_argument("--folder", type=Path, default=Path("build/networks"))
    options = parser.parse_args(arguments)
    for name in options.names or NETWORKS:
        if name.removesuffix(EXTERNAL) not in NETWORKS:
            parser.error(f"there is no network {name!r}; choose from {', '.join(NETWORKS)}")
        print(build(name, options.folder), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
