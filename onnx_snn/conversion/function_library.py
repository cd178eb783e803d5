# SPDX-License-Identifier: Apache-2.0
"""Attach: add the functions that define the spiking ops to a rewritten model, and metadata about its conversion."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import onnx_ir as ir

from onnx_snn.allocation.plan import SitePlan
from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.decompositions.type_inference import LOW_PRECISION
from onnx_snn.errors import ConfigError
from onnx_snn.metadata import CONFIG_KEY, VERSION_KEY
from onnx_snn.neurons import function_bodies
from onnx_snn.neurons.opset import DOMAIN, Body
from onnx_snn.profiling.spike_outputs import add_functions, countable_nodes, meter
from onnx_snn.version import __version__

MIN_IR_VERSION = 8
"""First IR version of ONNX with model-local functions."""


def attach(model: ir.Model, plans: Sequence[SitePlan], used: Iterable[str], config: ConvertConfig) -> None:
    """Add functions, metadata and, where `config` asks for them, spike counters to a rewritten model, in place.

    Args:
        model: the rewritten model.
        plans: its neurons.
        used: its spiking op types.
        config: options of the conversion.

    Raises:
        ConfigError: closed bodies were asked for, but a neuron has no closed form.
    """
    if config.body is Body.CLOSED and not have_closed_forms(plans):
        raise ConfigError("body 'closed' needs one basis, or thresholds that halve at every step; use body 'loop'")
    body = Body.LOOP if has_low_precision(model) else config.body
    if config.meter:
        meter(model, body, config.precision)
    else:
        add_functions(model, used, body, metered=False, precision=config.precision)
    model.ir_version = max(model.ir_version, MIN_IR_VERSION)
    model.metadata_props[VERSION_KEY] = __version__
    model.metadata_props[CONFIG_KEY] = json.dumps(config.to_json(), sort_keys=True)


def has_low_precision(model: ir.Model) -> bool:
    """Whether `model` holds float16 or bfloat16.

    Between standard nodes onnxruntime drops casts to such a type and back, as in a closed body, and so rounds less
    often than around a time loop or a kernel.
    """
    return any(value.dtype in LOW_PRECISION for value in (*model.graph.inputs, *model.graph.initializers.values()))


def closed_body_copy(model: ir.Model, plans: Sequence[SitePlan]) -> ir.Model:
    """A copy of the converted `model` whose functions have closed bodies: faster without kernels, bit-identical.

    If a neuron has no closed form, `model` itself is returned.
    """
    if not have_closed_forms(plans):
        return model
    copy = model.clone()
    used = [name for domain, name, _ in model.functions if domain == DOMAIN]
    metered = any(len(node.outputs) > 1 for node in countable_nodes(copy))
    add_functions(copy, used, Body.CLOSED, metered=metered)
    return copy


def have_closed_forms(plans: Sequence[SitePlan]) -> bool:
    """Whether closed bodies compute all neurons of `plans`."""
    return function_bodies.closed_body_fits(coding.neuron for plan in plans for coding in plan.neurons.values())
