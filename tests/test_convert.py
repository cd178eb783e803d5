# SPDX-License-Identifier: Apache-2.0
"""Conversion of small networks: all is found, nothing else is touched, and the result stays close."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import graph
from networks import Feeds, normal, relative_error, run, spiking_nodes, tokens
from onnxruntime.quantization import CalibrationDataReader

import onnx_snn
from onnx_snn import CalibrationError, ConfigError, ConversionReport, ModelError, OutputError, Status
from onnx_snn.conversion import calibrated_sites
from onnx_snn.graph import model_writer

X: Feeds = {"x": normal(8, 4, 8)}
WEIGHT = "float[8,8] weight = {" + ", ".join(str(i % 9 - 4) for i in range(64)) + "}"


def converted(
    model: str | Path | ir.Model | onnx.ModelProto, folder: Path, data: Any = X, **options: Any
) -> tuple[Path, ConversionReport]:
    """A conversion with closed bodies into `folder`, and its report."""
    path = folder / "spiking.onnx"
    return path, onnx_snn.convert(model, path, data, **{"body": "closed", **options})


def statuses(report: ConversionReport) -> dict[str, Status]:
    return {node.name: node.status for node in report.nodes}


def as_written(node: onnx.NodeProto) -> bytes:
    """`node` in its canonical form: some writers spell out that the domain is empty."""
    canonical = onnx.NodeProto()
    canonical.CopyFrom(node)
    if not node.domain:
        canonical.ClearField("domain")
    return canonical.SerializeToString(deterministic=True)


# --- a Transformer -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def original() -> onnx.ModelProto:
    return networks.transformer()


@pytest.fixture(scope="module")
def spiking(original: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ConversionReport]:
    return converted(original, tmp_path_factory.mktemp("transformer"), tokens())


def test_all_of_a_transformer_is_converted(spiking: tuple[Path, ConversionReport]) -> None:
    everything = [*networks.NONLINEAR, *networks.SYNAPSES]
    assert statuses(spiking[1]) == dict.fromkeys(everything, Status.CONVERTED)


def test_interface_metadata_and_weights_stay(original: onnx.ModelProto, spiking: tuple[Path, ConversionReport]) -> None:
    result = onnx.load(spiking[0])
    assert list(result.graph.input) == list(original.graph.input)
    assert list(result.graph.output) == list(original.graph.output)
    for field in ("producer_name", "producer_version", "doc_string", "ir_version", "domain", "model_version"):
        assert getattr(result, field) == getattr(original, field), field
    assert result.graph.name == original.graph.name
    assert original.opset_import[0] in result.opset_import
    assert {entry.key: entry.value for entry in result.metadata_props}["origin"] == "a test"
    weights = {tensor.name: tensor for tensor in result.graph.initializer}
    for tensor in original.graph.initializer:
        assert weights[tensor.name] == tensor


def test_nodes_outside_the_sites_stay(original: onnx.ModelProto, spiking: tuple[Path, ConversionReport]) -> None:
    sites = [*networks.NONLINEAR, *networks.SYNAPSES]
    untouched = [as_written(node) for node in original.graph.node if node.name not in sites]
    nodes = [as_written(node) for node in onnx.load(spiking[0]).graph.node]
    assert len(untouched) == len(original.graph.node) - len(sites)
    assert [node for node in nodes if node in untouched] == untouched


@pytest.mark.parametrize(("samples", "length"), [(1, 1), (3, 6), (2, 17)])
def test_it_runs_on_other_batch_sizes_and_lengths(
    samples: int, length: int, original: onnx.ModelProto, spiking: tuple[Path, ConversionReport]
) -> None:
    feeds = tokens(samples, length, seed=samples)
    assert relative_error(run(original, feeds)["logits"], run(spiking[0], feeds)["logits"]) < 0.01


def test_a_tensor_that_several_nodes_read_is_coded_once(spiking: tuple[Path, ConversionReport]) -> None:
    nodes = onnx.load(spiking[0]).graph.node
    (code,) = [node for node in nodes if node.op_type == "MbeNeuron" and node.input[0] == "normed"]
    readers = [node.name for node in nodes if code.output[0] in node.input]
    assert readers == ["query", "key", "value"]


def test_both_normalizations_keep_the_parameters_that_they_share(
    spiking: tuple[Path, ConversionReport],
) -> None:
    norms = [node for node in spiking_nodes(spiking[0]) if node.op_type == "SpikingLayerNormalization"]
    assert [list(node.input[1:3]) for node in norms] == [["gamma", "beta"]] * 2


def test_the_reported_error_is_that_of_the_calibration_data(
    original: onnx.ModelProto, spiking: tuple[Path, ConversionReport]
) -> None:
    (output,) = spiking[1].outputs
    expected, got = run(original, tokens())["logits"], run(spiking[0], tokens())["logits"]
    assert output.relative_error == pytest.approx(relative_error(expected, got), rel=1e-3)
    assert output.maximum_error == pytest.approx(np.abs(got - expected).max(), rel=1e-3)
    assert output.agreement == (expected.argmax(axis=-1) == got.argmax(axis=-1)).mean()


@pytest.mark.slow
def test_scope_nonlinear_leaves_the_weight_products(original: onnx.ModelProto, tmp_path: Path) -> None:
    path, report = converted(original, tmp_path, tokens(), scope="nonlinear")
    expected = dict.fromkeys(networks.NONLINEAR, Status.CONVERTED)
    assert statuses(report) == expected | dict.fromkeys(networks.SYNAPSES, Status.KEPT)
    nodes = [as_written(node) for node in onnx.load(path).graph.node]
    assert all(as_written(node) in nodes for node in original.graph.node if node.name in networks.SYNAPSES)


def test_loop_and_closed_bodies_give_the_same_bits(
    original: onnx.ModelProto, spiking: tuple[Path, ConversionReport], tmp_path: Path
) -> None:
    path, _ = converted(original, tmp_path, tokens(), body="loop")
    feeds = tokens(2, 5, seed=3)
    assert run(path, feeds)["logits"].tobytes() == run(spiking[0], feeds)["logits"].tobytes()


@pytest.mark.slow
def test_the_same_conversion_gives_the_same_bytes(
    original: onnx.ModelProto, spiking: tuple[Path, ConversionReport], tmp_path: Path
) -> None:
    path, _ = converted(original, tmp_path, tokens())
    assert path.read_bytes() == spiking[0].read_bytes()


def test_a_spiking_network_is_not_converted_again(spiking: tuple[Path, ConversionReport], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a spiking network already; convert the original"):
        onnx_snn.convert(spiking[0], tmp_path / "twice.onnx", tokens())
    assert list(tmp_path.iterdir()) == []


# --- every site ----------------------------------------------------------------------------------

RMS_NORM = "s = Mul (x, x) m = ReduceMean (s, last) v = Add (m, eps) r = Sqrt (v) y = Div (x, r)"

SITES = {
    "function": "y = Gelu (x)",
    "softmax": "y = Softmax <axis = -1> (x)",
    "softmax over the middle axis": "y = Softmax <axis = -2> (x)",
    "softmax over the first axis": "y = Softmax <axis = 0> (x)",
    "layer normalization": "y = LayerNormalization <axis = -1> (x, gamma, beta)",
    "layer normalization without shift": "y = LayerNormalization <axis = -1> (x, gamma)",
    "RMS normalization": RMS_NORM,
    "square": "y = Mul (x, x)",
    "product": "t = Transpose <perm = [0, 2, 1]> (x) u = MatMul (x, t) y = MatMul (u, x)",
    "two functions of one tensor": "g = Gelu (x) t = Tanh (x) y = Add (g, t)",
    "function of a function": "g = Gelu (x) y = Sigmoid (g)",
    "function whose input is coded": "t = Tanh (x) p = Mul (t, t) y = Mul (p, t)",
}


@pytest.mark.parametrize("body", SITES.values(), ids=SITES.keys())
def test_every_kind_of_site_stays_close_and_keeps_its_output_name(body: str, tmp_path: Path) -> None:
    model = graph(body)
    path, report = converted(model, tmp_path)
    assert {node.status for node in report.nodes} == {Status.CONVERTED}
    feeds = {"x": normal(3, 4, 8, seed=5)}
    assert relative_error(run(model, feeds)["y"], run(path, feeds)["y"]) < 0.005


def test_each_operand_of_a_matrix_squared_has_its_own_code(tmp_path: Path) -> None:
    square = graph("y = MatMul (x, x)", inputs="float[N,4,4] x", outputs="float[N,4,4] y")
    # The left operand is scaled by columns, the right one by rows.
    uneven = normal(8, 4, 4) * np.array([1, 4, 16, 64], np.float32)
    path, _ = converted(square, tmp_path, {"x": uneven})
    (product,) = [node for node in onnx.load(path).graph.node if node.op_type == "MatMul"]
    left, right = spiking_nodes(path)
    assert {left.output[0], right.output[0]} == set(product.input)
    assert relative_error(run(square, {"x": uneven})["y"], run(path, {"x": uneven})["y"]) < 0.005


@pytest.mark.slow
@pytest.mark.parametrize("timesteps", range(1, 17))
def test_every_number_of_time_steps_is_as_exact_as_it_promises(timesteps: int, tmp_path: Path) -> None:
    model = networks.classifier()
    path, report = converted(model, tmp_path, {"x": normal(64, 8)}, timesteps=timesteps, lean=False)
    assert report.config.timesteps == timesteps
    feeds = {"x": normal(64, 8, seed=2)}
    error = relative_error(run(model, feeds)["scores"], run(path, feeds)["scores"])
    assert error < max(0.25 * 2.0**-timesteps, 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("timesteps", [4, 8, 16])
def test_lean_neurons_fire_less_and_err_by_less_than_a_hundredth(timesteps: int, tmp_path: Path) -> None:
    model = networks.classifier()
    spikes = {}
    for lean in (False, True):
        path, report = converted(model, tmp_path, {"x": normal(64, 8)}, timesteps=timesteps, lean=lean)
        spikes[lean] = sum(sum(node.spikes.values()) for node in report.nodes)
    feeds = {"x": normal(64, 8, seed=2)}
    assert relative_error(run(model, feeds)["scores"], run(path, feeds)["scores"]) < max(0.01, 0.25 * 2.0**-timesteps)
    assert spikes[True] <= spikes[False]


@pytest.mark.slow
def test_lean_neurons_that_lose_too_much_are_fitted_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    deep = " ".join(f"h{n + 1} = MatMul (h{n}, weight)" for n in range(12))
    model = graph(f"h0 = Gelu (x) {deep} y = MatMul (h12, weight)", initializers=WEIGHT)
    with caplog.at_level(logging.INFO, logger="onnx_snn.conversion.stopwatch"):
        path, _ = converted(model, tmp_path, timesteps=8)
    assert [record.message for record in caplog.records].count("fit") > 1
    assert relative_error(run(model, X)["y"], run(path, X)["y"]) < 5e-3


@pytest.mark.slow
def test_lean_is_the_default_of_eight_time_steps_alone(tmp_path: Path) -> None:
    model, data = networks.classifier(), {"x": normal(64, 8)}
    for timesteps, default in ((8, True), (4, False), (16, False)):
        path, _ = converted(model, tmp_path, data, timesteps=timesteps)
        chosen = path.read_bytes()
        path, _ = converted(model, tmp_path, data, timesteps=timesteps, lean=default)
        assert onnx.load(path).graph == onnx.load_from_string(chosen).graph


def test_preset_paper_takes_its_neurons(tmp_path: Path) -> None:
    model = networks.classifier()
    path, report = converted(model, tmp_path, {"x": normal(64, 8)}, preset="paper", timesteps=16, body="loop")
    assert {node.name: node.slots for node in report.nodes} == {
        "first": 8 * 16,
        "gelu": 4 * 16,
        "second": 8 * 16,
    }
    feeds = {"x": normal(16, 8, seed=2)}
    assert relative_error(run(model, feeds)["scores"], run(path, feeds)["scores"]) < 0.05


# --- what stays ----------------------------------------------------------------------------------

BRANCHES = """
    g = Gelu (x)
    sum = ReduceSum <keepdims = 0> (g)
    positive = Greater (sum, zero)
    y = If (positive) <
        then_branch = yes () => (float[N,4,8] a) { a = Gelu (x) },
        else_branch = no () => (float[N,4,8] b) { t = Tanh (g) b = MatMul (t, weight) }
    >
"""


@pytest.mark.slow
def test_what_lies_in_branches_is_converted_where_it_lies(tmp_path: Path) -> None:
    model = graph(BRANCHES, initializers=WEIGHT)
    both = [{"x": sign * np.abs(X["x"])} for sign in (1, -1)]
    path, report = converted(model, tmp_path, both)
    assert statuses(report) == dict.fromkeys("gatb", Status.CONVERTED)
    assert all(node.sqnr_db is not None and node.sqnr_db > 40 for node in report.nodes)
    (choice,) = (node for node in onnx.load(path).graph.node if node.op_type == "If")
    spiking = {a.name: [node.op_type for node in a.g.node if node.domain == "onnx_snn"] for a in choice.attribute}
    assert spiking == {"then_branch": ["MbeNeuron"], "else_branch": ["MbeNeuron"] * 2}
    for feeds in both:
        assert relative_error(run(model, feeds)["y"], run(path, feeds)["y"]) < 0.005


def test_a_branch_that_the_data_does_not_take_is_refused_and_runs_as_before(tmp_path: Path) -> None:
    model = graph(BRANCHES, initializers=WEIGHT)
    path, report = converted(model, tmp_path)
    refused = {node.name: node.reason for node in report.nodes if node.status is Status.REFUSED}
    reason = "lies in else_branch of the node 'y', which no calibration sample takes"
    assert refused == dict.fromkeys("tb", reason)
    feeds = {"x": -X["x"]}
    assert relative_error(run(model, feeds)["y"], run(path, feeds)["y"]) < 0.02


REFUSED = {
    "in a branch never taken": (
        """zeros = Sub (x, x) any = ReduceMax <keepdims = 0> (zeros) c = Cast <to = 9> (any) y = If (c) <
            then_branch = yes () => (float[N,4,8] a) { a = Gelu (x) },
            else_branch = no () => (float[N,4,8] b) { b = Neg (x) } >""",
        "lies in then_branch of the node 'y', which no calibration sample takes",
    ),
    "in a loop": (
        """n = Constant <value_int = 2> () y = Loop (n, , x) <
            body = b (int64 i, bool go, float[N,4,8] v) => (bool on, float[N,4,8] w) {
                on = Identity (go) w = Gelu (v)
            } >""",
        "lies in the body of the Loop 'y', which runs many times",
    ),
    "normalization over two axes": (
        "y = LayerNormalization <axis = -2> (x, scale)",
        "it normalizes from axis -2 on; only the last axis",
    ),
    "softmax of unknown rank": (
        "r = Reshape (x, shape) p = Softmax <axis = 1> (r) y = Reshape (p, shape)",
        "the rank of its input is unknown",
    ),
    "NaN": ("n = Log (x) y = Gelu (n)", "calibration saw [0-9]+ NaN"),
    "vanishing values": (
        "c = Constant <value_float = 1e-20> () v = Mul (x, c) y = Gelu (v)",
        "calibration saw values from -.*e-20 to .*e-20",
    ),
    "other operator": ("y = Det (x)", "no rule matches Det"),
}
INITIALIZERS = ", ".join([WEIGHT, "int64[3] shape = {-1, 4, 8}", "float[4,8] scale = {" + ", ".join(["1"] * 32) + "}"])


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_where_nothing_can_be_converted_the_error_says_why(body: str, reason: str, tmp_path: Path) -> None:
    outputs = "float[N] y" if "Det" in body else "float[N,4,8] y"
    inputs = "float[N,4,4] x" if "Det" in body else "float[N,4,8] x"
    model = graph(body, inputs=inputs, outputs=outputs, initializers=INITIALIZERS)
    with pytest.raises(ModelError, match=f"nothing can be converted: .*{reason}"):
        converted(model, tmp_path, {"x": X["x"][..., : 4 if "Det" in body else 8]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["double"])
def test_other_floats_are_refused(dtype: str, tmp_path: Path) -> None:
    model = graph("y = Tanh (x)", inputs=f"{dtype}[N,4,8] x", outputs=f"{dtype}[N,4,8] y")
    with pytest.raises(ModelError, match="spiking ops take FLOAT, FLOAT16 and BFLOAT16"):
        converted(model, tmp_path, {"x": X["x"].astype(dtype)})


@pytest.mark.slow
def test_strict_makes_an_error_of_a_refusal(tmp_path: Path) -> None:
    model = graph("g = Gelu (x) y = Log (g)")
    assert statuses(converted(model, tmp_path)[1]) == {"g": Status.CONVERTED, "y": Status.REFUSED}
    with pytest.raises(ModelError, match="strict, but not converted: y: no rule matches Log"):
        converted(model, tmp_path, strict=True)


def test_strict_accepts_what_the_user_keeps(tmp_path: Path) -> None:
    _, report = converted(graph("g = Gelu (x) y = Tanh (g)"), tmp_path, strict=True, exclude="y")
    assert statuses(report) == {"g": Status.CONVERTED, "y": Status.KEPT}


def test_an_operator_that_cannot_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"knows no operator acme\.Mystery; convert the model without it"):
        converted(graph("h = acme.Mystery (x) y = Gelu (h)"), tmp_path)


def test_a_dry_run_needs_no_data_and_writes_nothing(original: onnx.ModelProto, tmp_path: Path) -> None:
    report = onnx_snn.convert(original, tmp_path / "out.onnx", dry_run=True, exclude="gelu")
    everything = [*networks.NONLINEAR, *networks.SYNAPSES]
    assert statuses(report) == dict.fromkeys(everything, Status.CONVERTED) | {"gelu": Status.KEPT}
    assert report.output is None
    assert list(tmp_path.iterdir()) == []


# --- what comes in -------------------------------------------------------------------------------


def test_the_model_that_is_given_stays_as_it_is(tmp_path: Path) -> None:
    proto, model = networks.classifier(), ir.from_proto(networks.classifier())
    before = proto.SerializeToString(deterministic=True), ir.to_proto(model).SerializeToString()
    first, _ = converted(proto, tmp_path, {"x": normal(8, 8)})
    bytes_of_first = first.read_bytes()
    second, _ = converted(model, tmp_path, {"x": normal(8, 8)})
    assert (proto.SerializeToString(deterministic=True), ir.to_proto(model).SerializeToString()) == before
    assert second.read_bytes() == bytes_of_first


@pytest.mark.slow
def test_a_path_may_be_text_or_an_object(tmp_path: Path) -> None:
    onnx.save(networks.classifier(), tmp_path / "model.onnx")
    results = set()
    for source in (tmp_path / "model.onnx", str(tmp_path / "model.onnx")):
        converted(source, tmp_path, {"x": normal(8, 8)})
        results.add((tmp_path / "spiking.onnx").read_bytes())
    assert len(results) == 1


@pytest.mark.parametrize("model", [None, 3, b"bytes"], ids=str)
def test_what_is_no_model_is_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"model is a {type(model).__name__}; expected a path, a ModelProto"):
        converted(model, tmp_path)


def test_the_standard_domain_may_go_by_its_long_name(tmp_path: Path) -> None:
    model = networks.classifier()
    model.opset_import[0].domain = "ai.onnx"
    path, _ = converted(model, tmp_path, {"x": normal(8, 8)})
    assert run(path, {"x": normal(8, 8)})["scores"].shape == (8, 5)


def test_weights_that_are_inputs_as_well_stay_so(tmp_path: Path) -> None:
    model = networks.classifier()
    model.graph.input.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in model.graph.initializer
    )
    path, _ = converted(model, tmp_path, {"x": normal(8, 8)})
    assert [value.name for value in onnx.load(path).graph.input] == ["x", "first_weight", "second_weight"]


@pytest.mark.slow
@pytest.mark.parametrize("opset", [13, 15, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27, 28])
def test_every_opset_from_13_on_is_converted(opset: int, tmp_path: Path) -> None:
    model = graph("p = Softmax <axis = -1> (x) y = Tanh (p)", opset=opset)
    path, _ = converted(model, tmp_path)
    assert relative_error(run(model, X)["y"], run(path, X)["y"]) < 0.005


@pytest.mark.slow
@pytest.mark.parametrize(("operator", "opset"), [("SimplifiedLayerNormalization", 20), ("LayerNormalization", 14)])
def test_operators_that_onnxruntime_puts_into_the_standard_domain_may_stay(
    operator: str, opset: int, tmp_path: Path
) -> None:
    model = graph(f"[norm] h = {operator} (x, gamma) [act] y = Tanh (h)", opset=opset)
    path, report = converted(model, tmp_path, exclude="norm")
    assert statuses(report) == {"norm": Status.KEPT, "act": Status.CONVERTED}
    assert relative_error(run(model, X)["y"], run(path, X)["y"]) < 0.005
    _, report = converted(model, tmp_path)
    assert statuses(report) == {"norm": Status.CONVERTED, "act": Status.CONVERTED}


NEWEST = 28
ROTATED = """u = Unsqueeze (x, first) t = RotaryEmbedding (u, table, table, position_ids)
             s = Squeeze (t, first) y = Tanh (s)"""
NEWER = [
    ("y = Gelu (x)", (20, NEWEST), ["function"]),
    ('y = Gelu <approximate = "tanh"> (x)', (20, NEWEST), ["function"]),
    ("y = RMSNormalization (x, gamma)", (23, NEWEST), ["rms_norm"]),
    ("y = Swish (x)", (24, NEWEST), ["function"]),
    ("y = Swish <alpha = 0.5> (x)", (24, NEWEST), ["function", "product"]),
    (ROTATED, (23, NEWEST), ["function"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "opset", "kinds"), [(body, opset, kinds) for body, opsets, kinds in NEWER for opset in opsets]
)
def test_newer_operators_are_converted(body: str, opset: int, kinds: list[str], tmp_path: Path) -> None:
    table = "float[4,4] table = {" + ", ".join(str(i % 5 / 5) for i in range(16)) + "}, int64[1] first = {1}"
    inputs, feeds = "float[N,4,8] x", dict(X)
    if "position_ids" in body:
        inputs, feeds = f"{inputs}, int64[N,4] position_ids", feeds | {"position_ids": np.tile(np.arange(4), (8, 1))}
    model = graph(body, inputs=inputs, initializers=table, opset=opset)
    path, report = converted(model, tmp_path, feeds)
    assert [(node.kind, node.status) for node in report.nodes] == [(kind, Status.CONVERTED) for kind in kinds]
    assert report.outputs[0].relative_error < 0.005
    assert np.isfinite(run(path, feeds)["y"]).all()


@pytest.mark.parametrize("size", [0.0, 1e-15, 1e15])
@pytest.mark.parametrize("body", ["y = Gelu (x)", "y = MatMul (x, weight)"])
def test_silent_tiny_and_huge_signals_are_converted(body: str, size: float, tmp_path: Path) -> None:
    model = graph(body, initializers=WEIGHT)
    feeds = {"x": X["x"] * np.float32(size)}
    path, _ = converted(model, tmp_path, feeds)
    expected, got = run(model, feeds)["y"], run(path, feeds)["y"]
    np.testing.assert_allclose(got, expected, rtol=0, atol=max(0.005 * np.abs(expected).max(), 1e-6))


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Calibration data as onnxruntime's quantization takes it."""

    def __init__(self, feeds: list[Feeds]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)


@pytest.mark.slow
def test_every_form_of_the_same_data_gives_the_same_file(tmp_path: Path) -> None:
    x = normal(8, 8)
    halves: list[Feeds] = [{"x": x[:4]}, {"x": x[4:]}]
    np.savez(tmp_path / "data.npz", x=x, labels=np.zeros(8))

    def generator() -> Iterator[Feeds]:
        yield from halves

    sources = [
        {"x": x},
        tmp_path / "data.npz",
        str(tmp_path / "data.npz"),
        halves,
        generator(),
        Reader(halves),
    ]
    results = set()
    for source in sources:
        path, report = converted(networks.classifier(), tmp_path, source)
        results.add(path.read_bytes())
        assert report.calibration_samples == 8
    assert len(results) == 1


def test_at_most_the_samples_asked_for_are_used(tmp_path: Path) -> None:
    _, report = converted(networks.classifier(), tmp_path, {"x": normal(8, 8)}, calibration_samples=3)
    assert report.calibration_samples == 3


@pytest.mark.slow
def test_external_weights_come_in_and_go_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"x": normal(8, 8)}
    inline = converted(networks.classifier(), tmp_path, data)[0].read_bytes()
    source = tmp_path / "source.onnx"
    onnx.save(networks.classifier(), source, save_as_external_data=True, location="weights", size_threshold=0)
    weights = (tmp_path / "weights").read_bytes()

    onnx_snn.convert(source, tmp_path / "in.onnx", data, body="closed")
    assert (
        run(tmp_path / "in.onnx", data)["scores"].tobytes()
        == run(onnx.load_from_string(inline), data)["scores"].tobytes()
    )

    monkeypatch.setattr(model_writer, "MAX_INLINE_BYTES", 100)
    onnx_snn.convert(source, tmp_path / "out.onnx", data, body="closed")
    assert (tmp_path / "out.onnx.data").stat().st_size > 0
    assert run(tmp_path / "out.onnx", data)["scores"].tobytes() == run(tmp_path / "in.onnx", data)["scores"].tobytes()
    assert (tmp_path / "weights").read_bytes() == weights


# --- calibration cache ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_cache_stands_in_for_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, data = tmp_path / "seen.npz", {"x": normal(8, 8)}
    first = converted(networks.classifier(), tmp_path, data, calibration_cache=cache)[0].read_bytes()
    kept = cache.read_bytes()
    monkeypatch.setattr(calibrated_sites, "calibrate", lambda *_, **__: pytest.fail("calibrated again"))
    again, report = converted(networks.classifier(), tmp_path, data, calibration_cache=cache)
    assert again.read_bytes() == first
    assert cache.read_bytes() == kept
    assert report.calibration_samples == 8


def test_a_cache_of_another_model_is_refused(tmp_path: Path) -> None:
    cache = tmp_path / "seen.npz"
    converted(networks.classifier(), tmp_path, {"x": normal(8, 8)}, calibration_cache=cache)
    with pytest.raises(CalibrationError, match="made for another model or other settings"):
        converted(graph("y = Gelu (x)"), tmp_path, calibration_cache=cache)


# --- folders -------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as Optimum writes it."""
    folder = tmp_path / "exported"
    folder.mkdir()
    onnx.save(networks.classifier(), folder / "model.onnx")
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    return folder


def test_a_folder_becomes_a_folder(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "spiking"
    report = onnx_snn.convert(folder, target, {"x": normal(8, 8)}, timesteps=4, body="closed")
    names = {path.name for path in target.iterdir()}
    assert names == {"model.onnx", "config.json", "tokenizer.json", "snn_config.json"}
    assert (target / "tokenizer.json").read_text() == '{"version": "1.0"}'
    assert onnx_snn.ConvertConfig.from_json(target / "snn_config.json") == report.config
    assert (report.source, report.output) == (str(folder), str(target))
    assert spiking_nodes(target / "model.onnx")


@pytest.mark.slow
def test_every_model_of_a_folder_takes_its_own_data(folder: Path, tmp_path: Path) -> None:
    onnx.save(ir.to_proto(graph("y = Gelu (x)")), folder / "encoder_model.onnx")
    data = {"model.onnx": {"x": normal(8, 8)}, "encoder_model.onnx": X}
    report = onnx_snn.convert(folder, tmp_path / "spiking", data, body="closed")
    names = ["encoder_model:y", "model:first", "model:gelu", "model:second"]
    assert [node.name for node in report.nodes] == names
    assert [output.name for output in report.outputs] == ["encoder_model:y", "model:scores"]
    assert report.calibration_samples == 16


@pytest.mark.slow
def test_the_data_of_a_folder_may_be_a_folder(folder: Path, tmp_path: Path) -> None:
    onnx.save(ir.to_proto(graph("y = Gelu (x)")), folder / "encoder_model.onnx")
    data = tmp_path / "data"
    (data / "encoder_model").mkdir(parents=True)
    np.savez(data / "model.npz", x=normal(8, 8))
    for number in range(3):
        np.savez(data / "encoder_model" / f"{number}.npz", x=normal(2 + number, 4, 8))
    report = onnx_snn.convert(folder, tmp_path / "spiking", data, body="closed")
    assert report.count(Status.CONVERTED) == len(report.nodes) == 4
    assert report.calibration_samples == 8 + 2 + 3 + 4


def test_several_models_of_a_folder_share_neither_data_nor_cache(folder: Path, tmp_path: Path) -> None:
    onnx.save(ir.to_proto(graph("y = Gelu (x)")), folder / "encoder_model.onnx")
    with pytest.raises(CalibrationError, match=r"data is missing for \['model.onnx'\]: give a folder with NAME.npz"):
        onnx_snn.convert(folder, tmp_path / "spiking", tmp_path / "data.npz")
    with pytest.raises(ConfigError, match="a calibration cache belongs to one"):
        onnx_snn.convert(folder, tmp_path / "spiking", {}, calibration_cache=tmp_path / "seen.npz")
    with pytest.raises(CalibrationError, match=r"data is missing for \['model.onnx'\]"):
        onnx_snn.convert(folder, tmp_path / "spiking", {"encoder_model.onnx": X}, body="closed")
    with pytest.raises(CalibrationError, match=r"given for \['decoder.onnx'\], but .* holds .*'model.onnx'"):
        onnx_snn.convert(folder, tmp_path / "spiking", {"decoder.onnx": X}, body="closed")
    with pytest.raises(CalibrationError, match=r"missing for \['encoder_model.onnx', 'model.onnx'\]"):
        onnx_snn.convert(folder, tmp_path / "spiking", body="closed")
    assert list(tmp_path.iterdir()) == [folder]


def test_a_dry_run_of_a_folder_counts_its_nodes(folder: Path, tmp_path: Path) -> None:
    assert onnx_snn.convert(folder, dry_run=True).count(Status.CONVERTED) == 3
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_is_not_written_over_itself_or_a_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    for output, reason in {
        "exported": "is the source folder",
        "link": "is the source folder",
        "file": "is a file",
    }.items():
        with pytest.raises(OutputError, match=reason):
            onnx_snn.convert(folder, tmp_path / output, {"x": normal(8, 8)})
    with pytest.raises(OutputError, match="cannot be made"):
        onnx_snn.convert(folder, tmp_path / "missing" / "spiking", {"x": normal(8, 8)})
    with pytest.raises(ConfigError, match="output is missing; name the folder"):
        onnx_snn.convert(folder, None, {"x": normal(8, 8)})
    assert sorted(tmp_path.rglob("*")) == before


def test_stages_are_logged_and_timed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="onnx_snn.conversion.stopwatch"):
        _, report = converted(graph("y = Gelu (x)"), tmp_path, lean=False)
    stages = ["load", "decompose", "recognise", "calibrate", "fit", "rewrite", "verify", "save"]
    assert list(report.seconds) == stages
    assert [record.message for record in caplog.records if record.name == "onnx_snn.conversion.stopwatch"] == stages


@pytest.mark.parametrize(
    ("operator", "opset"),
    [("LayerNormalization", 17), ("RMSNormalization", 23)],
)
def test_a_norm_over_more_than_the_last_axis_is_refused(operator: str, opset: int, tmp_path: Path) -> None:
    """The twin of what is converted: the spiking norms know one axis, and a wrong one would go unseen."""
    text = f"""<ir_version: 10, opset_import: ["" : {opset}]>
        network (float[N, 4, 8] x) => (float[N, 4, 8] y) <float[4, 8] gamma = {{{", ".join(["1"] * 32)}}}> {{
            h = {operator} <axis = -2> (x, gamma)
            y = Tanh (h)
        }}"""
    _, report = converted(onnx.parser.parse_model(text), tmp_path, {"x": normal(8, 4, 8)})
    reasons = {node.kind: node.reason for node in report.nodes if node.status is Status.REFUSED}
    assert list(reasons.values()) == ["it normalizes from axis -2 on; only the last axis is supported"]


@pytest.mark.parametrize(("name", "lean"), [("past_key_values.0.key", False), ("pasture", True)])
def test_a_network_with_a_cache_gets_no_lean_neurons_by_default(name: str, lean: bool, tmp_path: Path) -> None:
    model = ir.to_proto(graph("y = MatMul (x, weight)", initializers=WEIGHT))
    model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 1]))
    data = {"x": normal(64, 4, 8), name: normal(64, 1)}
    spikes = []
    for options in ({}, {"lean": True}):
        _, report = converted(model, tmp_path, data, timesteps=8, **options)
        spikes.append(sum(sum(node.spikes.values()) for node in report.nodes))
    assert (spikes[0] == spikes[1]) is lean
