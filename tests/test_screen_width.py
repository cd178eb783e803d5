# SPDX-License-Identifier: Apache-2.0
"""Every report fits a terminal of 80 columns, also where nodes have long names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import networks
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import tokens

import onnx_snn
from onnx_snn import ConvertConfig, NodeReport, Status, TuningPoint, TuningReport
from onnx_snn.conversion.merged_report import merged
from onnx_snn.formatting import SCREEN_WIDTH, screen_table, shortened, table, wrapped

LABELS = np.arange(8 * 6).reshape(8, 6) % networks.VOCABULARY

LONG = "/transformer/encoder/layer.11/attention/self_attention/output_projection/"


def fits(text: str) -> None:
    wide = [line for line in text.splitlines() if len(line) > SCREEN_WIDTH]
    assert not wide


def with_long_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the names of inner tensors and nodes behind a long path."""
    kept = {value.name for value in (*model.graph.input, *model.graph.output, *model.graph.initializer)} | {""}
    for node in model.graph.node:
        node.name = f"{LONG}{node.name or node.output[0]}"
        for names in (node.input, node.output):
            names[:] = [name if name in kept else f"{LONG}{name}" for name in names]
    del model.graph.value_info[:]
    return model


@pytest.fixture(scope="module", params=["short names", "long names"])
def network(request: pytest.FixtureRequest) -> onnx.ModelProto:
    model = networks.transformer()
    return model if request.param == "short names" else with_long_names(model)


@pytest.mark.slow
def test_reports_of_a_network_fit(network: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(network, "model.onnx")
    report = onnx_snn.convert(
        "model.onnx", "snn.onnx", tokens(), body="closed", headroom=1.0, progress=False, fast=True
    )
    refused = [NodeReport(f"{LONG}Log", "Log", status=Status.REFUSED, reason="no rule knows Log, for reasons " * 5)]
    report = dataclasses.replace(report, nodes=(*report.nodes, *refused))
    fits(report.text(nodes=True))
    fits(merged("folder", "out", [report, report]).text(nodes=True))
    fits(onnx_snn.inspect("snn.onnx").text())
    fits(onnx_snn.compare("model.onnx", "snn.onnx", tokens(), labels=LABELS, progress=False).text())
    fits(onnx_snn.sensitivity("model.onnx", "snn.onnx", tokens(), labels=LABELS, progress=False).text())
    fits(onnx_snn.profile("snn.onnx", tokens(seed=5), progress=False).text(nodes=True))


def test_a_report_of_tuning_fits() -> None:
    point = TuningPoint(12.345, 123456789.0, 1.2345, 16, 0.08519, 0.09, 0.0123)
    spikes = {"layer_norm deviation": 1.0, "activation operand": 2.0, "a_function_of_" + "a_long_name_" * 8: 3.0}
    conversion = onnx_snn.ConversionReport("model.onnx", "snn.onnx", ConvertConfig(), ())
    report = TuningReport(ConvertConfig(), "perplexity_of_the_user", point, (point,) * 3, spikes, conversion)
    fits(report.text())


def test_long_names_stay_different() -> None:
    names = [f"/vit/encoder/layer.{layer}/attention/MatMul_{index}/code" for layer in range(12) for index in range(2)]
    short = shortened(names, 20)
    assert max(map(len, short.values())) == 20
    assert len(set(short.values())) == len(names)
    assert short[names[0]].endswith("0/code")


def test_prose_is_wrapped_and_headers_break_at_slashes() -> None:
    text = screen_table(("node", "spikes/element"), [("a", "1.0"), ("b", "many words that " * 3)], width=18)
    assert text.splitlines()[:2] == ["      spikes/", "node  element"]
    assert text.splitlines()[3:5] == ["a     1.0", "b     many words"]


def test_what_fits_is_a_plain_table() -> None:
    header, rows = ("n", "name of it"), [("10", "a"), ("2", "")]
    assert screen_table(header, rows) == table(header, rows)


def test_a_word_longer_than_a_line_stays_whole_in_prose() -> None:
    assert wrapped("see " + "x" * 100).splitlines() == ["see", "x" * 100]


@given(st.lists(st.lists(st.text("ab /.\u00e9", max_size=60), min_size=3, max_size=3), min_size=1, max_size=4))
def test_any_cells_fit(rows: list[list[str]]) -> None:
    fits(screen_table(("first", "second column/of cells", "third"), rows))


@given(st.lists(st.text("abc/", min_size=1, max_size=30), max_size=8), st.integers(3, 20))
def test_words_are_shortened_to_the_width(words: list[str], width: int) -> None:
    for word, short in shortened(words, width).items():
        assert short == word if len(word) <= width else len(short) <= width
