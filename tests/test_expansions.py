# SPDX-License-Identifier: Apache-2.0
"""What is written out for a fused operator computes what onnxruntime computes for the operator itself.

Both models run without onnxruntime's optimizer, which would fuse again what was taken apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import normal, relative_error
from numpy.typing import NDArray

import onnx_snn
from onnx_snn import Status
from onnx_snn.decompositions.decomposer import decompose
from onnx_snn.rules import Kind, recognise
from onnx_snn.rules.site import ActivationMatmulSite

Array = NDArray[Any]

TOLERANCE = {"rtol": 1e-5, "atol": 2e-6}
"""Both sides round sums of some tens of float32 in other orders."""

_TYPES = {"float32": "float", "int32": "int32", "int64": "int64", "bool": "bool"}


def model(body: str, feeds: Mapping[str, Array], outputs: str = "y", *, opset: int = 20) -> onnx.ModelProto:
    """A model from `feeds` to the float tensors `outputs`; only last axes have a fixed size."""
    inputs = ", ".join(f"{_TYPES[array.dtype.name]}{_shape(name, array)} {name}" for name, array in feeds.items())
    results = ", ".join(f"{'int32' if name == 'index' else 'float'}[] {name}" for name in outputs.split())
    header = f'<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1]>'
    return onnx.parser.parse_model(f"{header} main ({inputs}) => ({results}) {{ [fused] {body} }}")


def _shape(name: str, array: Array) -> str:
    sizes = [f"{name}_{axis}" for axis in range(array.ndim - 1)] + [str(size) for size in array.shape[-1:]]
    return f"[{', '.join(sizes)}]" if sizes else ""


def run(proto: onnx.ModelProto | ir.Model, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Every output by its name, each node by its own kernel."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto = ir.to_proto(proto) if isinstance(proto, ir.Model) else proto
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, dict(feeds)), strict=True))


def declare(proto: onnx.ModelProto, outputs: Mapping[str, Array]) -> None:
    """Declare the ranks of the outputs, which a valid model must."""
    for output in proto.graph.output:
        for axis in range(outputs[output.name].ndim):
            output.type.tensor_type.shape.dim.add(dim_param=f"{output.name}_{axis}")


def written_out(proto: onnx.ModelProto) -> ir.Model:
    """The model after expansion, which must have left no fused operator."""
    apart = ir.from_proto(proto)
    assert decompose(apart).undecomposed == {}
    assert "fused" not in [node.name for node in apart.graph]
    onnx.checker.check_model(ir.to_proto(apart))
    return apart


def assert_same(
    body: str, feeds: Mapping[str, Array], outputs: str = "y", *, opset: int = 20, **tolerance: float
) -> ir.Model:
    """The fused model and the one that was taken apart agree on `feeds`; returns the latter."""
    fused = model(body, feeds, outputs, opset=opset)
    expected = run(fused, feeds)
    declare(fused, expected)
    apart = written_out(fused)
    got = run(apart, feeds)
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, **(TOLERANCE | tolerance), err_msg=name)
    return apart


def kinds(apart: ir.Model) -> list[Kind]:
    return [site.kind for site in recognise(apart).sites]


def int32(values: Any) -> NDArray[np.int32]:
    return np.array(values, np.int32)


NEWEST = 28
OPSETS = [13, 16, 17, 18, 20, 23]
X, SKIP, GAMMA, BETA, BIAS = normal(2, 4, 8), normal(2, 4, 8, seed=2), *(normal(8, seed=seed) for seed in (3, 4, 5))

# --- activations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("body", "function"),
    [
        ("y = com.microsoft.BiasGelu (x, b)", "gelu"),
        ("y = com.microsoft.FastGelu (x, b)", "gelu_tanh"),
        ("y = com.microsoft.QuickGelu <alpha = 1.0> (x)", "silu"),
    ],
)
def test_a_fused_activation_is_one_function(body: str, function: str, opset: int) -> None:
    feeds = {"x": X, "b": BIAS} if "b)" in body else {"x": X}
    # The kernel of FastGelu approximates tanh.
    apart = assert_same(body, feeds, opset=opset, atol=1e-5)
    assert [site.function for site in recognise(apart).sites] == [function]


@pytest.mark.parametrize(
    ("body", "opset"), [("y = com.microsoft.QuickGelu <alpha = 1.3> (x)", 17), ("y = Swish <alpha = 1.3> (x)", 24)]
)
def test_a_gate_of_any_slope_is_a_sigmoid_and_a_product(body: str, opset: int) -> None:
    assert kinds(assert_same(body, {"x": X}, opset=opset)) == [Kind.FUNCTION, Kind.PRODUCT]


@pytest.mark.parametrize(
    ("body", "opset"),
    [
        ("y = com.microsoft.Gelu (x)", 13),
        ("y = com.microsoft.FastGelu (x)", 13),
        ("y = com.microsoft.QuickGelu (x)", 13),
        ("y = Gelu (x)", 20),
        ("y = Swish (x)", 24),
        ("y = Swish <alpha = 1.702> (x)", 24),
    ],
)
def test_what_a_rule_knows_stays_in_one_piece(body: str, opset: int) -> None:
    apart = ir.from_proto(model(body, {"x": X}, opset=opset))
    assert not decompose(apart).origins
    assert kinds(apart) == [Kind.FUNCTION]


@pytest.mark.parametrize(("attributes", "function"), [("", "silu"), ("<alpha = 1.702>", "gelu_quick")])
def test_what_onnxruntime_cannot_run_is_written_out(attributes: str, function: str) -> None:
    apart = written_out(model(f"y = Swish {attributes} (x)", {"x": X}, opset=NEWEST))
    assert [site.function for site in recognise(apart).sites] == [function]
    alpha = 1.702 if attributes else 1.0
    np.testing.assert_allclose(run(apart, {"x": X})["y"], X / (1 + np.exp(-alpha * X)), **TOLERANCE)


# --- normalizations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("body", "outputs", "kind"),
    [
        ("y = com.microsoft.SkipLayerNormalization (x, s, g)", "y", Kind.LAYER_NORM),
        ("y, , , z = com.microsoft.SkipLayerNormalization <epsilon = 0.1> (x, s, g, h, b)", "y z", Kind.LAYER_NORM),
        ("y = com.microsoft.SkipSimplifiedLayerNormalization (x, s, g)", "y", Kind.RMS_NORM),
        (
            "y, , , z = com.microsoft.SkipSimplifiedLayerNormalization <epsilon = 0.1> (x, s, g, b)",
            "y z",
            Kind.RMS_NORM,
        ),
    ],
)
def test_a_normalization_of_a_sum(body: str, outputs: str, kind: Kind, opset: int) -> None:
    feeds = {"x": X, "s": SKIP, "g": GAMMA, "h": BETA, "b": BIAS}
    used = body[body.rindex("(") + 1 : -1].split(", ")
    apart = assert_same(body, {name: feeds[name] for name in used}, outputs, opset=opset)
    # Scale and shift are inputs here, which would be no constants to a normalization.
    for name in ("g", "h"):
        if name in used:
            value = next(value for value in apart.graph.inputs if value.name == name)
            apart.graph.inputs.remove(value)
            value.const_value = ir.tensor(feeds[name], name=name)
            apart.graph.register_initializer(value)
    assert kinds(apart) == [kind]


def test_the_skipped_sum_may_lack_leading_axes() -> None:
    assert_same("y = com.microsoft.SkipLayerNormalization (x, s, g)", {"x": X, "s": SKIP[0], "g": GAMMA})


IDS, TABLES = int32([[1, 5, 2, 0], [3, 3, 1, 4]]), {name: normal(9, 8, seed=ord(name)) for name in "wpt"}


@pytest.mark.parametrize(
    "arguments",
    [
        "(i, k, w, p, t, g, h, m)",
        "(i, k, w, p, t, g, h, m, o)",
        "(i, , w, p, , g, h)",
    ],
)
@pytest.mark.parametrize("opset", [13, 20])
def test_embeddings_and_their_normalization(arguments: str, opset: int) -> None:
    feeds: dict[str, Array] = {"i": IDS, "k": IDS % 2, **TABLES, "g": GAMMA, "h": BETA}
    feeds |= {"m": int32([[1, 1, 1, 0], [1, 1, 1, 1]]), "o": IDS[:, ::-1].copy()}
    used = [name for name in arguments[1:-1].split(", ") if name.strip()]
    body = f"y, index, z = com.microsoft.EmbedLayerNormalization <epsilon = 0.01> {arguments}"
    assert_same(body, {name: feeds[name] for name in used}, "y index z", opset=opset)


# --- products ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", list(itertools.product((0, 1), repeat=4)), ids=str)
def test_a_transposed_and_scaled_product(flags: tuple[int, ...]) -> None:
    names = ("transA", "transB", "transBatchA", "transBatchB")
    attributes = ", ".join(f"{name} = {flag}" for name, flag in zip(names, flags, strict=True))
    feeds = {"a": normal(3, 3, 3, 3), "b": normal(3, 3, 3, 3, seed=2)}
    apart = assert_same(f"y = com.microsoft.FusedMatMul <alpha = 0.7, {attributes}> (a, b)", feeds)
    assert kinds(apart) == [Kind.PRODUCT]


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [
        ("Relu", ""),
        ("Tanh", ""),
        ("Sigmoid", ""),
        ("LeakyRelu", "0.3"),
        ("HardSigmoid", "0.3, 0.4"),
        ("Clip", "-0.5, 0.4"),
    ],
)
def test_a_convolution_with_its_activation(activation: str, parameters: str) -> None:
    listed = f", activation_params = [{parameters}]" if parameters else ""
    feeds = {"x": normal(2, 3, 8, 8), "w": normal(5, 3, 3, 3), "b": normal(5)}
    body = f'y = com.microsoft.FusedConv <activation = "{activation}"{listed}, pads = [1, 1, 1, 1]> (x, w, b)'
    assert_same(body, feeds)


def test_a_convolution_with_a_residual() -> None:
    feeds = {"x": normal(2, 3, 8, 8), "w": normal(5, 3, 3, 3), "b": normal(5), "z": normal(2, 5, 6, 6)}
    assert_same('y = com.microsoft.FusedConv <activation = "Relu"> (x, w, b, z)', feeds)


@pytest.mark.parametrize("activation", ["Relu", "Tanh", "LeakyRelu"])
def test_a_linear_layer_with_its_activation(activation: str) -> None:
    feeds = {"a": normal(3, 8), "b": normal(5, 8), "c": normal(5)}
    slope = ", activation_alpha = 0.3" if activation == "LeakyRelu" else ""
    body = f'y = com.microsoft.FusedGemm <activation = "{activation}"{slope}, alpha = 0.5, transB = 1> (a, b, c)'
    assert_same(body, feeds)


# --- attention of onnxruntime --------------------------------------------------------------------------

PROJECTED = {"x": normal(2, 4, 16), "w": normal(16, 48) / 4, "b": normal(48)}
MASKS = {
    "none": None,
    "of keys": int32([[1, 1, 1, 0], [0, 1, 1, 0]]),
    "of pairs": np.random.default_rng(0).integers(0, 2, (2, 4, 4)).astype(np.int32),
    "of ends": int32([3, 4]),
    "of ends and starts": int32([3, 4, 1, 0]),
    "of nothing": int32([[0, 0, 0, 0], [1, 1, 0, 0]]),
}
FILTERS = ["", ", mask_filter_value = -3.0"]
SITES = [Kind.PRODUCT, Kind.SOFTMAX, Kind.PRODUCT]


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("fill", FILTERS)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
@pytest.mark.parametrize("heads", [1, 4])
def test_attention_with_masks(mask: Array | None, fill: str, causal: int, heads: int) -> None:
    feeds = PROJECTED if mask is None else PROJECTED | {"m": mask}
    attributes = f"num_heads = {heads}, unidirectional = {causal}{fill}"
    body = f"y = com.microsoft.Attention <{attributes}> (x, w, b{'' if mask is None else ', m'})"
    apart = assert_same(body, feeds)
    # The weights are an input here, so that the projection counts as a product.
    assert kinds(apart) == [Kind.PRODUCT, *SITES]


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ("x, w, b, , past", {"past": normal(2, 2, 2, 3, 8)}),
        ("x, w, b, , past", {"past": normal(2, 2, 2, 0, 8)}),
        ("x, w, b, m, past", {"past": normal(2, 2, 2, 1, 8), "m": int32([[1, 0, 1, 1, 1], [0, 1, 1, 1, 0]])}),
        ("x, w, b, , , a", {"a": normal(2, 2, 4, 4, seed=2)}),
        ("x, w, b, , , a", {"a": normal(1, 1, 4, 4, seed=2)}),
    ],
    ids=["past", "empty past", "past and mask", "biases", "one bias for all"],
)
def test_attention_with_past_or_biases(arguments: str, extra: dict[str, Array], causal: int) -> None:
    attributes = f"num_heads = 2, scale = 0.4, unidirectional = {causal}"
    assert_same(f"y, p = com.microsoft.Attention <{attributes}> ({arguments})", PROJECTED | extra, "y p")


def test_attention_whose_values_are_narrower() -> None:
    feeds = PROJECTED | {"w": normal(16, 40) / 4, "b": normal(40)}
    assert_same("y = com.microsoft.Attention <num_heads = 2, qkv_hidden_sizes = [16, 16, 8]> (x, w, b)", feeds)


HEADS = {"q": normal(2, 4, 16), "k": normal(2, 5, 16, seed=2), "v": normal(2, 5, 16, seed=3)}
KEY_MASKS = {
    "of keys": int32([[1, 1, 1, 0, 1], [0, 1, 1, 0, 0]]),
    "of pairs": np.random.default_rng(0).integers(0, 2, (2, 4, 5)).astype(np.int32),
    "of ends": int32([3, 4]),
}


@pytest.mark.parametrize("fill", FILTERS)
@pytest.mark.parametrize("mask", KEY_MASKS.values(), ids=KEY_MASKS.keys())
def test_multi_head_attention_with_masks(mask: Array, fill: str) -> None:
    body = f"y = com.microsoft.MultiHeadAttention <num_heads = 2{fill}> (q, k, v, b, m)"
    assert kinds(assert_same(body, HEADS | {"b": normal(48), "m": mask})) == SITES


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_multi_head_attention_with_past(causal: int, heads: int) -> None:
    cache = {name: normal(2, heads, 3, 16 // heads, seed=seed) for seed, name in enumerate(("pk", "pv"))}
    new = {name: array[:, :4] for name, array in HEADS.items()}
    feeds = new | {"b": normal(48), "a": normal(1, heads, 4, 7)} | cache
    attributes = f"num_heads = {heads}, unidirectional = {causal}"
    body = f"y, k2, v2 = com.microsoft.MultiHeadAttention <{attributes}> (q, k, v, b, , a, pk, pv)"
    assert_same(body, feeds, "y k2 v2")


@pytest.mark.parametrize("arguments", ["(q, k, v)", "(q, k, v, , m, a)"])
def test_multi_head_attention_with_more_keys_than_queries_is_causal_from_the_first(arguments: str) -> None:
    feeds = HEADS | {"m": KEY_MASKS["of keys"], "a": normal(2, 2, 4, 5)}
    used = {name: array for name, array in feeds.items() if name in arguments}
    assert_same(f"y = com.microsoft.MultiHeadAttention <num_heads = 2, unidirectional = 1> {arguments}", used)


@pytest.mark.parametrize("bias", ["", ", b"])
def test_multi_head_attention_over_the_heads_of_an_encoder(bias: str) -> None:
    feeds = {"q": HEADS["q"], "k": normal(2, 2, 5, 8), "v": normal(2, 2, 5, 8, seed=2)}
    feeds |= {"b": normal(48)} if bias else {}
    assert_same(f"y = com.microsoft.MultiHeadAttention <num_heads = 2, scale = 0.5> (q, k, v{bias})", feeds)


# --- grouped queries ---------------------------------------------------------------------------------

ANGLES = normal(32, 8)
ROTARY = {"c": np.cos(ANGLES), "s": np.sin(ANGLES)}
GROUPED = ["", ", scale = 0.3", ", softcap = 2.0", ", local_window_size = 2", ", smooth_softmax = 1"]
GROUPED += [", do_rotary = 1", ", do_rotary = 1, rotary_interleaved = 1"]


def grouped(
    attributes: str, *, batch: int = 2, new: int = 1, buffer: int | None = 5, lengths: list[int], packed: bool = False
) -> tuple[str, dict[str, Array]]:
    """A node with 4 heads of queries and 2 of keys, and its inputs; `lengths` count the past and the new tokens."""
    feeds: dict[str, Array] = {"q": normal(batch, new, 64)}
    if packed:
        feeds["q"] = normal(batch, new, 128)
    else:
        feeds |= {"k": normal(batch, new, 32, seed=2), "v": normal(batch, new, 32, seed=3)}
    if buffer is not None:
        feeds |= {"pk": normal(batch, 2, buffer, 16, seed=4), "pv": normal(batch, 2, buffer, 16, seed=5)}
    feeds |= {"seqlens_k": int32(lengths) - 1, "total_sequence_length": int32(max(lengths))}
    arguments = ["q", *("k", "v")] if not packed else ["q", "", ""]
    arguments += ["", ""] if buffer is None else ["pk", "pv"]
    arguments += ["seqlens_k", "total_sequence_length"]
    if "do_rotary" in attributes:
        feeds |= ROTARY
        arguments += ["c", "s"]
    given = ", ".join(arguments)
    body = f"y, k2, v2 = com.microsoft.GroupQueryAttention <num_heads = 4, kv_num_heads = 2{attributes}> ({given})"
    return body, feeds


@pytest.mark.parametrize("attributes", GROUPED)
@pytest.mark.parametrize(
    "situation",
    [
        pytest.param({"new": 4, "buffer": None, "lengths": [4, 4]}, id="prompt without cache"),
        pytest.param({"new": 4, "buffer": 0, "lengths": [4, 4]}, id="prompt with an empty cache"),
        pytest.param({"new": 4, "buffer": 9, "lengths": [4, 4]}, id="prompt with a buffer"),
        pytest.param({"buffer": 5, "lengths": [6, 6]}, id="one token"),
        pytest.param({"buffer": 5, "lengths": [6, 4]}, id="sequences of different lengths"),
        pytest.param({"buffer": 9, "lengths": [6, 4]}, id="buffer longer than the sequences"),
        pytest.param({"batch": 1, "new": 3, "buffer": 5, "lengths": [8]}, id="several tokens"),
        pytest.param({"new": 1, "lengths": [6, 6], "packed": True}, id="packed"),
    ],
)
def test_grouped_queries(attributes: str, situation: dict[str, Any]) -> None:
    body, feeds = grouped(attributes, **situation)
    assert Kind.SOFTMAX in kinds(assert_same(body, feeds, "y k2 v2"))


def test_a_padded_prompt_agrees_wherever_it_is_not_padded() -> None:
    body, feeds = grouped(", do_rotary = 1", new=4, buffer=None, lengths=[4, 2])
    fused = model(body, feeds, "y k2 v2")
    expected = run(fused, feeds)
    declare(fused, expected)
    got = run(written_out(fused), feeds)
    for row, length in enumerate([4, 2]):
        np.testing.assert_allclose(got["y"][row, :length], expected["y"][row, :length], **TOLERANCE)


@pytest.mark.parametrize(
    ("situation", "places"),
    [
        ({"new": 4, "buffer": None, "lengths": [4, 4]}, [[3, 5, 6, 9], [1, 2, 7, 8]]),
        ({"batch": 1, "new": 4, "buffer": 0, "lengths": [4]}, [[3, 5, 6, 9]]),
        ({"lengths": [6, 6]}, [[3], [9]]),
        ({"batch": 1, "new": 3, "lengths": [8]}, [[2, 9, 4]]),
    ],
    ids=["prompt", "prompt with an empty cache", "one token", "several tokens"],
)
def test_grouped_queries_with_positions(situation: dict[str, Any], places: list[list[int]]) -> None:
    body, feeds = grouped(", do_rotary = 1", **situation)
    assert_same(f"{body[:-1]}, position_ids)", feeds | {"position_ids": np.array(places)}, "y k2 v2")


@pytest.mark.parametrize("attributes", [", do_rotary = 1", ", softcap = 1.0, local_window_size = 3"])
@pytest.mark.parametrize(("index", "extra"), [(10, "a"), (11, "z")])
def test_grouped_queries_with_biases_and_sinks(index: int, extra: str, attributes: str) -> None:
    body, feeds = grouped(attributes, batch=1, new=2, lengths=[7])
    feeds |= {"a": {"a": normal(1, 4, 2, 7)}, "z": {"z": normal(4)}}[extra]
    count = body.count(",", body.rindex("(")) + 1
    assert_same(f"{body[:-1]}, {', '.join([''] * (index - count) + [extra])})", feeds, "y k2 v2")


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(0, 6), st.data())
def test_caches_of_any_lengths(batch: int, spare: int, data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 8), min_size=batch, max_size=batch))
    buffer = max(lengths) - 1 + spare
    if buffer == 0:  # a prompt of one token, which is no continuation
        lengths = [1] * batch
    body, feeds = grouped(", do_rotary = 1", batch=batch, buffer=buffer, lengths=lengths)
    assert_same(body, feeds, "y k2 v2")


# --- attention of ONNX ---------------------------------------------------------------------------------

BHSD = {"q": normal(2, 4, 3, 8), "k": normal(2, 4, 5, 8, seed=2), "v": normal(2, 4, 5, 8, seed=3)}
SHARED = BHSD | {name: BHSD[name][:, ::2].copy() for name in "kv"}
FLAT = {"q": normal(2, 3, 32), "k": normal(2, 5, 16, seed=2), "v": normal(2, 5, 16, seed=3)}
PAST = {"pk": normal(2, 2, 2, 8, seed=4), "pv": normal(2, 2, 2, 8, seed=5)}
SEEN = np.random.default_rng(0).integers(0, 2, (2, 1, 3, 5)).astype(bool)
STANDARD: dict[str, tuple[str, dict[str, Array], str]] = {
    "plain": ("(q, k, v)", BHSD, "y"),
    "scaled and capped": ("<scale = 0.3, softcap = 2.0> (q, k, v)", BHSD, "y"),
    "causal": ("<is_causal = 1> (q, k, v)", BHSD, "y"),
    "additive mask": ("(q, k, v, m)", BHSD | {"m": normal(3, 5)}, "y"),
    "boolean mask": ("(q, k, v, m)", BHSD | {"m": SEEN | np.eye(3, 5, dtype=bool)}, "y"),
    "mask that hides all": ("(q, k, v, m)", BHSD | {"m": SEEN & (np.arange(3) > 0)[:, None]}, "y"),
    "shared keys": ("(q, k, v)", SHARED, "y"),
    "three axes": ("<q_num_heads = 4, kv_num_heads = 2> (q, k, v)", FLAT, "y"),
    "past": ("<q_num_heads = 4, kv_num_heads = 2> (q, k, v, , pk, pv)", FLAT | PAST, "y k2 v2"),
    "past, causal": ("<is_causal = 1> (q, k, v, , pk, pv)", SHARED | PAST, "y k2 v2"),
}


@pytest.mark.parametrize("opset", [23, 24, 25, NEWEST])
@pytest.mark.parametrize(("call", "feeds", "outputs"), STANDARD.values(), ids=STANDARD.keys())
def test_standard_attention(call: str, feeds: dict[str, Array], outputs: str, opset: int) -> None:
    left = {"y": "y", "y k2 v2": "y, k2, v2"}[outputs]
    found = kinds(assert_same(f"{left} = Attention {call}", feeds, outputs, opset=opset))
    assert [kind for kind in found if kind is not Kind.FUNCTION] == SITES
    assert found.count(Kind.FUNCTION) == ("softcap" in call)


def test_standard_attention_with_lengths_of_keys() -> None:
    feeds = BHSD | {"n": np.array([3, 5])}
    assert_same("y = Attention (q, k, v, , , , n)", feeds, opset=24)


@pytest.mark.parametrize("mode", [0, 3])
@pytest.mark.parametrize("opset", [23, NEWEST])
def test_standard_attention_that_returns_scores_or_probabilities(mode: int, opset: int) -> None:
    attributes = f"softcap = 2.0, is_causal = 1, qk_matmul_output_mode = {mode}"
    assert_same(f"y, , , z = Attention <{attributes}> (q, k, v, m)", BHSD | {"m": normal(3, 5)}, "y z", opset=opset)


def test_softmax_in_attention_has_probabilities_at_its_product() -> None:
    apart = assert_same("y = Attention <is_causal = 1> (q, k, v)", BHSD, opset=23)
    assert [
        tuple(operand.is_probability for operand in site.operands)
        for site in recognise(apart).sites
        if isinstance(site, ActivationMatmulSite)
    ] == [
        (False, False),
        (True, False),
    ]


@pytest.mark.parametrize("opset", [23, NEWEST])
def test_rotary_embedding_is_a_fixed_rotation(opset: int) -> None:
    feeds = {"x": normal(2, 4, 3, 8), "c": np.cos(ANGLES[:, :4]), "s": np.sin(ANGLES[:, :4])}
    proto = model("y = RotaryEmbedding (x, c, s, position_ids)", feeds | {"position_ids": np.zeros((2, 3), int)})
    proto.opset_import[0].version = opset
    apart = ir.from_proto(proto)
    assert not decompose(apart).origins
    assert recognise(apart) == ([], [])


# --- whole conversions -----------------------------------------------------------------------------------

SAMPLES = 8
CONVERTED: dict[str, tuple[str, dict[str, Array], int]] = {
    "Attention": ("y = com.microsoft.Attention <num_heads = 2, unidirectional = 1> (x, w, b, m)", {
        "x": normal(SAMPLES, 4, 16), "m": int32(np.ones((SAMPLES, 4))),
    }, 17),
    "MultiHeadAttention": ("y = com.microsoft.MultiHeadAttention <num_heads = 2> (q, k, v)", {
        name: normal(SAMPLES, 5, 16, seed=seed) for seed, name in enumerate("qkv")
    }, 20),
    "GroupQueryAttention": (
        *grouped(", do_rotary = 1, softcap = 20.0", batch=SAMPLES, buffer=4, lengths=[5] * SAMPLES), 20,
    ),
    "Attention of opset 23": ("y = Attention <is_causal = 1> (q, k, v)", {
        name: normal(SAMPLES, 2, 5, 8, seed=seed) for seed, name in enumerate("qkv")
    }, 23),
    "Attention of the newest opset": ("y = Attention <softcap = 20.0> (q, k, v)", {
        name: normal(SAMPLES, 2, 5, 8, seed=seed) for seed, name in enumerate("qkv")
    }, NEWEST),
}  # fmt: skip


@pytest.mark.parametrize(("body", "feeds", "opset"), CONVERTED.values(), ids=CONVERTED.keys())
def test_attention_becomes_spiking(body: str, feeds: dict[str, Array], opset: int, tmp_path: Path) -> None:
    outputs = " ".join(body.split(" = ")[0].split(", "))
    fixed = {name: PROJECTED[name] for name in "wb"} if "(x, w, b" in body else {}
    fixed |= {name: feeds[name] for name in ("c", "s") if name in feeds}
    proto = model(body, {**feeds, **fixed}, outputs, opset=opset)
    given = {name: array for name, array in feeds.items() if name not in fixed}
    kept = [value for value in proto.graph.input if value.name in given]
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in fixed.items())
    expected = run(proto, given)
    declare(proto, expected)
    path = tmp_path / "spiking.onnx"
    report = onnx_snn.convert(proto, path, [given], progress=False, body="closed")
    assert {node.status for node in report.nodes} == {Status.CONVERTED}
    attended = [node.kind for node in report.nodes if node.kind not in ("function", "synapse")]
    assert attended == ["product", "softmax", "product"]
    result = onnx.load(path)
    assert {node.domain for node in result.graph.node} == {"", "onnx_snn"}
    got = run(result, given)
    for name in expected:
        assert relative_error(expected[name], got[name]) < 0.005


# --- what stays in one piece ---------------------------------------------------------------------------

KEPT: dict[str, tuple[str, dict[str, Array], str]] = {
    "scores of grouped queries": (
        """y, k2, v2, z = com.microsoft.GroupQueryAttention <num_heads = 4, kv_num_heads = 2, qk_output = 1>
            (q, k, v, , , seqlens_k, total_sequence_length)""",
        grouped("", new=4, buffer=None, lengths=[4, 4])[1],
        "GroupQueryAttention with qk_output 1",
    ),
    "packed heads": (
        "y = com.microsoft.MultiHeadAttention <num_heads = 2> (q)",
        {"q": normal(2, 4, 2, 3, 8)},
        "MultiHeadAttention with packed queries",
    ),
    "rotation in attention": (
        "y = com.microsoft.Attention <num_heads = 2, do_rotary = 1> (x, w, b)",
        PROJECTED,
        "Attention with do_rotary",
    ),
    "mask of four axes": (
        "y = com.microsoft.Attention <num_heads = 2> (x, w, b, m)",
        PROJECTED | {"m": int32(np.ones((2, 1, 8, 8)))},
        "a mask of 4 axes",
    ),
    "masked scores": (
        "y, , , z = Attention <qk_matmul_output_mode = 2, is_causal = 1> (q, k, v)",
        BHSD,
        "Attention that returns its masked scores",
    ),
    "unknown activation": (
        'y = com.microsoft.FusedGemm <activation = "Elu"> (a, b, c)',
        {"a": normal(3, 8), "b": normal(8, 5), "c": normal(5)},
        "FusedGemm with activation 'Elu'",
    ),
}


@pytest.mark.parametrize(("body", "feeds", "reason"), KEPT.values(), ids=KEPT.keys())
def test_what_cannot_be_written_out_exactly_stays_with_the_reason(
    body: str, feeds: dict[str, Array], reason: str
) -> None:
    opset = 20 if "com.microsoft" in body else 23
    proto = model(body, feeds, " ".join(body.split(" = ")[0].replace(",", "").split()), opset=opset)
    apart = ir.from_proto(proto)
    (why,) = decompose(apart).undecomposed.values()
    assert reason in why
    assert [node.name for node in apart.graph] == ["fused"]
