# SPDX-License-Identifier: Apache-2.0
"""Which sizes of tensors a model fixes, whatever it calls them."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from observed_network import feeds, network

from onnx_snn.calibration.fixed_sizes import static_axes
from onnx_snn.data.specs import Feed


def test_static_axes() -> None:
    model = network()
    assert static_axes(model, ["x", "h", "k", "scores", "w"], feeds(model).first()) == {
        "x": (None, None, 32),
        "h": (None, None, 32),
        "k": (None, 4, 8, None),
        "scores": (None, 4, None, None),
        "w": (32, 32),
    }


def static(text: str, value: str, feed: Feed) -> tuple[int | None, ...]:
    model = ir.from_proto(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}'))
    return static_axes(model, [value], feed)[value]


def test_sizes_that_the_model_fixes_are_static_though_it_calls_them_symbolic() -> None:
    weights = ", ".join(["0.5"] * 96)
    position = ", ".join(["1"] * 32)
    text = f"""main (float[batch, channels, height, width] x) => (float[batch, p, 2] y)
        <float[2, 3, 4, 4] w = {{{weights}}}, float[1, 16, 2] position = {{{position}}},
         int64[3] flat = {{0, 2, -1}}> {{
            patches = Conv<strides = [4, 4]>(x, w)
            rows = Reshape(patches, flat)
            tokens = Transpose<perm = [0, 2, 1]>(rows)
            y = Add(tokens, position)
        }}"""
    assert static(text, "tokens", {"x": np.ones((2, 3, 16, 16), np.float32)}) == (None, 16, 2)


def test_sizes_computed_from_symbols_follow_them() -> None:
    model = ir.from_proto(
        onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
            main (float[N, S, 2] x, float[N, past, 2] cache, float[N, total] mask) => (float[N, total, 2] y) {
                both = Concat<axis = 1>(cache, x)
                axes = Constant<value = int64[1] {-1}>()
                column = Unsqueeze(mask, axes)
                y = Mul(both, column)
            }""")
    )
    model.graph.inputs[2].shape = ir.Shape(["N", "past + S"])
    for past in (3, 0):
        feed = {
            "x": np.ones((1, 4, 2), np.float32),
            "cache": np.ones((1, past, 2), np.float32),
            "mask": np.ones((1, past + 4), np.float32),
        }
        assert static_axes(model, ["y", "cache"], feed) == {"y": (None, None, 2), "cache": (None, None, 2)}


def test_an_empty_cache_does_not_say_how_large_its_symbol_is() -> None:
    """A decoder that reads no cache may declare one as long as another input; it fails on nothing at all."""
    text = """main (float[N, S, 2] x, float[N, S, 2] cache) => (float[N, S, 2] y) <int64[3] same = {-1, 0, 2}> {
        y = Reshape(x, same)
    }"""
    feed = {"x": np.ones((4, 6, 2), np.float32), "cache": np.ones((4, 0, 2), np.float32)}
    assert static(text, "y", feed) == (None, None, 2)


def test_nameless_dimensions_that_must_agree_are_changed_together() -> None:
    text = "main (float[?, ?] a, float[?, ?] b) => (float[?, ?] y) { y = Add(a, b) }"
    feed = {"a": np.ones((4, 6), np.float32), "b": np.ones((4, 6), np.float32)}
    assert static(text, "y", feed) == (None, None)


def test_a_fully_static_model_has_static_axes() -> None:
    text = "main (float[2, 3] x) => (float[3, 2] y) { y = Transpose(x) }"
    assert static(text, "y", {"x": np.ones((2, 3), np.float32)}) == (3, 2)


def test_nothing_is_known_where_no_other_size_runs() -> None:
    text = """main (float[N] x) => (float[7] y) <float[7] w = {1, 2, 3, 4, 5, 6, 7}> { y = Add(x, w) }"""
    assert static(text, "y", {"x": np.ones(7, np.float32)}) == (None,)


def test_a_size_that_cannot_be_halved_is_doubled() -> None:
    """Two strides and two steps of enlargement need multiples of a power of two."""
    text = """main (float[1, 1, height, width] x) => (float[1, 1, h, w] y) <float[4] twice = {1, 1, 2, 2}> {
        small = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)
        large = Resize<mode = "nearest">(small, , twice)
        y = Add(x, large)
    }"""
    assert static(text, "y", {"x": np.ones((1, 1, 8, 10), np.float32)}) == (1, 1, None, None)


def test_sizes_of_other_feeds_are_not_fixed() -> None:
    """This network takes 3, 6 or 9 elements: half of 9 is no multiple of 3, and twice 9 is too long for its table."""
    text = """<ir_version: 8, opset_import: ["": 17]>
        main (float[1, 1, length] x) => (float[1, 1, l] y)
        <float[9] table = {1, 2, 3, 4, 5, 6, 7, 8, 9}, float[3] thrice = {1, 1, 3}, int64[1] zero = {0}> {
            small = MaxPool<kernel_shape = [3], strides = [3]>(x)
            large = Resize<mode = "nearest">(small, , thrice)
            both = Add(x, large)
            sizes = Shape<start = 2>(x)
            position = Slice(table, zero, sizes)
            y = Add(both, position)
        }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    feed, other = ({"x": np.ones((1, 1, length), np.float32)} for length in (9, 6))
    assert static_axes(model, ["y"], feed, [feed]) == {"y": (None, None, None)}
    assert static_axes(model, ["y"], feed, [feed, other]) == {"y": (1, 1, None)}
