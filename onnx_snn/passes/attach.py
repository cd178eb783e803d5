# SPDX-License-Identifier: Apache-2.0
"""Attach: give a rewritten model the functions that define its spiking ops, and the record of its making."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import onnx_ir as ir

from onnx_snn import bodies, opset
from onnx_snn.config import ConvertConfig
from onnx_snn.errors import ConfigError
from onnx_snn.plan import SitePlan
from onnx_snn.version import __version__

MIN_IR_VERSION = 8
"""The first IR version that knows model-local functions."""

VERSION_KEY = "onnx_snn.version"
CONFIG_KEY = "onnx_snn.config"


def attach(model: ir.Model, plans: Sequence[SitePlan], used: Iterable[str], config: ConvertConfig) -> None:
    """Add the functions of the op types `used` and the metadata to `model`, in place.

    Raises:
        ConfigError: closed bodies were asked for, but a neuron has no closed form.
    """
    neurons = [coding.neuron for plan in plans for coding in plan.codings().values()]
    if config.body is opset.Body.CLOSED and not bodies.closed_body_fits(neurons):
        raise ConfigError("body 'closed' needs halving kernels in every neuron; use body 'loop'")
    for proto in bodies.function_protos(used, opset=model.graph.opset_imports[""], body=config.body):
        function = ir.serde.deserialize_function(proto)
        model.functions[function.identifier()] = function
    model.ir_version = max(model.ir_version, MIN_IR_VERSION)
    model.metadata_props[VERSION_KEY] = __version__
    model.metadata_props[CONFIG_KEY] = json.dumps(config.to_json(), sort_keys=True)
