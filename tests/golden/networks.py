# SPDX-License-Identifier: Apache-2.0
"""Small networks of every spiking operator whose outputs have the same bits on every machine.

onnxruntime sums products in an order of the machine. So every weight product here has one nonzero weight in each
column, a power of two, and no standard operator but exact ones and single roundings stands beside the spiking nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
from graphs import graph
from networks import Feeds, tokens, transformer
from numpy.typing import NDArray
from onnx import numpy_helper

SIZE = 8
CLOSED: dict[str, Any] = {"body": "closed"}
FEW_BASES: dict[str, Any] = {"fast": True, "nodes": [{"name": ".*", "neuron": "function", "bases": 8}]}


class Golden(NamedTuple):
    """A network to convert.

    Attributes:
        model: the original.
        data: feeds of its calibration.
        inputs: feeds of which the outputs are kept.
        options: options of its conversion.
        external: whether its weights are in a file of their own.
    """

    model: onnx.ModelProto
    data: list[Feeds]
    inputs: list[Feeds]
    options: dict[str, Any]
    external: bool = False


def networks() -> Iterator[tuple[str, Golden]]:
    """The networks by name."""
    yield "functions", _functions()
    yield "reduced-functions", _reduced_functions()
    yield "softmax", _of(graph("y = Softmax <axis = -1> (x)"), **CLOSED)
    yield "normalizations", _of(graph(_NORMALIZATIONS, outputs=_joined_shape(["a", "b"])), timesteps=6)
    yield "codes", _codes()
    yield "paper", _of(graph("t = Gelu(x) y = MatMul(t, weight)", initializers=weight(0)), preset="paper")
    yield "quantized", _of(graph(_QUANTIZED, initializers=f"{weight(1)}, float s = {{0.0625}}, uint8 z = {{128}}"))
    yield "float16", _half_precision()
    yield "branch", _branch()
    yield "loop", _of(graph(_LOOP), **FEW_BASES)
    yield "counting", _of(graph("t = Tanh(x) y = MatMul(t, weight)", initializers=weight(2)), meter=True, **CLOSED)
    for name, options, external in (("transformer", {"timesteps": 4}, False), ("external-data", CLOSED, True)):
        data, inputs = [tokens(16)], [tokens(4, seed=2)]
        yield name, Golden(_with_exact_weights(transformer()), data, inputs, options, external)


FUNCTIONS = (
    *("Abs", "Atan", "Elu", "Erf", "Gelu", "HardSwish", "LeakyRelu", "Mish", "Selu", "Sigmoid", "Softplus", "Softsign"),
    "Tanh",
)
_NORMALIZATIONS = """
    a = LayerNormalization <axis = -1> (x, gamma, beta)
    s = Mul (x, x) m = ReduceMean (s, last) v = Add (m, eps) r = Sqrt (v) b = Div (x, r)
    y = Concat <axis = -1> (a, b)
"""
_QUANTIZED = "q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) y = MatMul(d, weight)"
_LOOP = """
    trips = Constant <value_int = 3> ()
    y = Loop(trips, , x) <body = body (int64 i, bool go, float[N,4,8] u) => (bool on, float[N,4,8] w) {
        on = Identity(go) t = Tanh(u) w = Mul(t, two)
    }>
"""


def weight(seed: int, name: str = "weight", rows: int = SIZE, columns: int = SIZE) -> str:
    """A declaration of a weight [rows, columns], see `exact_weight`."""
    numbers = ", ".join(map(str, exact_weight(seed, (rows, columns)).reshape(-1).tolist()))
    return f"float[{rows},{columns}] {name} = {{{numbers}}}"


def exact_weight(seed: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A weight with one nonzero number in each column, a power of two of either sign."""
    random, array = np.random.default_rng(seed), np.zeros(shape, np.float32)
    for column, row in enumerate(np.resize(random.permutation(shape[0]), shape[1])):
        array[row, column] = random.choice([-1.0, 1.0]) * 2.0 ** random.integers(-1, 2)
    return array


def _with_exact_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    for seed, tensor in enumerate(model.graph.initializer):
        if tensor.name.endswith("weight"):
            rows, columns = tensor.dims
            tensor.CopyFrom(numpy_helper.from_array(exact_weight(seed, (rows, columns)), tensor.name))
    return model


def _normal(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _of(model: ir.Model, **options: Any) -> Golden:
    """A network from x [N, 4, 8], on inputs of which some lie beyond the calibrated range."""
    data, inputs = {"x": _normal(1, 32, 4, SIZE)}, {"x": 4.0 * _normal(2, 4, 4, SIZE)}
    return Golden(ir.to_proto(model), [data], [inputs], options)


def _joined(names: Sequence[str]) -> str:
    """The node that joins the values with these names, in lower case, to the output y."""
    return f"y = Concat <axis = -1> ({', '.join(names).lower()})"


def _joined_shape(names: Sequence[str]) -> str:
    return f"float[N,4,{SIZE * len(names)}] y"


def _functions() -> Golden:
    """Functions that see their arguments as they are, at ends of float32 as well."""
    nodes = " ".join(f"{operator.lower()} = {operator}(x)" for operator in FUNCTIONS)
    golden = _of(graph(f"{nodes} {_joined(FUNCTIONS)}", outputs=_joined_shape(FUNCTIONS)), **FEW_BASES)
    ends = [0.0, -0.0, 1e-45, -1e-40, 1e30, -1e30, np.inf, -np.inf]
    golden.inputs[0]["x"][0, 0] = ends
    return golden


def _reduced_functions() -> Golden:
    """Functions of mantissas and angles, by exact arithmetic around their neurons."""
    operators = {"Exp": "x", "Sin": "x", "Cos": "x", "Log": "p", "Sqrt": "p", "Reciprocal": "p"}
    nodes = " ".join(f"{operator.lower()} = {operator}({argument})" for operator, argument in operators.items())
    parts = [*operators, "square"]
    body = f"{nodes} square = Mul(x, x) {_joined(parts)}"
    model = graph(body, inputs="float[N,4,8] x, float[N,4,8] p", outputs=_joined_shape(parts))
    golden = _of(model, **FEW_BASES)
    for (feed,), seed in ((golden.data, 3), (golden.inputs, 4)):
        feed["p"] = np.exp2(np.round(16.0 * _normal(seed, *feed["x"].shape)) / 2.0).astype(np.float32)
    return golden


def _codes() -> Golden:
    """Codes of all kinds: fitted, binary, beta codes of one and of two segments, and a grid."""
    kinds: dict[str, dict[str, Any]] = {
        "fitted": {"bases": 8},
        "binary": {"octaves": [0, 2]},
        "beta": {"decay": 0.55},
        "segments": {"decay": 0.75, "increment": 1.0, "octaves": [0, 1]},
        "grid": {"step": 0.0625},
        "ungated": {"bases": 4, "gate": False},
    }
    nodes = [f"[{kind}] y{index} = MatMul(x{index}, w{index})" for index, kind in enumerate(kinds)]
    copies = [f"x{index} = Mul(x, two)" if index % 2 else f"x{index} = Neg(x)" for index in range(len(kinds))]
    outputs = [f"y{index}" for index in range(len(kinds))]
    weights = ", ".join(weight(10 + index, f"w{index}") for index in range(len(kinds)))
    body = f"{' '.join(copies)} {' '.join(nodes)} {_joined(outputs)}"
    model = graph(body, outputs=_joined_shape(outputs), initializers=weights)
    return _of(model, fast=True, nodes=[{"name": kind, **settings} for kind, settings in kinds.items()])


def _half_precision() -> Golden:
    """Spiking nodes between casts, and a product of numbers that float16 holds exactly.

    onnxruntime computes in float16 where the processor does, and in float32 without the roundings between elsewhere.
    """
    body = "a = Gelu(x) b = Softmax <axis = -1> (a) [product] c = MatMul(x, weight) y = Concat <axis = -1> (a, b, c)"
    shapes = {"inputs": f"float16[N,4,{SIZE}] x", "outputs": f"float16[N,4,{3 * SIZE}] y"}
    model = ir.to_proto(graph(body, **shapes, initializers=weight(5)))
    del model.graph.value_info[:]
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    data, inputs = ([{"x": (scale * _normal(scale, 32, 4, SIZE)).astype(np.float16)}] for scale in (1, 4))
    return Golden(model, data, inputs, {"nodes": [{"name": "product", "step": 0.0625}]})


def _branch() -> Golden:
    """Both branches of an If, each of which the data takes."""
    body = """y = If (c) <then_branch = t () => (float[N,4,8] a) { a = Tanh (x) },
        else_branch = e () => (float[N,4,8] b) { g = Gelu (x) b = Neg (g) }>"""
    golden = _of(graph(body, inputs="float[N,4,8] x, bool[1] c"), **FEW_BASES)
    data, inputs = (
        [{**feed, "c": np.array([taken])} for taken in (True, False)] for (feed,) in (golden.data, golden.inputs)
    )
    return Golden(golden.model, data, inputs, golden.options)
