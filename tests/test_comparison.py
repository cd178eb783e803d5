# SPDX-License-Identifier: Apache-2.0
"""Comparison of two networks: the figures against direct NumPy computations, and data that does not fit."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import graph
from networks import normal, run, tokens
from numpy.typing import NDArray

from onnx_snn import CalibrationError, ModelError, compare

SAMPLES = 20


def disturbed(model: onnx.ModelProto, weight: str, *, size: float = 0.3) -> onnx.ModelProto:
    """`model` with noise on one of its weights: a stand-in for a conversion with a visible loss."""
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == weight]
    array = onnx.numpy_helper.to_array(tensor)
    noisy = array + size * normal(*array.shape, seed=9)
    tensor.CopyFrom(onnx.numpy_helper.from_array(noisy, weight))
    return model


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Paths of a classifier and of its disturbed copy."""
    folder = tmp_path_factory.mktemp("classifiers")
    onnx.save(networks.classifier(), folder / "a.onnx")
    onnx.save(disturbed(networks.classifier(), "second_weight"), folder / "b.onnx")
    return folder / "a.onnx", folder / "b.onnx"


@pytest.fixture(scope="module")
def language_models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Paths of a language model and of its disturbed copy."""
    folder = tmp_path_factory.mktemp("language_models")
    onnx.save(disturbed(networks.transformer(), "head_weight", size=0.0), folder / "a.onnx")
    onnx.save(disturbed(networks.transformer(), "head_weight"), folder / "b.onnx")
    return folder / "a.onnx", folder / "b.onnx"


X = normal(SAMPLES, 8)
LABELS = np.arange(SAMPLES) % 5


def scores(paths: tuple[Path, Path], x: NDArray[Any] = X) -> list[NDArray[Any]]:
    return [run(path, {"x": x})["scores"] for path in paths]


def test_errors_and_agreement_are_over_all_samples(classifiers: tuple[Path, Path]) -> None:
    expected, got = scores(classifiers)
    evaluation = compare(*classifiers, {"x": X}, batch_size=3)
    assert (evaluation.output, evaluation.samples, evaluation.metric) == ("scores", SAMPLES, "")
    agreement = (expected.argmax(axis=-1) == got.argmax(axis=-1)).mean()
    assert 0.5 < agreement < 1.0
    assert evaluation.agreement == agreement
    relative = np.linalg.norm(got - expected) / np.linalg.norm(expected)
    assert evaluation.relative_error == pytest.approx(relative, rel=1e-5)
    assert evaluation.maximum_error == pytest.approx(np.abs(got - expected).max(), rel=1e-5)
    assert math.isnan(evaluation.original)
    assert math.isnan(evaluation.relative_loss)


def test_a_network_agrees_with_itself(classifiers: tuple[Path, Path]) -> None:
    evaluation = compare(classifiers[0], classifiers[0], {"x": X, "labels": LABELS})
    assert (evaluation.agreement, evaluation.relative_error, evaluation.relative_loss) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_accuracy_is_the_share_of_right_predictions(batch_size: int, classifiers: tuple[Path, Path]) -> None:
    labels = scores(classifiers)[0].argmax(axis=-1)
    labels[:4] = (labels[:4] + 1) % 5
    evaluation = compare(*classifiers, {"x": X, "labels": labels}, batch_size=batch_size)
    original, spiking = ((output.argmax(axis=-1) == labels).mean() for output in scores(classifiers))
    assert evaluation.metric == "accuracy"
    assert (evaluation.original, evaluation.spiking) == (original, spiking) == (0.8, spiking)
    assert evaluation.relative_loss == pytest.approx((original - spiking) / original)
    assert evaluation.relative_loss > 0


def perplexity(logits: NDArray[Any], labels: NDArray[Any]) -> float:
    exponentials = np.exp(logits.astype(np.float64))
    probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
    losses = [-np.log(probabilities[index][label]) for index, label in np.ndenumerate(labels) if label != -100]
    return float(np.exp(np.mean(losses)))


def test_perplexity_is_that_of_a_direct_computation(language_models: tuple[Path, Path]) -> None:
    feeds = tokens(6, 7)
    labels = np.random.default_rng(3).integers(networks.VOCABULARY, size=(6, 7))
    labels[:, 0] = -100
    labels[2] = -100
    evaluation = compare(*language_models, {**feeds, "labels": labels}, batch_size=4)
    original, spiking = (perplexity(run(path, feeds)["logits"], labels) for path in language_models)
    assert evaluation.metric == "perplexity"
    assert evaluation.original == pytest.approx(original, rel=1e-6)
    assert evaluation.spiking == pytest.approx(spiking, rel=1e-6)
    assert evaluation.relative_loss == pytest.approx(spiking / original - 1, rel=1e-6)


def test_ignored_labels_count_neither_as_right_nor_as_wrong(classifiers: tuple[Path, Path]) -> None:
    labels = scores(classifiers)[0].argmax(axis=-1)
    labels[1:] = np.where(np.arange(1, SAMPLES) % 2, -100, labels[1:])
    evaluation = compare(*classifiers, {"x": X}, labels=labels)
    assert evaluation.original == 1.0
    nothing = compare(*classifiers, {"x": X}, labels=np.full(SAMPLES, -100))
    assert math.isnan(nothing.original)


def test_the_loss_beside_an_original_without_success_is_no_number(classifiers: tuple[Path, Path]) -> None:
    wrong = (scores(classifiers)[0].argmax(axis=-1) + 1) % 5
    evaluation = compare(*classifiers, {"x": X, "labels": wrong})
    assert evaluation.original == 0.0
    assert math.isnan(evaluation.relative_loss)


def test_labels_come_from_an_npz_or_as_an_argument(classifiers: tuple[Path, Path], tmp_path: Path) -> None:
    np.savez(tmp_path / "test.npz", x=X, labels=LABELS)
    from_file = compare(*classifiers, tmp_path / "test.npz")
    assert from_file == compare(*classifiers, {"x": X}, labels=LABELS)
    assert from_file.metric == "accuracy"


def test_samples_limit_the_data(classifiers: tuple[Path, Path]) -> None:
    assert compare(*classifiers, {"x": X, "labels": LABELS}, samples=5, batch_size=2).samples == 5


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (LABELS[:, None].repeat(3, axis=1), r"labels have shape \(8, 3\) for an output of shape \(8, 5\)"),
        (LABELS[:12], "there are 12 labels for at least 16 samples"),
        (np.append(LABELS, 0), "there are 21 labels for 20 samples"),
        (LABELS + 1, "labels must be integers from 0 to 4"),
        (LABELS - 1, "labels must be integers from 0 to 4"),
        (LABELS.astype(float), "labels must be integers from 0 to 4"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: NDArray[Any], says: str, classifiers: tuple[Path, Path]) -> None:
    with pytest.raises(CalibrationError, match=says):
        compare(*classifiers, {"x": X}, labels=labels)


def test_the_output_to_compare_is_chosen_by_name(classifiers: tuple[Path, Path]) -> None:
    assert compare(*classifiers, {"x": X}, output="scores").output == "scores"
    with pytest.raises(ModelError, match=r"the original network has no output 'logits'; it has \['scores'\]"):
        compare(*classifiers, {"x": X}, output="logits")


def test_networks_of_other_output_shapes_are_not_compared(tmp_path: Path) -> None:
    for name, body in {"a": "y = Gelu (x)", "b": "y = ReduceSum (x, last)"}.items():
        onnx.save(ir.to_proto(graph(body, outputs="float[N,M,K] y")), tmp_path / f"{name}.onnx")
    with pytest.raises(ModelError, match=r"has shape \(2, 4, 1\) instead of the original's \(2, 4, 8\)"):
        compare(tmp_path / "a.onnx", tmp_path / "b.onnx", {"x": normal(2, 4, 8)})


def test_data_on_which_a_network_fails_is_an_error(language_models: tuple[Path, Path]) -> None:
    feeds = tokens(2, 3)
    feeds["input_ids"][0, 0] = networks.VOCABULARY
    with pytest.raises(CalibrationError, match="onnxruntime fails on inputs of shapes"):
        compare(*language_models, feeds)


def test_text_and_json_hold_the_figures(classifiers: tuple[Path, Path]) -> None:
    evaluation = compare(*classifiers, {"x": X, "labels": LABELS})
    text = evaluation.text()
    assert text.startswith("scores, 20 samples")
    assert f"{evaluation.spiking:.2%}" in text
    assert f"{evaluation.agreement:.2%}" in text
    values = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert values["spiking"] == evaluation.spiking
    unlabelled = compare(*classifiers, {"x": X})
    assert unlabelled.to_json()["relative_loss"] is None
    assert "accuracy" not in unlabelled.text()
