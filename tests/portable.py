# SPDX-License-Identifier: Apache-2.0
"""Models of one spiking op whose parameters are inputs, so that one session serves every drawn neuron."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from onnx_snn.arrays import Float32
from onnx_snn.neurons.function_bodies import function_protos
from onnx_snn.neurons.mbe import UNSCALED, MbeNeuron
from onnx_snn.neurons.opset import DOMAIN, PARAMETERS, VERSION, Body, Operator
from onnx_snn.runtime.session import get_library_path

OPSET = 17
"""Standard opset of the tests that vary something else."""

IR_VERSION = 9


def model_of(
    operator: Operator,
    *,
    body: Body,
    metered: bool,
    polarity: int = 0,
    opset: int = OPSET,
    shape: Sequence[int] | None = None,
) -> onnx.ModelProto:
    """A model of one node, whose inputs and outputs are the graph's; all of free shape but x, which has `shape`."""
    outputs = operator.outputs(metered)
    attributes = {"polarity": polarity} if operator.polarized else {}
    node = onnx.helper.make_node(operator.name, operator.inputs, outputs, domain=DOMAIN, **attributes)
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape if name == "x" else None)
        for name in operator.inputs
    ]
    graph = onnx.helper.make_graph([node], operator.name, inputs, [_output(name) for name in outputs])
    imports = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid(DOMAIN, VERSION)]
    functions = function_protos([operator.name], opset=opset, body=body, metered=metered)
    return onnx.helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=IR_VERSION)


def _output(name: str) -> onnx.ValueInfoProto:
    dtype = onnx.TensorProto.INT64 if name.endswith("spikes") else onnx.TensorProto.FLOAT
    return onnx.helper.make_tensor_value_info(name, dtype, None)


def with_constants(model: onnx.ModelProto, constants: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """A copy of `model` with some inputs as initializers."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    remaining = [value for value in copy.graph.input if value.name not in constants]
    del copy.graph.input[:]
    copy.graph.input.extend(remaining)
    return copy


def session_of(model: onnx.ModelProto, *, kernels: bool = False, threads: int = 1) -> onnxruntime.InferenceSession:
    """An onnxruntime session, stock or with the kernels; one thread, because the tensors are small."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if kernels:
        options.register_custom_ops_library(str(get_library_path()))
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)


class Native:
    """A model under onnxruntime with the kernels; outputs by name."""

    def __init__(self, model: onnx.ModelProto, *, threads: int = 1) -> None:
        self.names = [output.name for output in model.graph.output]
        self.session = session_of(model, kernels=True, threads=threads)

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return dict(zip(self.names, self.session.run(self.names, dict(feeds)), strict=True))


class Portable:
    """A model under onnxruntime and under ONNX's reference evaluator; both return outputs by name."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.names = [output.name for output in model.graph.output]
        self._session = session_of(model)
        self._evaluator = ReferenceEvaluator(model)

    def onnxruntime(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return dict(zip(self.names, self._session.run(self.names, dict(feeds)), strict=True))

    def reference(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with np.errstate(all="ignore"):
            return dict(zip(self.names, self._evaluator.run(self.names, dict(feeds)), strict=True))


def parameters(neuron: MbeNeuron, prefix: str = "") -> dict[str, Float32]:
    """The tensors of `neuron` as operator inputs."""
    return {prefix + name: getattr(neuron, name) for name in PARAMETERS}


def neuron_feeds(neuron: MbeNeuron, x: Float32, scale: Float32 = UNSCALED) -> dict[str, Float32]:
    """Inputs of `MbeNeuron`."""
    return {"x": x, **parameters(neuron), "scale": scale}


def assert_same_bits(actual: NDArray[Any], expected: NDArray[Any], what: str) -> None:
    """Same shape, same type, same bits: zeros with their sign, NaN with their payload."""
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype), what
    differing = np.flatnonzero(_bits(actual) != _bits(expected))
    assert differing.size == 0, (
        f"{what}: {differing.size} of {actual.size} elements differ, the first at {differing[0]}: "
        f"{actual.flat[differing[0]]!r} instead of {expected.flat[differing[0]]!r}"
    )


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    contiguous = np.ascontiguousarray(values).ravel()
    return contiguous.view(np.uint32) if contiguous.dtype == np.float32 else contiguous
