# SPDX-License-Identifier: Apache-2.0
"""Behind a classifier: scores of the likeliest classes, and their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import onnx_ir as ir

from onnx_snn.errors import PackError
from onnx_snn.json_files import read_object
from onnx_snn.packing.graph_writer import GraphWriter

LABEL, SCORE = "label", "score"
"""Names of the outputs, string and float32 [batch, k]."""

GENERATES = ("CausalLM", "LMHeadModel")
"""How the architectures end whose logits belong to the next token."""


class Labels(NamedTuple):
    """What the last axis of the logits means.

    Attributes:
        names: Label of each class.
        several: A sample may have several labels, so that each class has a probability of its own.
    """

    names: tuple[str, ...]
    several: bool = False


def read_config(path: Path) -> dict[str, Any]:
    """A config.json.

    Raises:
        PackError: it cannot be read.
    """
    try:
        return read_object(path)
    except (OSError, ValueError) as error:
        raise PackError(f"cannot read '{path}' as a JSON object: {error}") from error


def read_labels(config: Mapping[str, Any]) -> Labels | None:
    """Labels that a config.json names in `id2label`; None where the network has none or is no classifier.

    Raises:
        PackError: the ids are not 0, 1, 2, ...
    """
    names = config.get("id2label")
    if not names or is_decoder(config) or config.get("problem_type") == "regression" or len(names) < 2:
        return None
    try:
        by_id = {int(key): str(name) for key, name in names.items()}
    except (AttributeError, ValueError) as error:
        raise PackError(f"id2label of config.json does not name classes by number: {error}") from error
    if sorted(by_id) != list(range(len(by_id))):
        raise PackError(
            f"id2label of config.json has {len(by_id)} classes that are not numbered from 0 on: {sorted(by_id)}"
        )
    several = config.get("problem_type") == "multi_label_classification"
    return Labels(tuple(by_id[index] for index in range(len(by_id))), several)


def is_decoder(config: Mapping[str, Any]) -> bool:
    """Whether the logits belong to the next token."""
    return any(str(name).endswith(GENERATES) for name in config.get("architectures") or ())


def write_labels(write: GraphWriter, logits: ir.Value, labels: Labels, top_k: int) -> None:
    """Put label and score, [batch, top_k], before the outputs of the network, whose `logits` are [batch, classes].

    Raises:
        PackError: the logits have another number of classes.
    """
    shape = logits.shape
    if shape is None or len(shape) != 2:
        raise PackError(
            f"labels belong to an output [batch, classes], but '{logits.name}' is {shape or 'of unknown shape'}"
        )
    if isinstance(shape[1], int) and shape[1] != len(labels.names):
        raise PackError(f"output '{logits.name}' has {shape[1]} classes, but there are {len(labels.names)} labels")
    scores = write.Sigmoid(logits) if labels.several else write.Softmax(logits, axis=-1)
    write_best(write, scores, labels.names, top_k, shape[0])


def dimension(batch: int | ir.SymbolicDim) -> int | str:
    """Size of the first axis, or its name."""
    return batch if isinstance(batch, int) else batch.value or "batch"


def write_best(
    write: GraphWriter, scores: ir.Value, names: Sequence[str], top_k: int, batch: int | ir.SymbolicDim
) -> ir.Value:
    """Put the `top_k` largest of `scores` and their names first among the outputs; returns their indices.

    Raises:
        PackError: there are fewer.
    """
    if not 1 <= top_k <= len(names):
        raise PackError(f"top_k is {top_k}, but there are {len(names)} classes")
    best, index = write.op("", "TopK", [scores, [top_k]], 2, axis=-1)
    dim = dimension(batch)
    write.output(0, LABEL, write.Gather(list(names), index, axis=0), ir.DataType.STRING, [dim, top_k])
    write.output(1, SCORE, write.Cast(best, to=ir.DataType.FLOAT), ir.DataType.FLOAT, [dim, top_k])
    return index
