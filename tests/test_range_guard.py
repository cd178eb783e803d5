# SPDX-License-Identifier: Apache-2.0
"""The range guard: elements beyond the range of each neuron, counted alike wherever a file runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import graph
from guarded_networks import X, beyond, guarded_files, outputs
from hosts.runner import run as run_in_host
from networks import normal
from portable import OPSET, assert_same_bits, session_of

import onnx_snn
from onnx_snn import ConfigError
from onnx_snn.evaluation.range_guard import Guard, add_guard, guard_of, load_unguarded, range_of
from onnx_snn.graph.counted_totals import Totals
from onnx_snn.graph.map_types import to_proto
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.neurons import functions
from onnx_snn.neurons.argument_range import UNLIMITED
from onnx_snn.neurons.function_bodies import function_protos, guard_protos
from onnx_snn.neurons.mbe import MbeNeuron, halving_neuron
from onnx_snn.neurons.opset import DOMAIN, GUARDED, GUARDED_VERSION, OPERATORS, PARAMETERS


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return guarded_files(tmp_path_factory.mktemp("guard"))


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1, 10, 1000])
def test_counts_and_outputs_are_the_same_everywhere(files: dict[str, Path], factor: int) -> None:
    feeds = {"x": X["x"] * np.float32(factor)}
    guard = guard_of(load_model(files["guarded"]))
    assert guard is not None
    assert not guard.unguarded
    by_kernels, by_functions = (outputs(files["guarded"], feeds, kernels) for kernels in (True, False))
    for name, array in outputs(files["plain"], feeds).items():
        assert_same_bits(by_kernels[name], array, name)
    for name, array in by_kernels.items():
        assert_same_bits(by_functions[name], array, name)
    counts = dict(zip(guard.nodes, by_kernels[guard.output], strict=True))
    assert counts["x/code"] == beyond(files["plain"], "x/code", feeds["x"])
    assert any(counts.values()) == (factor > 1)


@pytest.mark.host
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["node", "web"])
def test_any_runtime_counts_the_same(backend: str, files: dict[str, Path]) -> None:
    feeds = {"x": X["x"] * np.float32(10)}
    found = run_in_host(backend, files["guarded"], feeds)["saturated"]
    assert found.tolist() == outputs(files["guarded"], feeds)["saturated"].tolist()
    assert found.any()


OPTIONS: dict[str, dict[str, Any]] = {
    "two time steps": {"timesteps": 2},
    "sixteen": {"timesteps": 16},
    "ungated": {"gate": False},
    "paper": {"preset": "paper", "timesteps": 4},
}


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_kind_of_neuron_is_guarded(options: dict[str, Any], files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "guarded.onnx"
    report = onnx_snn.convert(files["original"], path, X, guard=True, fast=True, progress=False, **options)
    assert report.guard is not None
    assert "x/code" in report.guard.nodes
    assert not report.guard.unguarded
    assert report.guard.text() in " ".join(report.text().split())
    feeds = {"x": X["x"] * np.float32(50)}
    by_kernels, by_functions = (outputs(path, feeds, kernels)[report.guard.output] for kernels in (True, False))
    assert by_kernels.tolist() == by_functions.tolist()
    assert by_kernels[report.guard.nodes.index("x/code")] == beyond(path, "x/code", feeds["x"]) > 0


def _guarded_model(op_type: str, polarity: int) -> onnx.ModelProto:
    """One guarded node whose inputs are the graph's."""
    names = [*OPERATORS[op_type].inputs, "range"]
    node = onnx.helper.make_node(GUARDED[op_type], names, ["y", "saturated"], domain=DOMAIN, polarity=polarity)
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in (*names, "y")]
    counts = onnx.helper.make_tensor_value_info("saturated", onnx.TensorProto.INT64, None)
    graph = onnx.helper.make_graph([node], "guarded", values[:-1], [values[-1], counts])
    functions = [*function_protos([op_type], opset=OPSET), *guard_protos([op_type], opset=OPSET)]
    for function in functions:
        next(entry for entry in function.opset_import if entry.domain == DOMAIN).version = GUARDED_VERSION
    imports = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, GUARDED_VERSION)]
    return onnx.helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=9)


X_OF_SHAPES = {
    "scalar": (np.array(3, np.float32), np.ones(1, np.float32)),
    "empty": (np.zeros((0, 4), np.float32), np.ones(1, np.float32)),
    "rows": (normal(33, 40), np.exp2(np.arange(40) % 3).astype(np.float32)),
    "long rows": (normal(3, 5000), np.exp2(np.arange(5000) % 4).astype(np.float32)),
    "channels": (normal(2, 3, 50), np.array([[1], [2], [0.5]], np.float32)),
    "no power of two": (normal(7, 9), np.full(1, 0.7, np.float32)),
    "not finite": (np.array([np.nan, np.inf, -np.inf, 3, -3, 0, 1e-45], np.float32), np.ones(1, np.float32)),
}
RANGES = [(-1.0, 1.0), (-np.inf, 0.5), (-0.25, 2.0), (-0.5, np.inf), (-np.inf, np.inf)]


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "functions"])
def test_the_count_of_a_neuron_is_that_of_its_definition(kernels: bool) -> None:
    neuron = halving_neuron([-2.0, 0.5], [0.5, 0.25], [1.0, 2.0], 0.0, 4)
    session = session_of(_guarded_model("MbeNeuron", 0), kernels=kernels)
    parameters = {name: getattr(neuron, name) for name in PARAMETERS}
    for what, (x, scale) in X_OF_SHAPES.items():
        for ends in np.array(RANGES, np.float32):
            y, count = session.run(None, {"x": x, **parameters, "scale": scale, "range": ends})
            assert_same_bits(y, neuron(x, scale), what)
            assert count.tolist() == [int(((x < ends[0] * scale) | (x > ends[1] * scale)).sum())], (what, ends)


@pytest.mark.parametrize("op_type", ["SpikingLayerNormalization", "SpikingRMSNormalization"])
def test_normalizations_count_the_deviations(op_type: str) -> None:
    code = halving_neuron([0.0], [0.5], [4.0], 0.0, 4, polarity=1)
    rsqrt = halving_neuron([0.5], [1.0], [-0.5], 1.5, 4)
    x, ends = normal(9, 7, 21) + np.float32(1), np.array([-1.0, 1.0], np.float32)
    feeds = {"x": x, "gamma": np.ones(21, np.float32), "epsilon": np.array(1e-5, np.float32), "range": ends}
    feeds |= {"beta": np.zeros(21, np.float32)} if op_type == "SpikingLayerNormalization" else {}
    for prefix, neuron in (("deviation_", code), ("rsqrt_", rsqrt)):
        feeds |= {prefix + name: getattr(neuron, name) for name in PARAMETERS}
    feeds["deviation_scale"] = np.exp2(np.arange(21) % 2).astype(np.float32)
    model = _guarded_model(op_type, 1)
    by_kernels, by_functions = (session_of(model, kernels=kernels).run(None, feeds) for kernels in (True, False))
    mean = x.mean(axis=-1, keepdims=True, dtype=np.float64).astype(np.float32) if "beta" in feeds else np.float32(0)
    expected = int((np.abs(x - mean) > feeds["deviation_scale"]).sum())
    assert by_kernels[1].tolist() == by_functions[1].tolist() == [expected]
    assert_same_bits(by_kernels[0], by_functions[0], op_type)


COUNTS = """
    at = Constant <value = int64[1] {1}> ()
    shape = Shape (x)
    n = Gather <axis = 0> (shape, at)
    largest = ReduceMax <keepdims = 0> (x)
    nothing = Sub (largest, largest)
    taken = Greater (largest, nothing)
    trips = Constant <value = int64 {3}> ()
    go = Constant <value = bool {1}> ()
    y = If (taken) <
        then_branch = a () => (float[] ya) { ya = Identity (x) of_then = Identity (n) },
        else_branch = b () => (float[] yb) {
            yb = Loop (trips, go, x) <body = body (int64 i, bool before, float[] xi) => (bool after, float[] xo) {
                after = Identity (before) xo = Neg (xi) of_body = Add (n, at)
            }>
        }>
"""


@pytest.mark.parametrize(("x", "expected"), [(1.0, [4, 0, 4]), (-1.0, [0, 15, 4])], ids=["then", "else"])
def test_counts_leave_branches_and_loops(x: float, expected: list[int]) -> None:
    """Those of a branch that is not taken are 0, those of a body are summed over its iterations."""
    model = graph(COUNTS)
    values = {value.name: value for node in model.graph.all_nodes() for value in node.outputs}
    counts = [values[name] for name in ("of_then", "of_body", "n")]
    for count in counts:
        count.dtype, count.shape = ir.DataType.INT64, ir.Shape([1])
    total, order = Totals(model, UniqueNames.of(model)).joined(counts, "total")
    model.graph.outputs.append(total)
    session = session_of(to_proto(model))
    found = session.run(["total"], {"x": np.full((1, 4, 8), x, np.float32)})[0]
    by_name = {str(count.name): number for count, number in zip(order, found.tolist(), strict=True)}
    assert [by_name[name] for name in ("of_then", "of_body", "n")] == expected


NESTED = {
    "loop": (
        "trips = Constant <value = int64 {3}> () go = Constant <value = bool {1}> () y = Loop (trips, go, x) <"
        "body = body (int64 i, bool before, float[N,4,8] xi) => (bool after, float[N,4,8] xo) "
        "{ after = Identity (before) xo = Gelu (xi) }>"
    ),
    "branch": (
        "largest = ReduceMax <keepdims = 0> (x) taken = Greater (largest, one) y = If (taken) <"
        "then_branch = a () => (float[N,4,8] ya) { ya = Gelu (x) }, "
        "else_branch = b () => (float[N,4,8] yb) { yb = Neg (x) }>"
    ),
}


@pytest.mark.parametrize("body", NESTED.values(), ids=NESTED)
def test_neurons_in_subgraphs_are_guarded(body: str, tmp_path: Path) -> None:
    path = tmp_path / "guarded.onnx"
    data = {"x": np.clip(normal(8, 4, 8), -2, 2)}
    report = onnx_snn.convert(graph(body), path, data, guard=True, fast=True, progress=False)
    assert report.guard is not None
    assert len(report.guard.nodes) == 1
    far, silent = {"x": np.abs(data["x"]) + 100}, {"x": -np.abs(data["x"])}
    by_kernels, by_functions = (outputs(path, far, kernels)[report.guard.output] for kernels in (True, False))
    assert by_kernels.tolist() == by_functions.tolist()
    assert by_kernels[0] >= far["x"].size
    assert [outputs(path, feeds)[report.guard.output].tolist() for feeds in (data, silent)] == [[0], [0]]


def _resolving(function: str, lowest: float, highest: float) -> MbeNeuron:
    """A neuron of 16 ramps of `function` from `lowest` to `highest`."""
    knots = np.linspace(lowest, highest, 17)
    exact = functions.get(function).formula(knots)
    weight = np.round(np.diff(exact) * 2**10) / 2**11
    gain = np.full(16, 32 / (highest - lowest))
    return halving_neuron(knots[:-1], gain, weight, np.round(exact[0] * 2**10) / 2**10, 6)


def test_a_function_has_no_end_where_it_is_flat() -> None:
    neuron = _resolving("gelu", -4.0, 4.0)
    assert range_of(neuron, "gelu", is_code=False) == (-np.inf, pytest.approx(4.0, abs=0.05))
    assert range_of(neuron, "gelu", is_code=True) == pytest.approx((-4.0, 4.0), abs=0.05), "a code has two ends"
    assert range_of(_resolving("tanh", -8.0, 8.0), "tanh", is_code=False) == UNLIMITED
    assert range_of(_resolving("tanh", -1.0, 1.0), "tanh", is_code=False) == pytest.approx((-1.0, 1.0), abs=0.05)
    assert range_of(neuron, "exp2", is_code=False) == UNLIMITED, "mantissas are never beyond"
    assert "not registered" in str(range_of(neuron, "unheard_of", is_code=False))


def test_the_guard_can_be_removed(files: dict[str, Path]) -> None:
    plain, restored = load_model(files["plain"]), load_unguarded(files["guarded"])
    described = [
        ([node.op_type for node in model.graph], [output.name for output in model.graph.outputs], set(model.functions))
        for model in (plain, restored)
    ]
    assert described[0] == described[1]
    assert restored.graph.opset_imports[DOMAIN] == plain.graph.opset_imports[DOMAIN] == 1
    assert add_guard(restored).nodes == guard_of(load_model(files["guarded"])).nodes  # type: ignore[union-attr]


def test_the_output_gets_an_unused_name(tmp_path: Path) -> None:
    model = ir.serde.deserialize_model(networks.classifier())
    named = next(node for node in model.graph if node.outputs[0] in model.graph.outputs).outputs[0]
    named.name = "saturated"
    report = onnx_snn.convert(model, tmp_path / "s.onnx", X, guard=True, fast=True, progress=False)
    assert report.guard is not None
    assert report.guard.output == "saturated_1"


def test_options_that_contradict_the_guard() -> None:
    with pytest.raises(ConfigError, match="meter and guard are both true; choose one"):
        onnx_snn.ConvertConfig(meter=True, guard=True)
    with pytest.raises(ConfigError, match="guard is 1; expected true or false"):
        onnx_snn.ConvertConfig(guard=1)  # type: ignore[arg-type]
    assert onnx_snn.ConvertConfig.from_json({"guard": True}).to_json()["guard"] is True
    assert "guard" not in onnx_snn.ConvertConfig().to_json()
    assert "no node can exceed" in Guard().text()
