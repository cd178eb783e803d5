# SPDX-License-Identifier: Apache-2.0
"""Observation of inner tensors: an onnxruntime session whose outputs are tensors of the graph, or their shapes.

In the session's copy of the model, weights are inputs instead of initializers. Each run passes them from memory or from
a mapped file, so they do not have to fit into a protobuf message, and onnxruntime neither copies nor packs them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx_ir.passes.common import RemoveUnusedNodesPass

from onnx_snn.data.element_types import element_type, widened
from onnx_snn.data.specs import Feed
from onnx_snn.errors import CalibrationError, ModelError
from onnx_snn.graph.custom_libraries import libraries_of
from onnx_snn.graph.external_weights import detach_weights, with_mapped_weights
from onnx_snn.graph.map_types import to_proto
from onnx_snn.graph.node_builder import NodeBuilder
from onnx_snn.graph.shapes import Shapes
from onnx_snn.graph.subgraphs import closed_around, graph_of, lifted, places, why_closed
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.runtime.execution import ort_value, run
from onnx_snn.runtime.session import add_kernels, add_libraries, session_options

OptionsFactory: TypeAlias = Callable[[], ort.SessionOptions]

QUIET = 4
"""Log level of onnxruntime at which it logs fatal errors only: failures reach the user as exceptions."""

SHAPE_OF = "onnx_snn.shape_of."
"""Prefix of the names of the outputs that hold shapes of observed tensors."""


class Observer:
    """An onnxruntime session of a copy of a model whose outputs are inner tensors of the graph.

    Args:
        model: The model; it is not changed.
        names: Names of tensors of the main graph or of subgraphs. A tensor of a branch that is not taken is empty, of
            shape [0]. Those of the body of a Loop are stacked along a new first axis, one for each iteration.
        shapes: Output the shapes of the tensors in place of their values.
        providers: Execution providers; None for the CPU.
        session_options: Makes the session's options.

    Raises:
        CalibrationError: a tensor cannot be observed.
        ModelError: onnxruntime does not accept the model.
    """

    def __init__(
        self,
        model: ir.Model,
        names: Sequence[str],
        *,
        shapes: bool = False,
        providers: Sequence[str] | None = None,
        session_options: OptionsFactory | None = None,
    ) -> None:
        self._names = names
        copy = with_mapped_weights(model)
        outputs, unique = _find_values(copy, names), UniqueNames.of(copy)
        options = (session_options or quiet_options)()
        add_libraries(options, libraries_of(model))
        if shapes:
            # Without optimization, shapes are computed from the tensors and not taken from declared shapes.
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            outputs = lifted(copy, [_shape_of(value, unique) for value in outputs])
            copy.graph.outputs.extend(outputs)
        else:
            outputs = lifted(copy, outputs)
            copy.graph.outputs[:] = outputs
            # Nodes that only the model's own outputs need, such as the logits over a vocabulary, are not run.
            RemoveUnusedNodesPass()(copy)
        self._outputs = {name: str(output.name) for name, output in zip(names, outputs, strict=True)}
        self._weights = {name: ort_value(tensor) for name, tensor in detach_weights(copy).items()}
        self._session = _session(copy, options, list(providers or ["CPUExecutionProvider"]))

    def __call__(self, feed: Feed, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """The tensors `names` (all by default) for `feed`, or their shapes, int64 [rank], if shapes are observed.

        The shapes of tensors in a body are stacked as the tensors are: int64 [iterations, rank].

        Floating-point types of `ml_dtypes`, such as bfloat16, are converted to float32.

        Raises:
            CalibrationError: the run fails.
        """
        names = self._names if names is None else names
        outputs = [self._outputs[name] for name in names]
        arrays = run(self._session, outputs, {**feed, **self._weights})
        return {name: widened(arrays[output]) for name, output in zip(names, outputs, strict=True)}


class ShapeSession:
    """A session that computes the shapes of tensors of a model.

    Args:
        model: The model; it is not changed.
        names: Names of tensors of the main graph or of subgraphs.

    Raises:
        CalibrationError: there is no such tensor, or it cannot be observed.
        ModelError: onnxruntime does not accept the model.
    """

    def __init__(self, model: ir.Model, names: Sequence[str]) -> None:
        self._observer = Observer(model, names, shapes=True)

    def __call__(self, feed: Feed) -> Shapes:
        """The shapes for `feed`.

        Raises:
            CalibrationError: the run fails.
        """
        return Shapes.of_stacked(self._observer(feed))


def inferred_types(model: ir.Model, names: Sequence[str]) -> dict[str, tuple[ir.DataType, Sequence[int | None] | None]]:
    """Element types and shapes that onnxruntime infers for tensors of the main graph.

    Returns:
        For each name the element type, and the size of each axis, None for a symbolic one. The sizes are None as a
        whole for scalars and tensors of unknown rank, which onnxruntime does not distinguish.

    Raises:
        ModelError: onnxruntime does not accept the model.
    """
    copy = with_mapped_weights(model)
    outputs = set(copy.graph.outputs)
    copy.graph.outputs.extend(value for value in _find_values(copy, names) if value not in outputs)
    detach_weights(copy)
    options = quiet_options()
    add_libraries(options, libraries_of(model))
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = _session(copy, options, ["CPUExecutionProvider"])
    known = {value.name: (element_type(value.type), value.shape) for value in session.get_outputs()}
    found: dict[str, tuple[ir.DataType, Sequence[int | None] | None]] = {}
    for name in names:
        dtype, shape = known[name]
        if dtype is not None:
            found[name] = (dtype, [size if isinstance(size, int) else None for size in shape] or None)
    return found


def quiet_options() -> ort.SessionOptions:
    """Session options with basic graph optimizations only, so that no operator fusion changes an observed tensor."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = QUIET
    return options


def quiet_options_with_kernels() -> ort.SessionOptions:
    """`quiet_options` under which spiking nodes run by the kernels where they are installed.

    Raises:
        LibraryError: onnxruntime cannot load the library.
    """
    options = quiet_options()
    add_kernels(options)
    return options


def optimized_session(model: ir.Model) -> ort.InferenceSession:
    """A session on `model`, of less than 2 GiB, as onnxruntime opens it by default, with its fused kernels.

    Raises:
        ModelError: onnxruntime does not accept the model.
    """
    options = session_options(quiet=True, kernels=False, custom_ops=libraries_of(model))
    return _session(model, options, ["CPUExecutionProvider"])


def _session(model: ir.Model, options: ort.SessionOptions, providers: Sequence[str]) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(to_proto(model).SerializeToString(), options, providers=providers)
    except Exception as error:  # onnxruntime's exceptions share no other base class
        raise ModelError(f"onnxruntime does not accept the model: {error}{_remedy(model)}") from error


def _remedy(model: ir.Model) -> str:
    """The end of the error message for a model that onnxruntime does not accept: a remedy, if one is known."""
    values = (value for graph in model.graphs() for node in graph for value in node.outputs)
    if any(value.dtype is ir.DataType.BFLOAT16 for value in (*model.graph.inputs, *values)):
        return "; onnxruntime has few bfloat16 kernels: export the network in float16 or float32"
    return ""


def _find_values(model: ir.Model, names: Iterable[str]) -> list[ir.Value]:
    """The values with these names, that of the outer graph where subgraphs use a name again.

    Raises:
        CalibrationError: there is no such value, or it cannot be observed.
    """
    known = places(model)
    values: dict[str, ir.Value] = {}
    for graph in reversed([model.graph, *model.graph.subgraphs()]):
        values |= {str(value.name): value for value in graph.inputs} | dict(graph.initializers)
        values |= {str(output.name): output for node in graph for output in node.outputs}
    for name in names:
        if name not in values:
            close = difflib.get_close_matches(name, values, n=3)
            hint = f"; close names are {close}" if close else ""
            raise CalibrationError(f"the model has no tensor '{name}'{hint}")
        closed = closed_around(graph_of(values[name]), known)
        if closed is not None:
            raise CalibrationError(f"tensor '{name}' cannot be observed: it {why_closed(closed)}")
    return [values[name] for name in names]


def _shape_of(value: ir.Value, names: UniqueNames) -> ir.Value:
    """A new value in the graph of `value` that holds its shape, int64 [rank]."""
    builder = NodeBuilder(names, graph_of(value))
    return builder.named(f"{SHAPE_OF}{value.name}", "Shape", [value], dtype=ir.DataType.INT64)
