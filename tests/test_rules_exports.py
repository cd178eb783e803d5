# SPDX-License-Identifier: Apache-2.0
"""Recognition in what Optimum exports: nothing nonlinear is missed in any family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx_ir as ir
import pytest
from exports import FAMILIES, LAYERS

from onnx_snn.rules import Kind, recognise
from onnx_snn.rules.site import ActivationMatmulSite

pytestmark = [pytest.mark.export, pytest.mark.slow]

NORMS = dict.fromkeys(FAMILIES, 2 * LAYERS + 1)
GELU = {"gpt2": "gelu_tanh", "gpt2-with-past": "gelu_tanh"}
HEADS = {"roberta": {"tanh": 1}, "bert": {"tanh": 1}, "distilbert": {"relu": 1}}
"""Functions of the pooler or of the classifier."""

SYNAPSES = {
    # a layer: query, key, value and output projections, two of the feed-forward network
    "vit": 6 * LAYERS + 2,  # patches and classifier
    "roberta": 6 * LAYERS + 2,  # two layers of the classifier
    "bert": 6 * LAYERS + 2,  # pooler and classifier
    "distilbert": 6 * LAYERS + 2,
    # a layer: one projection for query, key and value
    "gpt2": 4 * LAYERS + 1,  # head
    "gpt2-with-past": 4 * LAYERS + 1,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_site_is_found_and_nothing_nonlinear_is_left(family: str, exported: Callable[[str], Path]) -> None:
    found = recognise(ir.load(exported(family) / "model.onnx"))
    assert found.unmatched == []
    assert Counter(site.kind for site in found.sites) == {
        Kind.FUNCTION: LAYERS + sum(HEADS.get(family, {}).values()),
        Kind.SOFTMAX: LAYERS,
        Kind.LAYER_NORM: NORMS[family],
        Kind.PRODUCT: 2 * LAYERS,
        Kind.SYNAPSE: SYNAPSES[family],
    }
    functions = Counter(site.function for site in found.sites if site.kind is Kind.FUNCTION)
    assert functions == {GELU.get(family, "gelu"): LAYERS, **HEADS.get(family, {})}


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_products_know_their_probabilities(family: str, exported: Callable[[str], Path]) -> None:
    products = [
        site
        for site in recognise(ir.load(exported(family) / "model.onnx")).sites
        if isinstance(site, ActivationMatmulSite)
    ]
    probabilities = [tuple(operand.is_probability for operand in site.operands) for site in products]
    assert probabilities == [(False, False), (True, False)] * LAYERS
    assert {tuple(operand.contraction_axis for operand in site.operands) for site in products} == {(-1, -2)}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_operator_of_the_kinds_found_lies_in_a_site(family: str, exported: Callable[[str], Path]) -> None:
    model = ir.load(exported(family) / "model.onnx")
    owned = {node for site in recognise(model).sites for node in site.nodes}
    watched = ("Erf", "Tanh", "Relu", "Softmax", "LayerNormalization", "MatMul", "Gemm", "Conv", "Pow")
    missed = [node.name for node in model.graph if node.op_type in watched and node not in owned]
    assert missed == []


@pytest.mark.parametrize("family", FAMILIES)
def test_recognition_leaves_the_file_as_it_was(family: str, exported: Callable[[str], Path]) -> None:
    model = ir.load(exported(family) / "model.onnx")
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    recognise(model)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before
