# SPDX-License-Identifier: Apache-2.0
"""What decoders are made of: heads that share keys and values, rotary positions, tied embeddings, a head over words.

One layer in ONNX text has all of them; the families of the corpus have them as exporters write them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from corpus import Entry, entries, feeds
from networks import Feeds, normal, relative_error, run

import onnx_snn
from onnx_snn import Status
from onnx_snn.calibration.fixed_sizes import static_axes
from onnx_snn.calibration.observations import StaticAxes, coded_tensors
from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.rules import recognise
from onnx_snn.rules.site import ActivationMatmulSite

VOCABULARY, WIDTH, GROUPS, HEAD_SIZE = 32, 16, 2, 4

ROTATION = """
    NAME_low = Slice (NAME_heads, first, second, last)
    NAME_high = Slice (NAME_heads, second, all, last)
    NAME_minus = Neg (NAME_high)
    NAME_turned = Concat <axis = -1> (NAME_minus, NAME_low)
    [NAME_cosine] NAME_along = Mul (NAME_heads, cosine)
    [NAME_sine] NAME_across = Mul (NAME_turned, sine)
    NAME_rotated = Add (NAME_along, NAME_across)
"""

LAYER = """
<ir_version: 9, opset_import: ["": 18]>
layer (int64[batch, sequence] input_ids) => (float[batch, sequence, 32] logits)
<int64[4] split_queries = {0, 0, 4, 4}, int64[4] split_keys = {0, 0, 2, 4}, int64[3] merge = {0, 0, 16},
 int64[1] repeats = {2}, int64[5] repeated = {1, 1, 2, 1, 1}, int64[4] joined = {0, 4, -1, 4}, float root = {2},
 int64 zero = {0}, int64 one = {1}, int64[1] first = {0}, int64[1] second = {2}, int64[1] all = {4},
 int64[1] last = {3}>
{
    h = Gather (table, input_ids)
    q = MatMul (h, query)
    k = MatMul (h, key)
    v = MatMul (h, value)
    q_split = Reshape (q, split_queries)
    k_split = Reshape (k, split_keys)
    v_split = Reshape (v, split_keys)
    q_heads = Transpose <perm = [0, 2, 1, 3]> (q_split)
    k_heads = Transpose <perm = [0, 2, 1, 3]> (k_split)
    v_heads = Transpose <perm = [0, 2, 1, 3]> (v_split)
    shape = Shape (input_ids)
    length = Gather (shape, one)
    places = Range (zero, length, one)
    positions = Cast <to = 1> (places)
    column = Unsqueeze (positions, axis)
    angles = Mul (column, frequencies)
    [cosine] cosine = Cos (angles)
    [sine] sine = Sin (angles)
    ROTATIONS
    k_apart = Unsqueeze (k_rotated, repeats)
    k_expanded = Expand (k_apart, repeated)
    k_all = Reshape (k_expanded, joined)
    v_apart = Unsqueeze (v_heads, repeats)
    v_expanded = Expand (v_apart, repeated)
    v_all = Reshape (v_expanded, joined)
    k_last = Transpose <perm = [0, 1, 3, 2]> (k_all)
    [scores] raw = MatMul (q_rotated, k_last)
    scaled = Div (raw, root)
    [softmax] p = Softmax <axis = -1> (scaled)
    [context] mixed = MatMul (p, v_all)
    back = Transpose <perm = [0, 2, 1, 3]> (mixed)
    merged = Reshape (back, merge)
    [gate] g = Sigmoid (h)
    [gating] gated = Mul (merged, g)
    residual = Add (h, gated)
    head = Transpose <perm = [1, 0]> (table)
    [head] logits = MatMul (residual, head)
}
""".replace("ROTATIONS", "".join(ROTATION.replace("NAME", name) for name in "qk"))
EXACT = ["q_cosine", "q_sine", "k_cosine", "k_sine"]


def layer() -> onnx.ModelProto:
    """A layer whose keys and values have two heads for four of queries, and whose head is its table of words."""
    model = onnx.parser.parse_model(LAYER)
    # Channels of values differ by powers of two, so that the axis of the scales shows.
    spread = np.tile(2.0 ** np.arange(HEAD_SIZE), GROUPS) * np.repeat([1.0, 32.0], HEAD_SIZE)
    weights = {
        "table": normal(VOCABULARY, WIDTH, seed=1),
        "query": normal(WIDTH, WIDTH, seed=2) / 4,
        "key": normal(WIDTH, GROUPS * HEAD_SIZE, seed=3) / 4,
        "value": normal(WIDTH, GROUPS * HEAD_SIZE, seed=4) * spread.astype(np.float32) / 64,
        "frequencies": np.array([[1, 0.1, 1, 0.1]], np.float32),
        "axis": np.array([1], np.int64),
    }
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    return model


def words(samples: int, *, seed: int) -> Feeds:
    return {"input_ids": np.random.default_rng(seed).integers(VOCABULARY, size=(samples, 10))}


@pytest.fixture(scope="module")
def spiking(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, onnx_snn.ConversionReport]:
    path = tmp_path_factory.mktemp("layer") / "spiking.onnx"
    return path, onnx_snn.convert(layer(), path, words(32, seed=0), body="closed", progress=False, fast=True)


def scales(path: Path, name: str) -> list[np.ndarray]:
    """For each operand of the product `name` the scale of its code."""
    model = ir.load(path)
    found = []
    for operand in model.graph.node(name).inputs:
        node = operand.producer() if operand is not None else None
        while node is not None and node.op_type != "MbeNeuron":
            node = node.inputs[0].producer() if node.inputs[0] is not None else None
        assert node is not None
        assert node.inputs[-1] is not None
        assert node.inputs[-1].const_value is not None
        found.append(node.inputs[-1].const_value.numpy())
    return found


@pytest.mark.slow
def test_everything_is_converted_and_close(spiking: tuple[Path, onnx_snn.ConversionReport]) -> None:
    path, report = spiking
    assert report.count(Status.CONVERTED) == len(report.nodes)
    assert relative_error(*(run(model, words(8, seed=1))["logits"] for model in (layer(), path))) < 1e-2


def test_rotations_stay_exact_and_gates_are_products(spiking: tuple[Path, onnx_snn.ConversionReport]) -> None:
    path, report = spiking
    products = [node.name for node in report.nodes if node.kind == "product"]
    assert products == ["scores", "context", "gating"]
    before, after = ir.from_proto(layer()), ir.load(path)
    for name in (*EXACT, "cosine", "sine"):
        old, new = (model.graph.node(name) for model in (before, after))
        assert [value and value.name for value in new.inputs] == [value and value.name for value in old.inputs]


def test_scales_of_shared_keys_and_values_run_along_heads_and_features(
    spiking: tuple[Path, onnx_snn.ConversionReport],
) -> None:
    _, keys = scales(spiking[0], "scores")
    probabilities, values = scales(spiking[0], "context")
    assert keys.shape == values.shape == (GROUPS, 1, HEAD_SIZE)
    assert probabilities.size == 1
    octaves = np.log2(values[:, 0] / values[0, 0, 0])
    assert octaves == pytest.approx(np.array([0, 5])[:, None] + np.arange(HEAD_SIZE), abs=1)


def test_words_are_read_and_written_by_one_table(spiking: tuple[Path, onnx_snn.ConversionReport]) -> None:
    path, report = spiking
    assert {node.name: node.status for node in report.nodes}["head"] is Status.CONVERTED
    before, after = ir.from_proto(layer()), ir.load(path)
    table = after.graph.initializers["table"]
    assert sorted(use.node.op_type for use in table.uses()) == ["Gather", "Transpose"]
    old = before.graph.initializers["table"].const_value
    assert old is not None
    assert table.const_value is not None
    np.testing.assert_array_equal(table.const_value.numpy(), old.numpy())
    assert sum(value.shape == table.shape for value in after.graph.initializers.values()) == 1
    (code,) = (value for value in after.graph.node("head").inputs[:1])
    assert code is not None
    assert code.producer().op_type == "MbeNeuron"  # type: ignore[union-attr]


# --- families --------------------------------------------------------------------------------------

GATES = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3"), 2),
    **dict.fromkeys(("phi", "gptj", "gpt-neox", "falcon"), 0),
}
"""Products of two activations by Mul in the families that rotate: those of gated feed-forward networks alone."""

ROTATING = [entry for entry in entries() if entry.family in GATES]
SHARING = [entry for entry in ROTATING if entry.family in ("llama", "qwen2", "qwen3", "gemma")]


@pytest.mark.parametrize("entry", ROTATING, ids=lambda entry: entry.name)
def test_rotations_of_families_stay_exact(entry: Entry) -> None:
    model = ir.from_proto(entry.load())
    flow, sites = ActivationFlow(model), recognise(model).sites
    waves = [node.outputs[0] for node in model.graph.all_nodes() if node.op_type in ("Cos", "Sin")]
    assert not any(map(flow.is_activation, waves))
    assert sum(site.rule == "product_mul" for site in sites) == GATES[entry.family]


@pytest.mark.parametrize("entry", SHARING, ids=lambda entry: entry.name)
def test_scales_of_families_run_along_heads_and_features(entry: Entry) -> None:
    proto = entry.load()
    model = ir.from_proto(proto)
    sites = recognise(model).sites
    products = [site for site in sites if isinstance(site, ActivationMatmulSite) and site.rule != "product_mul"]
    names = sorted({value.name or "" for site in products for value in site.inputs})
    static = StaticAxes(model, static_axes(model, names, feeds(proto, seed=0)))
    assert len(products) == 4
    for site in products:
        for index, tensor in enumerate(coded_tensors(site, static)):
            sizes = static[tensor.tensor]
            if tensor.probabilities:
                assert tensor.axes is None
                continue
            assert tensor.axes is not None
            assert tensor.axes[0] == -3
            is_value = site.operands[1 - index].is_probability
            # Values are coded before they are repeated; keys are scaled after that, by the root of the head size.
            assert [sizes[axis] for axis in tensor.axes] == ([2, 8] if is_value else [4, 8])
