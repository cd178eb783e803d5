# SPDX-License-Identifier: Apache-2.0
"""Files without functions: the bits of the files with them, and what is known of their spiking nodes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from conversions import SITES, converted
from golden.compare import differences, files
from graphs import graph
from hypothesis import given, settings
from networks import normal, run
from portable import assert_same_bits, model_of, neuron_feeds, session_of, with_constants
from strategies import Case, cases

import onnx_snn
from onnx_snn import ModelError, SaturationWarning
from onnx_snn.cli.main import main
from onnx_snn.conversion.inlining import inlined
from onnx_snn.evaluation.range_guard import add_guard
from onnx_snn.graph.map_types import to_proto
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model
from onnx_snn.metadata import INLINED_KEY
from onnx_snn.neurons.mbe import time_loop
from onnx_snn.neurons.opset import MBE_NEURON, Body, Precision
from onnx_snn.profiling.spike_outputs import meter

LOOPS = {"branch", "codes", "float16", "loop", "paper", "transformer"}
"""Golden files of which the time loops are inlined too."""

GOLDEN = [(path, body) for path in files() for body in Body if body is Body.CLOSED or path.stem in LOOPS]


@pytest.mark.parametrize(("path", "body"), GOLDEN, ids=[f"{path.stem}-{body.value}" for path, body in GOLDEN])
def test_the_same_bits(path: Path, body: Body, tmp_path: Path) -> None:
    """Of every kind of file that a release wrote, branches, loops, float16 and external data among them."""
    written = tmp_path / path.name
    save_model(inlined(load_model(path), body, Precision.DOUBLE), written)
    written.with_suffix(".npz").write_bytes(path.with_suffix(".npz").read_bytes())
    model = onnx.load(written)
    onnx.checker.check_model(model, full_check=True)
    assert not model.functions
    assert "onnx_snn" not in {entry.domain for entry in model.opset_import}
    assert differences(written, kernels=False) == []


@settings(max_examples=25)
@given(case=cases(halving=True))
def test_every_neuron_keeps_its_bits(case: Case) -> None:
    """NaNs with their payload, and every class of scales, gains and polarities: each node has a body of its own."""
    neuron, x, scale = case
    model = model_of(MBE_NEURON, body=Body.CLOSED, metered=False, polarity=neuron.polarity)
    feeds = neuron_feeds(neuron, x, scale)
    constants = {name: array for name, array in feeds.items() if name != "x"}
    whole = inlined(ir.from_proto(with_constants(model, constants)), Body.CLOSED, Precision.DOUBLE)
    (y,) = session_of(to_proto(whole)).run(None, {"x": x})
    assert_same_bits(y, time_loop(neuron, x, scale).y, "y")


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A network, its conversions with functions and without, and data."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("functions", "spiking")}
    paths = {"original": folders["spiking"] / "original.onnx", "data": folders["spiking"] / "data.npz"}
    onnx.save(to_proto(graph(SITES["product"])), paths["original"])
    np.savez(paths["data"], x=normal(8, 4, 8))
    for name, folder in folders.items():
        paths[name], _ = converted(paths["original"], folder, inline=name == "spiking")
    return paths


def test_inspection_knows_the_spiking_nodes(product: dict[str, Path]) -> None:
    with_functions, without = onnx_snn.inspect(product["functions"]), onnx_snn.inspect(product["spiking"])
    assert without.operators == with_functions.operators
    assert without.slots == with_functions.slots
    assert with_functions.functions == ("MbeNeuron",)
    assert not without.functions
    assert without.inlined
    assert not with_functions.inlined
    assert "spiking nodes are written as standard operators" in " ".join(without.text().split())
    assert "inline True" in " ".join(without.text().split())


@pytest.mark.parametrize(
    "command",
    [
        "profile SPIKING DATA",
        "replay SPIKING DATA",
        "spikes SPIKING DATA -o MADE",
        "unroll SPIKING -o MADE",
        "compare ORIGINAL SPIKING DATA --per-node",
    ],
)
def test_what_needs_spiking_nodes_says_so(
    command: str, product: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    named = {name.upper(): str(path) for name, path in product.items()}
    assert main([named.get(word, word) for word in command.split()] + ["--quiet"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "without --inline" in line


def test_comparison_works(product: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *(str(product[name]) for name in ("original", "spiking", "data")), "--quiet"]) == 0
    assert "not counted here" in capsys.readouterr().out


def _guarded(model: ir.Model) -> None:
    assert add_guard(model).nodes


def _metered(model: ir.Model) -> None:
    assert meter(model, Body.CLOSED)


@pytest.mark.parametrize("add", [_guarded, _metered])
def test_counts_are_as_before(add: Callable[[ir.Model], None], product: dict[str, Path], tmp_path: Path) -> None:
    """Those of saturated elements, which `onnx_snn.session` warns of, and those of spikes."""
    model, feeds = load_model(product["functions"]), {"x": 100 * normal(2, 4, 8)}
    add(model)
    save_model(inlined(model, Body.CLOSED, Precision.DOUBLE), tmp_path / "inlined.onnx")
    expected, counted = (run(each, feeds) for each in (model, tmp_path / "inlined.onnx"))
    assert any(array.dtype == np.int64 and array.any() for array in expected.values())
    for name, array in expected.items():
        assert_same_bits(counted[name], array, name)
    if add is _guarded:
        with pytest.warns(SaturationWarning):
            onnx_snn.session(tmp_path / "inlined.onnx").run(None, feeds)


def test_a_function_of_another_operator_set_is_refused() -> None:
    text = """
    <ir_version: 10, opset_import: ["": 20, "acme": 1]> main (float[N] x) => (float[N] y) { y = acme.twice (x) }
    <domain: "acme", opset_import: ["": 17]> twice (x) => (y) { y = Add (x, x) }
    """
    model: Any = onnx.parser.parse_model(text)
    with pytest.raises(ModelError, match="cannot be inlined: Opset mismatch"):
        inlined(ir.from_proto(model), Body.CLOSED, Precision.DOUBLE)


def test_a_broken_record_is_refused(product: dict[str, Path], tmp_path: Path) -> None:
    model = onnx.load(product["spiking"])
    for entry in model.metadata_props:
        if entry.key == INLINED_KEY:
            assert json.loads(entry.value)
            entry.value = '[{"name": "a"}]'
    onnx.save(model, tmp_path / "broken.onnx")
    with pytest.raises(ModelError, match="no list of spiking nodes"):
        onnx_snn.inspect(tmp_path / "broken.onnx")
