# SPDX-License-Identifier: Apache-2.0
"""Which outputs are called class scores: heads and softmaxes, and neither hidden states nor embeddings."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest
from corpus import Entry, entries
from graphs import graph

from onnx_snn.evaluation.class_scores import file_has_class_scores, has_class_scores

WEIGHTS = "float[8,8] w = {" + ",".join(["1"] * 64) + "}, int64[2] flat = {-1, 8}, int64 first = {0}"


@pytest.mark.parametrize(
    ("body", "is_score"),
    [
        ("y = Softmax (x)", True),
        ("y = Softmax <axis = 1> (x)", False),
        ("y = LogSoftmax (x)", True),
        ("e = Exp (x) s = ReduceSum (e, last) y = Div (e, s)", True),
        ("e = Exp (x) s = ReduceSum <keepdims = 0> (e, last) u = Unsqueeze (s, last) y = Div (e, u)", True),
        ("e = Exp (x) s = ReduceSum (x, last) y = Div (e, s)", False),
        ("y = MatMul (x, w)", True),
        ("p = MatMul (x, w) y = Add (p, beta)", True),
        ("p = MatMul (x, w) a = Add (beta, p) s = Mul (a, half) y = Identity (s)", True),
        ("p = MatMul (x, w) d = Div (p, three) t = Tanh (d) y = Mul (t, three)", True),
        ("p = MatMul (x, w) y = Tanh (p)", False),
        ("p = MatMul (x, w) y = Sigmoid (p)", False),
        ("p = MatMul (x, w) y = Add (p, x)", True),
        ("g = Gelu (x) p = MatMul (g, w) y = Add (p, g)", False),
        ("p = MatMul (x, w) y = LayerNormalization (p, gamma, beta)", False),
        ("p = MatMul (x, w) l = ReduceL2 <keepdims = 1> (p, last) y = Div (p, l)", False),
        ("p = MatMul (x, w) y = Mul (p, gamma)", False),
        ("p = MatMul (x, w) y = Transpose <perm = [0, 2, 1]> (p)", False),
        ("y = Gelu (x)", False),
        ("y = Identity (x)", False),
    ],
)
def test_last_operation_decides(body: str, is_score: bool) -> None:
    model = graph(body, initializers=WEIGHTS)
    assert has_class_scores(model.graph.outputs[0]) is is_score


def test_tensors_of_higher_rank_have_no_classes_along_the_last_axis() -> None:
    body = "y = MatMul (x, w)"
    of_rank = {
        rank: graph(body, outputs=f"float[{','.join('ABCD'[:rank])}] y", initializers=WEIGHTS) for rank in (2, 4)
    }
    assert {rank: has_class_scores(model.graph.outputs[0]) for rank, model in of_rank.items()} == {2: True, 4: False}


FAMILIES = {
    "bert.optimum": {"logits"},
    "minilm.optimum": set(),
    "gemma2.optimum": {"logits"},
    "resnet50.optimum": {"logits"},
    "clip.optimum": {"logits_per_image", "logits_per_text"},
    "t5.optimum.encoder": set(),
    "bart.optimum.merged": {"logits"},
}


@pytest.mark.parametrize(
    "entry", [entry for entry in entries() if entry.name in FAMILIES], ids=lambda entry: entry.name
)
def test_outputs_of_families(entry: Entry) -> None:
    model = ir.from_proto(entry.load())
    assert {value.name for value in model.graph.outputs if has_class_scores(value)} == FAMILIES[entry.name]


def test_compare_reads_the_rule_from_the_file(tmp_path: Path) -> None:
    outputs = "float[N,4,8] y, float[N,4,8] z"
    model = graph("y = Softmax (x) z = Gelu (x)", outputs=outputs)
    ir.save(model, tmp_path / "model.onnx")
    assert [file_has_class_scores(tmp_path / "model.onnx", name) for name in "yz"] == [True, False]
