# SPDX-License-Identifier: Apache-2.0
"""Models of one node each, spiking or exact, that benchmarks/kernels.py times."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import onnx

from onnx_snn.arrays import Float32
from onnx_snn.config.convert_config import default_bases
from onnx_snn.config.neuron_settings import BetaCode
from onnx_snn.fitting.beta_codes import BetaSteps
from onnx_snn.fitting.density import uniform_density
from onnx_snn.fitting.function_fit import fit_function
from onnx_snn.fitting.identity_code import fit_identity
from onnx_snn.neurons.function_bodies import function_protos
from onnx_snn.neurons.functions import get
from onnx_snn.neurons.mbe import UNSCALED, MbeNeuron
from onnx_snn.neurons.opset import DOMAIN, MBE_NEURON, SPIKING_SOFTMAX, VERSION, Body, Operator

CHANNELS = 1024
CODE_LIMIT = 16.0
"""Largest magnitude that the identity code represents."""

OPSET, IR_VERSION = 17, 9
MICROSOFT = "com.microsoft"


class Variant(NamedTuple):
    """Options of a neuron that change the work of its kernel."""

    odd: bool
    scaled: bool
    metered: bool

    def __str__(self) -> str:
        return ", ".join(name for name, present in self._asdict().items() if present) or "plain"


PLAIN = Variant(False, False, False)


@cache
def function_neuron(name: str, bases: int, timesteps: int) -> MbeNeuron:
    """The neuron of a function."""
    return fit_function(get(name), bases, timesteps)


@cache
def identity_neuron(bases: int, timesteps: int) -> MbeNeuron:
    """A code of signed values."""
    return fit_identity(uniform_density(0.0, CODE_LIMIT), bases, timesteps, limit=CODE_LIMIT)


@cache
def step_neuron(segments: int, timesteps: int) -> MbeNeuron:
    """A beta code of signed values: step sizes decay by 0.7, each segment is an octave coarser than the one before."""
    code = BetaCode(0.7, 0, tuple(range(segments)))
    return BetaSteps(timesteps, code).neuron(CODE_LIMIT, one_sided=False, gate=True)


def neuron_model(neuron: MbeNeuron, variant: Variant = PLAIN, body: Body = Body.LOOP) -> onnx.ModelProto:
    """One MbeNeuron; scaled, it has a power of two for each channel."""
    exponents = np.random.default_rng(1).integers(-2, 3, CHANNELS)
    scale = np.ldexp(np.float32(1), exponents) if variant.scaled else UNSCALED
    constants = neuron.tensors() | {"scale": scale}
    return spiking_model(MBE_NEURON, constants, neuron.polarity, metered=variant.metered, body=body)


def composite_model(operator: Operator, length: int, timesteps: int) -> onnx.ModelProto:
    """One softmax or normalization, with neurons as a conversion chooses them."""
    bases = default_bases(timesteps)
    if operator is SPIKING_SOFTMAX:
        neurons = {name: function_neuron(name, bases.primitive, timesteps) for name in ("exp2", "reciprocal")}
        constants: dict[str, Float32] = {}
    else:
        neurons = {
            "deviation": identity_neuron(bases.identity, timesteps),
            "rsqrt": function_neuron("rsqrt", bases.primitive, timesteps),
        }
        constants = {"deviation_scale": UNSCALED, **normalization_constants(length)}
    for prefix, neuron in neurons.items():
        constants |= {f"{prefix}_{name}": tensor for name, tensor in neuron.tensors().items()}
    return spiking_model(operator, {name: constants[name] for name in operator.inputs if name in constants}, 1)


def normalization_constants(length: int) -> dict[str, Float32]:
    return {"gamma": np.ones(length, np.float32), "beta": np.zeros(length, np.float32), "epsilon": np.float32(1e-5)}


def spiking_model(
    operator: Operator,
    constants: dict[str, Any],
    polarity: int,
    *,
    metered: bool = False,
    body: Body = Body.LOOP,
) -> onnx.ModelProto:
    """One spiking op with its function."""
    attributes = {"polarity": polarity} if operator.polarized else {}
    node = onnx.helper.make_node(operator.name, operator.inputs, operator.outputs(metered), domain=DOMAIN, **attributes)
    functions = function_protos([operator.name], opset=OPSET, body=body, metered=metered)
    return node_model(node, constants, functions)


def exact_model(op_type: str, length: int) -> onnx.ModelProto:
    """One op of onnxruntime's."""
    domain = MICROSOFT if op_type == "Gelu" else ""
    names = {"LayerNormalization": ("gamma", "beta"), "SimplifiedLayerNormalization": ("gamma",)}.get(op_type, ())
    values = normalization_constants(length)
    node = onnx.helper.make_node(op_type, ["x", *names], ["y"], domain=domain)
    return node_model(node, {name: values[name] for name in names})


def node_model(
    node: onnx.NodeProto, constants: dict[str, Any], functions: Sequence[onnx.FunctionProto] = ()
) -> onnx.ModelProto:
    """The node between an input x and outputs y and whichever count spikes."""
    value = onnx.helper.make_tensor_value_info
    counts = [value(name, onnx.TensorProto.INT64, None) for name in node.output[1:]]
    graph = onnx.helper.make_graph(
        [node],
        "kernel",
        [value("x", onnx.TensorProto.FLOAT, [None, None])],
        [value("y", onnx.TensorProto.FLOAT, [None, None]), *counts],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    versions = {"": OPSET, DOMAIN: VERSION, MICROSOFT: 1}
    opsets = [onnx.helper.make_opsetid(domain, number) for domain, number in versions.items()]
    return onnx.helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=IR_VERSION)
