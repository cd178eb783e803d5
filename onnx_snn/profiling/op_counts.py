# SPDX-License-Identifier: Apache-2.0
"""Operation counts of one node in the original and in the spiking network, from its shapes and its spikes.

A transcendental function is counted as the additions, multiplications and comparisons of a typical float32
implementation, since energy figures exist for these:

    division       a reciprocal from a table, two Newton steps, one multiplication
    square root    an inverse square root from a table, two Newton steps, one multiplication
    exp            2**round(x log2 e) times a polynomial of degree 5 of the remainder, taken in two parts
    log            a polynomial of degree 8 of the mantissa and a multiple of the exponent
    tanh           an odd polynomial of degree 13 over an even one of degree 6, on a clamped argument
    erf            Abramowitz and Stegun 7.1.26: a polynomial of degree 5 of 1 / (1 + p x), times exp(-x**2)
    quantization   a division, two additions (rounding, zero point) and two comparisons (clipping); dequantization is
                   a subtraction and a multiplication

Scaling by a power of two is free. Nodes that only move or select values have no operations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.graph.domains import MICROSOFT
from onnx_snn.graph.shapes import Shape
from onnx_snn.metadata import IDENTITY
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import MBE_NEURON, SPIKING_LAYER_NORMALIZATION, SPIKING_SOFTMAX
from onnx_snn.neurons.sum_factors import factors_of_product
from onnx_snn.profiling.activity import NeuronActivity, ProductActivity
from onnx_snn.profiling.energy import NOTHING, NodeWork, Operations, Work

ADD = Operations(accumulate=1)
MULTIPLY = Operations(multiply=1)
FUSED = Operations(multiply_accumulate=1)
COMPARE = Operations(comparison=1)

DIVIDE = FUSED * 4 + MULTIPLY
SQUARE_ROOT = FUSED * 4 + MULTIPLY * 4
EXP = FUSED * 7 + MULTIPLY + ADD
LOG = FUSED * 9 + ADD
TANH = FUSED * 9 + MULTIPLY * 2 + COMPARE * 2 + DIVIDE
SIGMOID = EXP + ADD + DIVIDE
ERF = FUSED * 6 + MULTIPLY * 2 + DIVIDE + EXP
SOFTPLUS = EXP + ADD + LOG
CLIP = COMPARE * 2
HARD_SIGMOID = FUSED + CLIP

FUNCTIONS = {
    "identity": NOTHING,
    "gelu": ERF + ADD + MULTIPLY * 3,
    "gelu_tanh": TANH + FUSED + ADD + MULTIPLY * 5,
    "gelu_quick": SIGMOID + MULTIPLY * 2,
    "silu": SIGMOID + MULTIPLY,
    "mish": SOFTPLUS + TANH + MULTIPLY,
    "tanh": TANH,
    "sigmoid": SIGMOID,
    "erf": ERF,
    "softplus": SOFTPLUS,
    "softsign": ADD + DIVIDE,
    "relu": COMPARE,
    "leaky_relu": COMPARE + MULTIPLY,
    "elu": COMPARE + EXP + ADD + MULTIPLY,
    "hard_sigmoid": HARD_SIGMOID,
    "hard_swish": HARD_SIGMOID + MULTIPLY,
    "exp": EXP,
    "exp2": EXP,
    "reciprocal": DIVIDE,
    "rsqrt": SQUARE_ROOT,
}
"""Operations for one element of each function in `onnx_snn.neurons.functions`, by its name without parameters."""

UNKNOWN_FUNCTION = EXP + DIVIDE
"""Operations for one element of a function that the user registered: about those of a sigmoid."""

ELEMENTWISE = {
    "Add": ADD,
    "Sub": ADD,
    "Mul": MULTIPLY,
    "Div": DIVIDE,
    "Pow": MULTIPLY,
    "Sqrt": SQUARE_ROOT,
    "Reciprocal": DIVIDE,
    "Exp": EXP,
    "Log": LOG,
    "Sin": EXP,
    "Cos": EXP,
    "Erf": ERF,
    "Tanh": TANH,
    "Sigmoid": SIGMOID,
    "Softplus": SOFTPLUS,
    "Softsign": FUNCTIONS["softsign"],
    "Gelu": FUNCTIONS["gelu"],
    "QuickGelu": FUNCTIONS["gelu_quick"],
    "FastGelu": FUNCTIONS["gelu_tanh"],
    "Swish": FUNCTIONS["silu"],
    "Mish": FUNCTIONS["mish"],
    "HardSwish": FUNCTIONS["hard_swish"],
    "HardSigmoid": HARD_SIGMOID,
    "Relu": COMPARE,
    "LeakyRelu": FUNCTIONS["leaky_relu"],
    "PRelu": FUNCTIONS["leaky_relu"],
    "Elu": FUNCTIONS["elu"],
    "Selu": FUNCTIONS["elu"],
    "Celu": FUNCTIONS["elu"],
    "Clip": CLIP,
    "Min": COMPARE,
    "Max": COMPARE,
    "BatchNormalization": FUSED,
    "BiasAdd": ADD,
    "QuantizeLinear": DIVIDE + ADD * 2 + CLIP,
    "DynamicQuantizeLinear": COMPARE * 2 + DIVIDE + ADD * 2 + CLIP,
    "DequantizeLinear": ADD + MULTIPLY,
}
"""Operations for one element of the output, by elementwise operator."""

REDUCTIONS = {
    "ReduceMean": ADD,
    "ReduceSum": ADD,
    "GlobalAveragePool": ADD,
    "ReduceMax": COMPARE,
    "ReduceMin": COMPARE,
    "GlobalMaxPool": COMPARE,
    "ReduceL2": FUSED,
    "ReduceSumSquare": FUSED,
}
"""Operations for one element of the input, by reduction operator."""

POOLS = {"AveragePool": ADD, "MaxPool": COMPARE}
"""Operations for one element of the kernel window and one element of the output, by pooling operator."""

SOFTMAXES = frozenset(("Softmax", "LogSoftmax"))
CENTRED_NORMS = frozenset(("LayerNormalization", "InstanceNormalization", "GroupNormalization"))
NORMS = CENTRED_NORMS | {"RMSNormalization", "SimplifiedLayerNormalization"}

COUNTED = frozenset((*ELEMENTWISE, *REDUCTIONS, *POOLS, *SOFTMAXES, *NORMS))
"""Operators, standard or onnxruntime's of the same name, whose operations `work_of_kept` counts."""


def is_counted(node: ir.Node, flow: ActivationFlow) -> bool:
    """Whether `node` computes with activations and `work_of_kept` counts its operations."""
    counted = node.domain in ("", MICROSOFT) and node.op_type in COUNTED
    return counted and any(flow.is_activation(value) for value in (*node.inputs, *node.outputs))


def work_of_kept(node: ir.Node, x: Shape, y: Shape) -> Work:
    """Work of a node that a conversion keeps, the same in both networks.

    Args:
        node: a node for which `is_counted` holds.
        x: shape of its first input.
        y: shape of its first output.
    """
    inputs, outputs = math.prod(x), math.prod(y)
    rows = inputs // max(x[-1], 1) if x else 1
    if node.op_type in SOFTMAXES:
        operations = _softmax(inputs, rows, EXP)
    elif node.op_type in NORMS:
        operations = _norm(inputs, rows, centred=node.op_type in CENTRED_NORMS) + (SQUARE_ROOT + DIVIDE) * rows
    elif node.op_type in REDUCTIONS:
        operations = REDUCTIONS[node.op_type] * inputs
    elif node.op_type in POOLS:
        operations = POOLS[node.op_type] * (outputs * math.prod(node.attributes["kernel_shape"].as_ints()))
    else:
        operations = ELEMENTWISE[node.op_type] * outputs
    return Work.of_numbers(others=operations, access=inputs + outputs)


def work_of_product(activity: ProductActivity, outputs: int, codes: Sequence[MbeNeuron] = ()) -> NodeWork:
    """Work of a product node over all data.

    Args:
        activity: counts of the node.
        outputs: number of elements of its outputs over all data.
        codes: the neurons of its coded operands.
    """
    macs = activity.multiply_accumulates
    numbers = Work.of_numbers(synapses=FUSED * macs, access=2 * macs + outputs)
    if not activity.spiking:
        return NodeWork(activity.node, activity.operator, numbers, numbers)
    arrived = sum(operand.spikes for operand in activity.operands)
    readout = ADD * sum(code.bases - 1 for code in codes)
    spiking = Work(
        synapses=ADD * activity.synaptic_operations,
        memory=Operations(access=3 * activity.synaptic_operations + arrived),
        scaling=(MULTIPLY * factors_of_product(codes) + readout) * outputs,
        core=Operations(synaptic_event=activity.synaptic_operations, spike_event=arrived),
    )
    return NodeWork(activity.node, activity.operator, numbers, spiking)


def work_of_spiking(op_type: str, activities: Sequence[NeuronActivity], routed: Sequence[bool]) -> NodeWork:
    """Work of a spiking node over all data.

    Args:
        op_type: op type of the node.
        activities: activity of each of its neurons, in the order of the op's roles.
        routed: for each neuron, whether its segments are disjoint, so that one basis suffices for an element.
    """
    source, elements, rows = activities[0].source, activities[0].elements, activities[-1].elements
    every = sum((_every_basis(activity) for activity in activities), NOTHING)
    found = NOTHING
    for activity, disjoint in zip(activities, routed, strict=True):
        found += _routed(activity) if disjoint else _every_basis(activity)
    if op_type == MBE_NEURON.name:
        original = FUNCTIONS.get(source.partition("(")[0], UNKNOWN_FUNCTION) * elements
        around = NOTHING
    elif op_type == SPIKING_SOFTMAX.name:
        original = _softmax(elements, rows, EXP)
        around = _softmax(elements, 0, MULTIPLY + ADD * 3)  # the factor log2(e), integer and fractional part, exponent
    else:
        around = _norm(elements, rows, centred=op_type == SPIKING_LAYER_NORMALIZATION.name)
        original = around + (SQUARE_ROOT + DIVIDE) * rows
    code = source == IDENTITY
    written = activities[0].total if code else elements
    updates = Operations(neuron_update=sum(activity.elements * activity.slots for activity in activities))
    memory = Operations(access=elements + written)
    return NodeWork(
        activities[0].node,
        source,
        Work.of_numbers(others=original, access=0 if code else 2 * elements),
        Work(
            neurons=every + around,
            routed=found + around,
            memory=memory,
            core=updates + around + (NOTHING if code else memory),
        ),
    )


def _every_basis(activity: NeuronActivity) -> Operations:
    """Operations of a neuron by its definition: every basis reads the element and compares at every step."""
    per_element = (ADD + MULTIPLY) * activity.bases + COMPARE * activity.slots
    return per_element * activity.elements + ADD * (2 * activity.total)


def _routed(activity: NeuronActivity) -> Operations:
    """Operations of a neuron that finds the segment of an element by bisection and evaluates that basis alone."""
    search = COMPARE * math.ceil(math.log2(activity.bases))
    return (search + ADD + MULTIPLY + COMPARE * activity.timesteps) * activity.elements + ADD * (2 * activity.total)


def _softmax(elements: int, rows: int, exponential: Operations) -> Operations:
    """Operations of a softmax: maximum, difference, exponential, sum and product for each element; a division a row."""
    return (COMPARE + ADD * 2 + exponential + MULTIPLY) * elements + DIVIDE * rows


def _norm(elements: int, rows: int, *, centred: bool) -> Operations:
    """Operations of a normalization but for the inverse square root.

    For each element a square, its sum, and products with the inverse deviation and gamma; if `centred`, also the mean,
    the difference from it, and beta.
    """
    per_element = (ADD * 2 + FUSED * 2 + MULTIPLY) if centred else (FUSED + MULTIPLY * 2)
    return per_element * elements + (MULTIPLY * (1 + centred) + ADD) * rows
