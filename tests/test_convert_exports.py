# SPDX-License-Identifier: Apache-2.0
"""Conversion of what Optimum exports: everything spikes, dynamic axes work, Optimum loads the result."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from exports import FAMILIES, LAYERS
from networks import Feeds, normal, relative_error, run
from numpy.typing import NDArray

import onnx_snn
from onnx_snn import Status

pytestmark = [pytest.mark.export, pytest.mark.slow]

VOCABULARY = 96
HEADS, HEAD_SIZE = 4, 8
TOLERANCE = {8: 1e-2, 4: 5e-2}
"""Relative error of the first output by time steps, in scope full."""

NEVER_LEFT = {"Erf", "Tanh", "Relu", "Softmax", "LayerNormalization", "Pow", "Sqrt"}
"""Operators of what is converted; Sqrt is that of decomposed norms and, in GPT-2, of a head size."""


@pytest.fixture(scope="module")
def spiking(
    exported: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, onnx_snn.ConversionReport]]:
    """Folder of the converted network of a family at T=8, and the report, each converted once."""
    done: dict[str, tuple[Path, onnx_snn.ConversionReport]] = {}

    def conversion(family: str) -> tuple[Path, onnx_snn.ConversionReport]:
        if family not in done:
            folder = tmp_path_factory.mktemp("spiking") / family
            report = onnx_snn.convert(exported(family), folder, calibration(exported(family)), body="closed", fast=True)
            done[family] = folder, report
        return done[family]

    return conversion


def feeds_for(path: Path, batch: int, length: int, *, past: int = 0, seed: int = 0) -> Feeds:
    """Random tokens or pixels for an exported network; a mask hides the end of every other row."""
    random = np.random.default_rng(seed)
    mask = np.ones((batch, past + length), np.int64)
    mask[1::2, -1] = 0
    known: Feeds = {
        "input_ids": random.integers(2, VOCABULARY, size=(batch, length)),
        "attention_mask": mask,
        "token_type_ids": np.zeros((batch, length), np.int64),
        "position_ids": np.tile(np.arange(past, past + length), (batch, 1)),
        "pixel_values": normal(batch, 3, 16, 16, seed=seed),
    }
    names = [value.name for value in onnx.load(path / "model.onnx").graph.input]
    cached = (name for name in names if name.startswith("past_key_values"))
    known |= {name: normal(batch, HEADS, past, HEAD_SIZE, seed=seed) for name in cached}
    return {name: known[name] for name in names}


def continued(path: Path, feeds: Feeds, outputs: dict[str, NDArray[Any]], length: int = 1) -> Feeds:
    """Inputs that follow `feeds`, whose outputs are given: new tokens, on the cache that came out."""
    batch, past = feeds["attention_mask"].shape
    following = feeds_for(path, batch, length, past=past, seed=9)
    caches = {name.replace("present", "past_key_values"): array for name, array in outputs.items()}
    return {name: caches.get(name, array) for name, array in following.items()}


def calibration(path: Path) -> list[Feeds]:
    """Two batches; where there is a cache, one without and one with what the network itself put there."""
    first = feeds_for(path, 4, 12, seed=1)
    if not any(name.startswith("past") for name in first):
        return [first, feeds_for(path, 4, 12, seed=2)]
    return [first, continued(path, first, run(path / "model.onnx", first))]


def fresh(path: Path, batch: int, length: int) -> Feeds:
    """Inputs that calibration did not see; where there is a cache, with what five tokens put there."""
    feeds = feeds_for(path, batch, length, seed=7)
    if not any(name.startswith("past") for name in feeds):
        return feeds
    beginning = feeds_for(path, batch, 5, seed=8)
    return continued(path, beginning, run(path / "model.onnx", beginning), length)


def first_output(path: Path, feeds: Feeds) -> NDArray[Any]:
    return next(iter(run(path / "model.onnx", feeds).values()))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_site_is_converted_and_no_nonlinear_operator_is_left(
    family: str, spiking: Callable[[str], tuple[Path, onnx_snn.ConversionReport]]
) -> None:
    folder, report = spiking(family)
    assert [node.name for node in report.nodes if node.status is not Status.CONVERTED] == []
    kinds = Counter(node.kind for node in report.nodes)
    assert (kinds["softmax"], kinds["layer_norm"], kinds["product"]) == (LAYERS, 2 * LAYERS + 1, 2 * LAYERS)
    left = {node.op_type for node in onnx.load(folder / "model.onnx").graph.node if node.domain == ""}
    assert left & NEVER_LEFT <= {"Sqrt"}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_is_valid_and_keeps_its_interface(
    family: str,
    exported: Callable[[str], Path],
    spiking: Callable[[str], tuple[Path, onnx_snn.ConversionReport]],
) -> None:
    before = onnx.load(exported(family) / "model.onnx")
    after = onnx.load(spiking(family)[0] / "model.onnx")
    onnx.checker.check_model(after, full_check=True)
    assert list(after.graph.input) == list(before.graph.input)
    assert list(after.graph.output) == list(before.graph.output)
    assert (after.producer_name, after.producer_version) == (before.producer_name, before.producer_version)
    weights = {tensor.name: tensor for tensor in after.graph.initializer}
    assert all(weights[tensor.name] == tensor for tensor in before.graph.initializer if tensor.name in weights)


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (3, 12), (2, 29)])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_close_on_other_batch_sizes_and_lengths(
    family: str,
    batch: int,
    length: int,
    exported: Callable[[str], Path],
    spiking: Callable[[str], tuple[Path, onnx_snn.ConversionReport]],
) -> None:
    feeds = fresh(exported(family), batch, length)
    expected, got = first_output(exported(family), feeds), first_output(spiking(family)[0], feeds)
    assert relative_error(expected, got) < TOLERANCE[8]


@pytest.mark.parametrize("family", ["gpt2-with-past", "vit"])
def test_four_time_steps_stay_close(family: str, exported: Callable[[str], Path], tmp_path: Path) -> None:
    source = exported(family)
    report = onnx_snn.convert(source, tmp_path / "out", calibration(source), timesteps=4, body="closed", fast=True)
    assert report.count(Status.CONVERTED) == len(report.nodes)
    feeds = fresh(source, 4, 12)
    assert relative_error(first_output(source, feeds), first_output(tmp_path / "out", feeds)) < TOLERANCE[4]


def test_decoding_goes_on_from_the_cache_that_comes_out(
    exported: Callable[[str], Path], spiking: Callable[[str], tuple[Path, onnx_snn.ConversionReport]]
) -> None:
    source, target = exported("gpt2-with-past"), spiking("gpt2-with-past")[0]
    feeds = {source: feeds_for(source, 2, 6, seed=3), target: feeds_for(source, 2, 6, seed=3)}
    for length in (6, 7, 8):
        outputs = {path: run(path / "model.onnx", feeds[path]) for path in (source, target)}
        assert relative_error(outputs[source]["logits"], outputs[target]["logits"]) < TOLERANCE[8]
        for name in outputs[source].keys() - {"logits"}:
            assert outputs[target][name].shape == (2, HEADS, length, HEAD_SIZE)
        feeds = {path: continued(source, feeds[path], outputs[path]) for path in (source, target)}


# --- under Optimum -------------------------------------------------------------------------------


def test_optimum_classifies_images_with_it(
    exported: Callable[[str], Path], spiking: Callable[[str], tuple[Path, onnx_snn.ConversionReport]]
) -> None:
    from optimum.onnxruntime import ORTModelForImageClassification

    pixels = normal(3, 3, 16, 16, seed=4)
    folders = exported("vit"), spiking("vit")[0]
    models = [ORTModelForImageClassification.from_pretrained(folder) for folder in folders]
    expected, got = (model(pixel_values=pixels).logits for model in models)
    assert relative_error(expected, got) < TOLERANCE[8]


def test_a_pipeline_of_transformers_runs_it_with_the_kernels(
    spiking: Callable[[str], tuple[Path, onnx_snn.ConversionReport]],
) -> None:
    from optimum.onnxruntime import ORTModelForImageClassification
    from PIL import Image
    from transformers import ViTImageProcessor, pipeline

    folder = spiking("vit")[0]
    model = ORTModelForImageClassification.from_pretrained(folder, session_options=onnx_snn.session_options())
    processor = ViTImageProcessor(size={"height": 16, "width": 16})
    image = Image.fromarray(np.random.default_rng(5).integers(0, 256, (16, 16, 3), np.uint8))
    [likeliest, other] = pipeline("image-classification", model=model, image_processor=processor)(image)
    pixels = processor(image, return_tensors="np")["pixel_values"]
    [[logits]] = onnx_snn.session(folder / "model.onnx").run(None, {"pixel_values": pixels})
    scores = np.sort(np.exp(logits) / np.exp(logits).sum())
    np.testing.assert_allclose([other["score"], likeliest["score"]], scores, rtol=1e-5)


def test_optimum_generates_text_with_it(
    exported: Callable[[str], Path], spiking: Callable[[str], tuple[Path, onnx_snn.ConversionReport]]
) -> None:
    import torch
    from optimum.onnxruntime import ORTModelForCausalLM

    prompt = torch.arange(2, 10).reshape(1, 8)
    folders = exported("gpt2-with-past"), spiking("gpt2-with-past")[0]
    models = [ORTModelForCausalLM.from_pretrained(folder, use_cache=True) for folder in folders]
    expected, got = (
        model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=6, do_sample=False)
        for model in models
    )
    assert expected.shape == (1, 14)
    assert got.tolist() == expected.tolist()


def test_optimum_generates_text_with_a_network_that_counts(
    exported: Callable[[str], Path], spiking: Callable[[str], tuple[Path, onnx_snn.ConversionReport]], tmp_path: Path
) -> None:
    """The counts lie behind the outputs that it knows, and change none of them."""
    import torch
    from optimum.onnxruntime import ORTModelForCausalLM

    source, metered = exported("gpt2-with-past"), tmp_path / "metered"
    onnx_snn.convert(source, metered, calibration(source), body="closed", meter=True, fast=True)
    prompt = torch.arange(2, 10).reshape(1, 8)
    expected, got = (
        ORTModelForCausalLM.from_pretrained(
            folder, use_cache=True, session_options=onnx_snn.session_options()
        ).generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=6, do_sample=False)
        for folder in (spiking("gpt2-with-past")[0], metered)
    )
    assert got.tolist() == expected.tolist()


def test_a_model_beside_its_configuration_is_all_that_is_copied(
    exported: Callable[[str], Path], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(exported("distilbert"), source)
    (source / "vocab.txt").write_text("[PAD]\n")
    names = {path.name for path in source.iterdir()}
    onnx_snn.convert(source, tmp_path / "out", calibration(source), scope="nonlinear", body="closed", fast=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"snn_config.json", "README.md"}
