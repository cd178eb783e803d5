# SPDX-License-Identifier: Apache-2.0
"""The functions that define the spiking ops by standard ONNX ops, written in ONNX text syntax.

The body of `MbeNeuron` comes in two forms with the same results: `Body.LOOP` runs the neuron step by step in an ONNX
`Loop`, `Body.CLOSED` evaluates the closed form of halving neurons, and only the steps of single bases in a loop.
`onnx_snn.neurons.bodies` holds the text of each op.

Sums over rows run in float64 and are rounded once to float32, so that all runtimes return the same bits. Those over
bases run in float32 where the file's neurons guarantee that they are exact. `Precision.SINGLE` has float32 for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import onnx

from onnx_snn.neurons.bodies import halving
from onnx_snn.neurons.bodies.guarantees import Guarantees, has_closed_form
from onnx_snn.neurons.bodies.guard import guard_texts
from onnx_snn.neurons.bodies.mbe_neuron import mbe_neuron
from onnx_snn.neurons.bodies.normalization import (
    halving_layer_normalization,
    halving_rms_normalization,
    layer_normalization,
    rms_normalization,
)
from onnx_snn.neurons.bodies.softmax import softmax
from onnx_snn.neurons.bodies.statements import Target
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import (
    DOMAIN,
    MBE_NEURON,
    OPERATORS,
    SPIKING_LAYER_NORMALIZATION,
    SPIKING_RMS_NORMALIZATION,
    SPIKING_SOFTMAX,
    VERSION,
    Body,
    Operator,
    Precision,
)

ANY_NEURONS = Guarantees()
"""No more than what holds for every neuron."""


def function_protos(
    names: Iterable[str],
    *,
    opset: int,
    body: Body = Body.LOOP,
    metered: bool = False,
    guarantees: Guarantees = ANY_NEURONS,
    precision: Precision = Precision.DOUBLE,
) -> list[onnx.FunctionProto]:
    """The functions that define the ops `names`, and `MbeNeuron`, which the others call.

    Args:
        names: op types of domain `onnx_snn`.
        opset: version of the standard operators that the model imports and the bodies use.
        body: time-step loop or closed form. `Body.CLOSED` is only valid where `closed_body_fits`.
        metered: whether every op also returns its spikes.
        guarantees: what all neurons of the file have in common.
        precision: type in which rows are added up.
    """
    needed, target = {MBE_NEURON.name, *names}, Target(opset, precision)
    if precision is Precision.SINGLE:
        guarantees = replace(guarantees, float32_sums=True)
    return [
        onnx.parser.parse_function(_text(operator, target, body, metered, guarantees))
        for name, operator in OPERATORS.items()
        if name in needed
    ]


def guard_protos(
    names: Iterable[str], *, opset: int, precision: Precision = Precision.DOUBLE
) -> list[onnx.FunctionProto]:
    """The functions that define the guarded forms of the ops `names`, by calls of these.

    Args:
        names: op types of domain `onnx_snn` that have a guarded form.
        opset: version of the standard operators that the model imports and the bodies use.
        precision: type in which rows are added up.
    """
    texts = guard_texts(frozenset(names), Target(opset, precision))
    return [onnx.parser.parse_function(text) for text in texts]


def closed_body_fits(neurons: Iterable[MbeNeuron]) -> bool:
    """Whether `Body.CLOSED` computes every one of `neurons`."""
    return all(has_closed_form(neuron) for neuron in neurons)


def _text(operator: Operator, target: Target, body: Body, metered: bool, guarantees: Guarantees) -> str:
    """ONNX text of the function of `operator`."""
    # Loop bodies are the definition, in which every op is a function over MbeNeuron.
    of_halving = _halving_text(operator, target, guarantees) if body is Body.CLOSED and not metered else None
    statements = (
        of_halving
        or {
            MBE_NEURON.name: lambda: mbe_neuron(target, body, guarantees, metered),
            SPIKING_SOFTMAX.name: lambda: softmax(target, metered),
            SPIKING_LAYER_NORMALIZATION.name: lambda: layer_normalization(target, metered),
            SPIKING_RMS_NORMALIZATION.name: lambda: rms_normalization(target, metered),
        }[operator.name]()
    )
    attributes = "<polarity>" if operator.polarized else ""
    signature = f"{operator.name} {attributes} ({', '.join(operator.inputs)})"
    header = f'<domain: "{DOMAIN}", opset_import: ["" : {target.opset}, "{DOMAIN}" : {VERSION}]>'
    return f"{header} {signature} => ({', '.join(operator.outputs(metered))}) {{ {statements} }}"


def _halving_text(operator: Operator, target: Target, guarantees: Guarantees) -> str | None:
    """The statements of `operator` of halving neurons; None if `guarantees` do not allow them."""
    if operator is MBE_NEURON:
        return halving.mbe_neuron(target, guarantees) if guarantees.halving_neurons else None
    if not guarantees.halving_primitives:
        return None
    return {
        SPIKING_SOFTMAX.name: lambda: halving.softmax(target),
        SPIKING_LAYER_NORMALIZATION.name: lambda: halving_layer_normalization(target, guarantees),
        SPIKING_RMS_NORMALIZATION.name: lambda: halving_rms_normalization(target, guarantees),
    }[operator.name]()
