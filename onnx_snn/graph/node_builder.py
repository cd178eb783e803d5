# SPDX-License-Identifier: Apache-2.0
"""New nodes and initializers for a model, with unique names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.tape import Tape

from onnx_snn.graph.unique_names import UniqueNames


class NodeBuilder(Tape):
    """onnx-ir's tape, which records the nodes that its `op` makes, with names from `names`.

    Args:
        names: Names of the model that the nodes are for.
        graph: Where nodes are appended as they are made; None to leave their place to the caller.
    """

    def __init__(self, names: UniqueNames, graph: ir.Graph | None = None) -> None:
        super().__init__(graph)
        self.names = names

    def named(
        self,
        name: str,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        *,
        dtype: ir.DataType | None = None,
    ) -> ir.Value:
        """The output of a new node, called `name` or the next unused name."""
        return self.op(op_type, inputs, attributes, output=ir.val(self.names.take(name), dtype=dtype))

    def name_outputs(self, nodes: Iterable[ir.Node], name: str) -> None:
        """Call the outputs of `nodes` by `name` or the next unused names."""
        for node in nodes:
            for output in node.outputs:
                output.name = self.names.take(name)


def add_initializer(
    model: ir.Model, names: UniqueNames, name: str, array: NDArray[Any], dtype: ir.DataType | None = None
) -> ir.Value:
    """A new initializer of the main graph that holds `array`, called `name` or the next unused name.

    Args:
        model: The model.
        names: Its names.
        name: The name.
        array: The values.
        dtype: Their element type; None for that of the array.
    """
    unused = names.take(name)
    return Tape(model.graph).initializer(ir.Tensor(array, dtype=dtype, name=unused), unused)


class SharedInitializers:
    """Initializers that are added to the main graph of a model; those of equal type, shape and values are one."""

    def __init__(self, model: ir.Model, names: UniqueNames) -> None:
        self._model, self._names = model, names
        self._known: dict[tuple[ir.DataType, tuple[int, ...], bytes], ir.Value] = {}

    def get(self, number: Any, dtype: ir.DataType, name: str) -> ir.Value:
        """The initializer that holds `number`, a number or an array; a new one is called `name`."""
        array = np.asarray(number).astype(dtype.numpy())
        key = (dtype, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = add_initializer(self._model, self._names, name, array, dtype)
        return self._known[key]

    def remove_unused(self) -> None:
        """Remove the shared initializers that no node reads."""
        for value in self._known.values():
            if not value.uses():
                self._model.graph.initializers.pop(value.name or "")
