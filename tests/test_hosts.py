# SPDX-License-Identifier: Apache-2.0
"""Files with spiking ops run without onnx_snn: in Python, Node.js, WebAssembly, the reference evaluator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from composites import COARSE, COMPOSITES, DEVIATION, EVERYTHING, EXP2, RECIPROCAL, RSQRT, affine, one_nan
from hosts.runner import BACKENDS, javascript_missing, run
from portable import IR_VERSION, OPSET, assert_same_bits, model_of, neuron_feeds, parameters
from strategies import critical_inputs

from onnx_snn.arrays import Float32
from onnx_snn.neurons.composite import spiking_layer_normalization, spiking_softmax
from onnx_snn.neurons.function_bodies import function_protos
from onnx_snn.neurons.mbe import UNSCALED, halving_neuron, time_loop
from onnx_snn.neurons.opset import DOMAIN, MBE_NEURON, OPERATORS, PARAMETERS, VERSION, Body, Operator

pytestmark = [pytest.mark.host, pytest.mark.slow]

every_backend = pytest.mark.parametrize("backend", BACKENDS)
every_body = pytest.mark.parametrize("body", Body)


@pytest.fixture(scope="module", autouse=True)
def javascript() -> None:
    """Fails rather than skips without the JavaScript runtimes: that files run there is a promise."""
    missing = javascript_missing()
    if missing:
        pytest.fail(missing)


@every_backend
@every_body
def test_neuron_returns_the_bits_of_numpy(backend: str, body: Body, tmp_path: Path) -> None:
    """y and spikes, on the critical inputs of a gated odd neuron: NaN keep their payload."""
    u_rest, gain, weight = [0, 0.3, 2], [0.7, -1.1, 3], [0.5, -0.75, 0.125]
    neuron = halving_neuron(u_rest, gain, weight, -0.25, 8, gate=True, polarity=1)
    x = critical_inputs(neuron, np.random.default_rng(7)).reshape(1, -1)
    scale = np.float32([[0.25], [8]])
    x = np.concatenate([x, x[:, ::-1]])
    model = model_of(MBE_NEURON, body=body, metered=True, polarity=1)
    outputs = run(backend, saved(model, tmp_path), neuron_feeds(neuron, x, scale))
    expected = time_loop(neuron, x, scale)
    assert_same_bits(outputs["y"], expected.y, "y")
    assert_same_bits(outputs["spikes"], expected.spikes, "spikes")


@every_backend
@pytest.mark.parametrize("name", ["softmax", "layer_norm_scaled", "rms_norm"])
def test_composites_return_the_bits_of_numpy(backend: str, name: str, tmp_path: Path) -> None:
    composite = COMPOSITES[name]
    x = np.random.default_rng(8).normal(0, 2, (3, 4, 33)).astype(np.float32)
    x[0, :, ::2] = np.finfo(np.float32).min
    x[1, 0] = -np.inf
    x[1, 1, :5] = np.nan
    model = model_of(composite.operator, body=Body.LOOP, metered=False, polarity=composite.polarity)
    y = run(backend, saved(model, tmp_path), composite.feeds(x))["y"]
    assert_same_bits(one_nan(y), one_nan(composite.numpy(x)), "y")


@every_backend
@pytest.mark.parametrize("name", COARSE)
def test_bodies_of_halving_neurons(backend: str, name: str, tmp_path: Path) -> None:
    composite = COARSE[name]
    x = np.random.default_rng(8).normal(0, 2, (3, 4, 33)).astype(np.float32)
    x[0, :, ::2] = np.finfo(np.float32).min
    x[1, 0] = -np.inf
    x[1, 1, :5] = np.nan
    model = halving_model(composite.operator, composite.polarity, x.shape)
    y = run(backend, saved(model, tmp_path), composite.feeds(x))["y"]
    assert_same_bits(one_nan(y), one_nan(composite.numpy(x)), "y")


@every_backend
def test_body_of_a_halving_neuron(backend: str, tmp_path: Path) -> None:
    neuron = halving_neuron([0.125, 1], [1, 1], [1, -0.5], 0, 8, gate=True, polarity=1)
    x = critical_inputs(neuron, np.random.default_rng(7))
    model = halving_model(MBE_NEURON, 1, x.shape)
    y = run(backend, saved(model, tmp_path), neuron_feeds(neuron, x))["y"]
    assert_same_bits(y, time_loop(neuron, x).y, "y")


def halving_model(operator: Operator, polarity: int, shape: tuple[int, ...]) -> onnx.ModelProto:
    """A model of one node with the closed body of neurons that guarantee everything, for x of known shape."""
    model = model_of(operator, body=Body.CLOSED, metered=False, polarity=polarity, shape=shape)
    del model.functions[:]
    functions = function_protos([operator.name], opset=OPSET, body=Body.CLOSED, guarantees=EVERYTHING)
    model.functions.extend(functions)
    return model


NETWORK = f"""
<ir_version: 9, opset_import: ["" : {OPSET}, "{DOMAIN}" : {VERSION}]>
network (int64[batch, length] tokens, float[batch, 1, length] mask)
    => (float[batch, length, 6] logits, float[batch, length, length] attention) {{
    embedded = Gather (embedding, tokens)
    normalized = {DOMAIN}.SpikingLayerNormalization <polarity: int = 1> (
        embedded, gamma, beta, epsilon, DEVIATION, unscaled, RSQRT)
    coded = {DOMAIN}.MbeNeuron <polarity: int = 1> (normalized, DEVIATION, unscaled)
    keys = Transpose <perm = [0, 2, 1]> (coded)
    scores = MatMul (coded, keys)
    masked = Add (scores, mask)
    attention = {DOMAIN}.SpikingSoftmax (masked, EXP2, RECIPROCAL)
    mixed = MatMul (attention, coded)
    logits = MatMul (mixed, head)
}}
"""
"""A layer of attention, int64 and float inputs, two outputs, free batch and length."""

NEURONS = {"DEVIATION": DEVIATION, "RSQRT": RSQRT, "EXP2": EXP2, "RECIPROCAL": RECIPROCAL}


def network_weights() -> dict[str, Float32]:
    rng = np.random.default_rng(9)
    gamma, beta = affine(16)
    return {
        "embedding": rng.normal(0, 1, (50, 16)).astype(np.float32),
        "head": rng.normal(0, 0.25, (16, 6)).astype(np.float32),
        "gamma": gamma,
        "beta": beta,
        "epsilon": np.array(1e-5, np.float32),
        "unscaled": UNSCALED,
    }


def network(body: Body) -> onnx.ModelProto:
    """`NETWORK` with its weights, neurons and functions."""
    text, constants = NETWORK, network_weights()
    for name, neuron in NEURONS.items():
        text = text.replace(name, ", ".join(f"{name}_{parameter}" for parameter in PARAMETERS))
        constants |= parameters(neuron, f"{name}_")
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(v, n) for n, v in constants.items())
    model.functions.extend(function_protos(OPERATORS, opset=OPSET, body=body))
    onnx.checker.check_model(model)
    return model


def network_in_numpy(tokens: np.ndarray, mask: Float32) -> dict[str, Float32]:
    weights = network_weights()
    embedded = weights["embedding"][tokens]
    affinity = weights["gamma"], weights["beta"], weights["epsilon"]
    coded = DEVIATION(spiking_layer_normalization(embedded, *affinity, DEVIATION, RSQRT))
    attention = spiking_softmax(coded @ coded.transpose(0, 2, 1) + mask, EXP2, RECIPROCAL)
    return {"logits": attention @ coded @ weights["head"], "attention": attention}


@every_backend
@every_body
def test_network_runs(backend: str, body: Body, tmp_path: Path) -> None:
    """Attention: the native MatMul sums in the order of its runtime.

    16 products of magnitude 10 leave scores uncertain by 1e-5, and a level of its neurons is 2**-23:
    outputs of magnitude 1 agree to a few 1e-5.
    """
    rng = np.random.default_rng(10)
    path = saved(network(body), tmp_path)
    for batch, length in ((1, 1), (2, 7)):
        mask = np.where(rng.random((batch, 1, length)) < 0.3, np.float32(-1e4), np.float32(0))
        feeds = {"tokens": rng.integers(0, 50, (batch, length)), "mask": mask}
        outputs, expected = run(backend, path, feeds), network_in_numpy(**feeds)
        assert set(outputs) == {"logits", "attention"}
        for name, value in expected.items():
            np.testing.assert_allclose(outputs[name], value, rtol=0, atol=5e-5, err_msg=name)


@every_backend
def test_every_tensor_type_passes(backend: str, tmp_path: Path) -> None:
    """The runners themselves: types, shapes and names arrive as they were sent."""
    types = ("float32", "int64", "int32", "bool", "uint8", "float64")
    feeds = {f"in/{name}": np.array([[0, 1, 1]]).astype(name) for name in types}
    feeds["in/int64"] = np.array([[2**62 + 1, -(2**63), 0]])
    feeds["in/float32"] = np.zeros((0, 2), np.float32)
    results = run(backend, saved(identity_of(feeds), tmp_path), feeds)
    for name, value in feeds.items():
        assert_same_bits(results[f"{name}/copy"], value, name)


def identity_of(feeds: dict[str, np.ndarray]) -> onnx.ModelProto:
    """A model that copies every input to an output."""

    def value(name: str, like: np.ndarray) -> onnx.ValueInfoProto:
        dtype = onnx.helper.np_dtype_to_tensor_dtype(like.dtype)
        return onnx.helper.make_tensor_value_info(name, dtype, [None, None])

    nodes = [onnx.helper.make_node("Identity", [name], [f"{name}/copy"]) for name in feeds]
    inputs = [value(name, like) for name, like in feeds.items()]
    outputs = [value(f"{name}/copy", like) for name, like in feeds.items()]
    graph = onnx.helper.make_graph(nodes, "identity", inputs, outputs)
    imports = [onnx.helper.make_opsetid("", OPSET)]
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)


@every_backend
def test_failure_is_reported(backend: str, tmp_path: Path) -> None:
    """A model without its functions cannot run; the runner says so with the runtime's words."""
    model = model_of(MBE_NEURON, body=Body.LOOP, metered=False)
    del model.functions[:]
    neuron = halving_neuron([0], [1], [1], 0, 4)
    with pytest.raises(RuntimeError, match="MbeNeuron"):
        run(backend, saved(model, tmp_path), neuron_feeds(neuron, np.float32([1])))


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path
