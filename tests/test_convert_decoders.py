# SPDX-License-Identifier: Apache-2.0
"""Conversion of an encoder with its decoders as Optimum exports them: texts stay the same, with the cache, in one file
for both decoders and in two."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from exports import LAYERS, export_translator
from networks import FULL_BASES, Feeds, relative_error, run

import onnx_snn
from onnx_snn import Status
from onnx_snn.conversion.decoder_feeds import DECODERS, ENCODER, MERGED, DecoderFeeds
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import input_specs
from onnx_snn.graph.model_reader import load_model
from onnx_snn.metadata import SOURCE_KEY

pytestmark = [pytest.mark.export, pytest.mark.slow]

VOCABULARY, LENGTH = 96, 12
TEXTS, TOKENS = 8, 20

TOLERANCE = 1e-2
"""Relative error of every output at T=8."""

NEVER_LEFT = {"Relu", "Softmax", "Pow", "Sqrt", "Reciprocal"}
"""Operators of what is converted."""


def texts(samples: int, *, seed: int) -> Feeds:
    """Random inputs of the encoder; the last token of every other row is masked."""
    ids = np.random.default_rng(seed).integers(4, VOCABULARY, size=(samples, LENGTH))
    mask = np.ones_like(ids)
    mask[1::2, -1] = 0
    return {"input_ids": ids, "attention_mask": mask}


class Translators(NamedTuple):
    """Folders of the original and of the spiking network, and the report."""

    original: Path
    spiking: Path
    report: onnx_snn.ConversionReport


@pytest.fixture(scope="module")
def translators(tmp_path_factory: pytest.TempPathFactory) -> Translators:
    folder = tmp_path_factory.mktemp("translators")
    original, spiking = folder / "original", folder / "spiking"
    export_translator(original)
    np.savez(folder / "texts.npz", **texts(16, seed=0))
    # Tokens are to be equal, so that neurons are as exact as they can be.
    report = onnx_snn.convert(original, spiking, folder / "texts.npz", body="closed", **FULL_BASES, progress=False)
    return Translators(original, spiking, report)


def test_every_site_of_every_file_is_converted(translators: Translators) -> None:
    report = translators.report
    assert [node.name for node in report.nodes if node.status is not Status.CONVERTED] == []
    softmax = [node.name.partition(":")[0] for node in report.nodes if node.kind == "softmax"]
    own, cross = LAYERS, LAYERS
    assert {name: softmax.count(name) for name in softmax} == {
        "encoder_model": own,
        "decoder_model": own + cross,
        "decoder_with_past_model": own + cross,
        "decoder_model_merged": 2 * (own + cross),
    }
    assert len(report.outputs) == 1 + 3 * (1 + 4 * LAYERS) - 2 * LAYERS  # a cache that has been read is not given again
    assert all(output.relative_error < TOLERANCE for output in report.outputs)


@pytest.mark.parametrize("name", [ENCODER, *DECODERS])
def test_no_nonlinear_operator_is_left(name: str, translators: Translators) -> None:
    model = ir.load(translators.spiking / name)
    left = {node.op_type for node in model.graph.all_nodes() if node.domain == ""}
    assert left & NEVER_LEFT == set()
    onnx.checker.check_model(onnx.load(translators.spiking / name), full_check=True)


def test_both_decoders_of_one_file_share_their_weights(translators: Translators) -> None:
    before, after = (ir.load(folder / MERGED) for folder in translators[:2])
    kept = before.graph.initializers.keys() & after.graph.initializers.keys()
    matrices = [name for name, value in before.graph.initializers.items() if value.shape and len(value.shape) == 2]
    assert matrices
    assert kept >= set(matrices)
    new = set(after.graph.initializers) - kept
    assert all(name.startswith("onnx_snn.") for name in new)
    assert not any(inner.initializers for inner in after.graph.subgraphs() if inner.name in ("with_past", "no_past"))


@pytest.mark.parametrize("name", [ENCODER, *DECODERS])
def test_all_operands_but_probabilities_are_scaled_along_their_channels(name: str, translators: Translators) -> None:
    nodes = list(ir.load(translators.spiking / name).graph.all_nodes())
    codes = [node for node in nodes if node.metadata_props.get(SOURCE_KEY) == "identity"]
    scales = [node.inputs[-1].const_value for node in codes if node.inputs[-1] is not None]
    unscaled = [scale for scale in scales if scale is not None and scale.size == 1]
    assert len(unscaled) == sum(node.op_type == "SpikingSoftmax" for node in nodes) > 0


@pytest.mark.parametrize("name", DECODERS)
def test_outputs_are_close_on_texts_that_calibration_has_not_seen(name: str, translators: Translators) -> None:
    folder = translators.original
    encoder = open_feeds(texts(4, seed=9), input_specs(load_model(folder / ENCODER)))
    feeds = list(DecoderFeeds(folder, encoder, name))
    for feed in (feeds[0], feeds[len(feeds) // 2], feeds[-1]):
        expected, got = run(folder / name, feed), run(translators.spiking / name, feed)
        for output, array in expected.items():
            if array.size:  # of a merged decoder, what the branch does not compute is empty
                assert relative_error(array, got[output]) < TOLERANCE


@pytest.mark.parametrize("merged", [True, False])
def test_optimum_generates_the_same_texts_with_it(merged: bool, translators: Translators) -> None:
    expected, got = (generated(folder, merged) for folder in translators[:2])
    assert got["sequences"].tolist() == expected["sequences"].tolist()
    # That is worth something where texts differ among themselves, and no two tokens are a near tie.
    distinct = [len(set(row)) for row in expected["sequences"].tolist()]
    assert len({tuple(row) for row in expected["sequences"].tolist()}) == TEXTS
    assert min(distinct) > 4
    best, second = np.sort(expected["probabilities"], axis=-1)[..., [-1, -2]].transpose(2, 0, 1)
    assert (best - second).min() > 1e-3


def generated(folder: Path, merged: bool) -> dict[str, Any]:
    """The likeliest texts, int64 [texts, tokens + 1], and probabilities of each token [texts, tokens, vocabulary]."""
    import torch
    from optimum.onnxruntime import ORTModelForSeq2SeqLM

    model = ORTModelForSeq2SeqLM.from_pretrained(folder, use_merged=merged, use_cache=True)
    assert model.decoder.is_merged == merged
    inputs = {name: torch.from_numpy(array) for name, array in texts(TEXTS, seed=5).items()}
    result = model.generate(
        **inputs,
        do_sample=False,
        min_new_tokens=TOKENS,
        max_new_tokens=TOKENS,
        output_scores=True,
        return_dict_in_generate=True,
    )
    return {"sequences": result.sequences, "probabilities": torch.stack(result.scores, 1).softmax(-1).numpy()}
