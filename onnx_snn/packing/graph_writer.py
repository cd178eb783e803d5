# SPDX-License-Identifier: Apache-2.0
"""Nodes that are written before or behind a network, with names that it does not use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.graph.unique_names import UniqueNames

Operand: TypeAlias = "ir.Value | int | float | Sequence[int] | Sequence[str] | NDArray[Any] | None"

EXTENSIONS, IMAGES = "ai.onnx.contrib", "com.microsoft.extensions"
"""Domains of onnxruntime-extensions: most operators, and those of images."""

MACHINE_LEARNING, ONNXRUNTIME = "ai.onnx.ml", "com.microsoft"
"""Domain of ONNX's operators of classical machine learning, and of those that onnxruntime brings."""

VERSIONS = {EXTENSIONS: 1, IMAGES: 1, MACHINE_LEARNING: 3, ONNXRUNTIME: 1}
"""The least version of each domain that has the operators which are written here."""

_STRING, _INT64 = ir.DataType.STRING, ir.DataType.INT64

OUTPUT_TYPES: dict[str, tuple[ir.DataType, ...]] = {
    "DecodeImage": (ir.DataType.UINT8,),
    "GPT2Tokenizer": (_INT64, _INT64),
    "LabelEncoder": (_INT64,),
    "SentencepieceTokenizer": (ir.DataType.INT32, _INT64, ir.DataType.INT32),
    "StringConcat": (_STRING,),
    "StringJoin": (_STRING,),
    "StringRegexReplace": (_STRING,),
    "StringRegexSplitWithOffsets": (_STRING, _INT64, _INT64, _INT64),
    "Tokenizer": (_STRING,),
    "WordpieceTokenizer": (_STRING, _INT64, _INT64, _INT64),
}
"""Element types of the outputs of operators that are no standard ones. They are declared in the file: onnx cannot infer
them, and its inference of LabelEncoder reads a type that is not there."""

PREFIX = "pack/"
"""How the names of all nodes and values begin that are written here."""


class GraphWriter:
    """Writes nodes for a model, which are put into its graph by `put_first` or `put_last`.

    `write.Add(x, 1)` makes a node of operator Add and returns its output. Operands that are no values become
    initializers: integers int64, strings a tensor of rank 1, arrays as they are.

    Args:
        model: The model.
    """

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self._names = UniqueNames.of(model)
        self._nodes: list[ir.Node] = []

    def __getattr__(self, op_type: str) -> Callable[..., ir.Value]:
        """A function that writes one node of a standard operator."""

        def write(*operands: Operand, **attributes: Any) -> ir.Value:
            return self.op("", op_type, operands, **attributes)[0]

        return write

    def op(
        self,
        domain: str,
        op_type: str,
        operands: Sequence[Operand],
        outputs: int = 1,
        node_name: str | None = None,
        **attributes: Any,
    ) -> Sequence[ir.Value]:
        """The outputs of a new node, which is called `node_name` if given."""
        name = self._names.take(PREFIX + (node_name or op_type))
        node = ir.node(
            op_type,
            [self._value(operand) for operand in operands],
            attributes,
            domain=domain,
            name=name,
            num_outputs=outputs,
        )
        for index, output in enumerate(node.outputs):
            output.name = self._names.take(f"{name}/output_{index}")
            if domain:
                output.dtype = OUTPUT_TYPES[op_type][index]
        if domain:
            imports = self.model.opset_imports
            imports[domain] = max(imports.get(domain, 0), VERSIONS[domain])
        self._nodes.append(node)
        return node.outputs

    def input(self, name: str, dtype: ir.DataType, shape: Sequence[int | str | None]) -> ir.Value:
        """A new first input of the model, called `name` or the next unused name."""
        value = ir.val(self._names.take(name), dtype=dtype, shape=ir.Shape(shape))
        self.model.graph.inputs.insert(0, value)
        return value

    def output(self, index: int, name: str, value: ir.Value, dtype: ir.DataType, shape: Sequence[int | str]) -> None:
        """Make `value` the model's output number `index`, called `name` or the next unused name."""
        value.name, value.dtype, value.shape = self._names.take(name), dtype, ir.Shape(shape)
        self.model.graph.outputs.insert(index, value)

    def put_first(self) -> None:
        """Put the nodes written so far before those of the graph."""
        graph = self.model.graph
        if len(graph):
            graph.insert_before(graph[0], self._nodes)
        else:
            graph.extend(self._nodes)
        self._nodes = []

    def put_last(self) -> None:
        """Put the nodes written so far behind those of the graph."""
        self.model.graph.extend(self._nodes)
        self._nodes = []

    def _value(self, operand: Operand) -> ir.Value | None:
        if operand is None or isinstance(operand, ir.Value):
            return operand
        name = self._names.take(PREFIX + "constant")
        texts = isinstance(operand, (list, tuple)) and any(isinstance(entry, str) for entry in operand)
        if texts:
            tensor: ir.TensorProtocol = ir.tensor(list(operand), name=name)  # type: ignore[arg-type]
        else:
            array = np.asarray(operand)
            tensor = ir.Tensor(array.astype(np.int64) if array.dtype.kind == "i" else array, name=name)
        value = ir.Value(
            name=name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self.model.graph.register_initializer(value)
        return value
