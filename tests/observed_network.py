# SPDX-License-Identifier: Apache-2.0
"""A network with every place that calibration may observe, and its inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnx_ir as ir

from onnx_snn.calibration.channel_histogram import ChannelHistogram
from onnx_snn.calibration.signed_histogram import SignedHistogram
from onnx_snn.calibration.statistics import Calibration, Observation
from onnx_snn.data.feeds import Feeds, open_feeds
from onnx_snn.data.specs import input_specs

NETWORK = """<ir_version: 8, opset_import: ["": 17]>
    main (float[batch, length, 32] x, bool flag) => (float[batch, length, 32] y) <float[32, 32] w> {
        h = MatMul(x, w)
        heads = Constant<value = int64[4] {0, 0, 4, 8}>()
        split = Reshape(h, heads)
        k = Transpose<perm = [0, 2, 3, 1]>(split)
        q = Transpose<perm = [0, 2, 1, 3]>(split)
        scores = MatMul(q, k)
        root = Sqrt(h)
        size = Shape(h)
        twice = Constant<value = int64 {2}>()
        last = Loop(twice, , h) <body = body (int64 i, bool go, float[batch, length, 32] u)
            => (bool on, float[batch, length, 32] v) { on = Identity(go) step = Relu(u) v = Neg(step) }>
        y = If(flag) <
            then_branch = yes () => (float[batch, length, 32] a) { inner = Relu(h) a = Neg(inner) },
            else_branch = no () => (float[batch, length, 32] b) { b = Relu(h) }
        >
    }"""
WEIGHTS = np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32)


def feeds(model: ir.Model, samples: int = 10) -> Feeds:
    rng = np.random.default_rng(1)
    data = [
        {"x": rng.standard_normal((size, 5, 32)).astype(np.float32), "flag": np.array(True)}
        for size in (4,) * (samples // 4) + (samples % 4,)
    ]
    return open_feeds(data, input_specs(model))


def network() -> ir.Model:
    proto = onnx.parser.parse_model(NETWORK)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(WEIGHTS, "w"))
    return ir.from_proto(proto)


OBSERVATIONS = [
    Observation("x"),
    Observation("h", (2,)),
    Observation("k", (1, 2)),
    Observation("k", (1,)),
    Observation("scores"),
    Observation("y", (-1,)),
]


def assert_same(a: Calibration, b: Calibration) -> None:
    assert (a.samples, a.shapes) == (b.samples, b.shapes)
    pairs: Iterator[tuple[SignedHistogram | ChannelHistogram, SignedHistogram | ChannelHistogram]]
    assert list(a.signed) == list(b.signed)
    assert list(a.channels) == list(b.channels)
    pairs = zip([*a.signed.values(), *a.channels.values()], [*b.signed.values(), *b.channels.values()], strict=True)
    for one, other in pairs:
        for name, array in one.to_arrays().items():
            np.testing.assert_array_equal(array, other.to_arrays()[name], err_msg=name)
