# SPDX-License-Identifier: Apache-2.0
"""Check of a tokenizer that was written as a graph against the `tokenizers` library, text by text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from onnx_snn.errors import PackError
from onnx_snn.graph.map_types import to_proto
from onnx_snn.packing.extensions import extensions_options
from onnx_snn.packing.graph_writer import GraphWriter
from onnx_snn.packing.text_front import TEXT, write_tokenizer
from onnx_snn.packing.tokenizer_files import Framing, TokenizerFiles, read_by_library

IR_VERSION = 8
"""Version of ONNX's format of the graph that is checked, which any supported onnxruntime reads."""

SHOWN_IDS = 12
"""Ids of a text that a message shows, around the first difference."""


def check_ids(files: TokenizerFiles, framing: Framing, opset: int, texts: Sequence[str]) -> None:
    """Compare the ids of all `texts`, each alone and all in one batch.

    Args:
        files: The tokenizer.
        framing: What is put around, and how texts are cut off and padded.
        opset: Version of the standard operators that the graph is written for.
        texts: The texts.

    Raises:
        PackError: ids or masks differ, or the tokenizer cannot be expressed.
    """
    compare_ids(tokenizer_session(files, framing, opset), files, framing, texts)


def compare_ids(session: ort.InferenceSession, files: TokenizerFiles, framing: Framing, texts: Sequence[str]) -> None:
    """Compare the ids that `session`, of `tokenizer_session`, gives for all `texts`, as `check_ids` does.

    Raises:
        PackError: ids or masks differ.
    """
    rows = reference_ids(files, framing, texts)
    for text, row in zip(texts, rows, strict=True):
        _compare(text, _run(session, [text]), _padded([row], framing))
    together, batch = _run(session, texts), _padded(rows, framing)
    for index, text in enumerate(texts):
        each = ({name: array[[index]] for name, array in arrays.items()} for arrays in (together, batch))
        _compare(text, *each)


def tokenizer_session(files: TokenizerFiles, framing: Framing, opset: int) -> ort.InferenceSession:
    """A session of the tokenizer alone: string [batch] to input_ids and attention_mask, int64 [batch, longest].

    Raises:
        PackError: the tokenizer cannot be expressed, or onnxruntime-extensions cannot run it.
    """
    graph = ir.Graph([], [], nodes=[], opset_imports={"": opset}, name="tokenizer")
    model = ir.Model(graph, ir_version=IR_VERSION)
    write = GraphWriter(model)
    texts = write.input(TEXT, ir.DataType.STRING, ["batch"])
    made = write_tokenizer(write, texts, files, framing, ("input_ids", "attention_mask"))
    for index, (name, value) in enumerate(made.items()):
        write.output(index, name, value, ir.DataType.INT64, ["batch", "sequence"])
    write.put_first()
    try:
        return ort.InferenceSession(to_proto(model).SerializeToString(), extensions_options())
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise PackError(f"onnxruntime-extensions cannot run the tokenizer of '{files.path}' ({error})") from error


def reference_ids(files: TokenizerFiles, framing: Framing, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text by the `tokenizers` library, special tokens included, cut off and not padded.

    Raises:
        PackError: the library cannot read the file.
    """
    tokenizer = read_by_library(files.path)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if framing.max_length is not None:
        tokenizer.enable_truncation(framing.max_length, direction="left" if framing.truncate_left else "right")
    return [list(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))]


def _padded(rows: Sequence[Sequence[int]], framing: Framing) -> dict[str, NDArray[np.int64]]:
    """`rows` as a network reads them."""
    width = framing.width or max(map(len, rows))
    ids = np.full((len(rows), width), framing.pad_id, np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for index, row in enumerate(rows):
        begin = width - len(row) if framing.pad_left else 0
        ids[index, begin : begin + len(row)] = row
        mask[index, begin : begin + len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def _run(session: ort.InferenceSession, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
    names = [output.name for output in session.get_outputs()]
    try:
        made = session.run(names, {TEXT: np.array(texts, dtype=object)})
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        shown = repr(texts[0]) if len(texts) == 1 else f"{len(texts)} texts"
        raise PackError(f"the operators of onnxruntime-extensions fail on {shown}: {error}") from error
    return dict(zip(names, made, strict=True))


def _compare(text: str, made: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> None:
    for name, wanted in expected.items():
        got = made[name]
        if not np.array_equal(got, wanted):
            raise PackError(
                f"the operators of onnxruntime-extensions give other {name} for the text {_shortened(text)}: "
                f"{_around_difference(got[0], wanted[0])}. No file is written, since the network would read something "
                "else; if no such text will occur, compare on texts of your own (texts)"
            )


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def _around_difference(got: NDArray[Any], wanted: NDArray[Any]) -> str:
    """Both rows from a little before the first place where they differ."""
    both = min(len(got), len(wanted))
    differing = np.flatnonzero(got[:both] != wanted[:both])
    first = int(differing[0]) if len(differing) else both
    begin = max(first - 3, 0)
    shown = slice(begin, begin + SHOWN_IDS)
    return (
        f"from place {begin} on {got[shown].tolist()}, where the tokenizers library gives {wanted[shown].tolist()} "
        f"({len(got)} and {len(wanted)} in all)"
    )
