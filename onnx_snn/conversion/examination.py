# SPDX-License-Identifier: Apache-2.0
"""The first stages of a conversion: from a source to a checked network, and to what of it is to be converted."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass

import onnx_ir as ir

from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.coverage import Coverage
from onnx_snn.conversion.selection import resolve, select
from onnx_snn.conversion.stopwatch import Stopwatch
from onnx_snn.decompositions.decomposer import decompose
from onnx_snn.errors import ModelError
from onnx_snn.graph.model_reader import ModelSource, load_model
from onnx_snn.graph.unique_names import make_names_unique
from onnx_snn.neurons.opset import DOMAIN
from onnx_snn.rules import recognise

CACHES = ("past_", "present")
"""How the names of inputs and outputs begin that hold the keys and values of earlier tokens."""


@dataclass(frozen=True)
class Examined:
    """A network whose sites are known.

    Attributes:
        model: a copy of the original whose functions and fused operators are written out in standard operators, as far
            as something in them is converted.
        coverage: what becomes of its nonlinear nodes.
    """

    model: ir.Model
    coverage: Coverage


def load_original(source: ModelSource, watch: Stopwatch) -> ir.Model:
    """The network to convert, with unique names.

    Raises:
        ModelError: it cannot be read, or is a spiking network already.
    """
    with watch("load"):
        original = load_model(source)
        # Codes of codes would only add error.
        if any(node.domain == DOMAIN for node in original.graph.all_nodes()):
            raise ModelError(f"{name_of_source(source)}: it is a spiking network already; convert the original instead")
        make_names_unique(original)
    return original


def name_of_source(source: ModelSource) -> str:
    """What messages call a network: its path, or the type of the object."""
    return str(source) if isinstance(source, (str, os.PathLike)) else type(source).__name__


def examine(original: ir.Model, name: str, config: ConvertConfig, watch: Stopwatch) -> Examined:
    """Find what of `original` is to be converted; it is left as it is.

    Raises:
        ConfigError: a name in `config` matches no node.
        ModelError: nothing in it can be converted.
    """
    with watch("decompose"):
        model = original.clone()
        decomposed = decompose(model)
    with watch("recognise"):
        coverage = Coverage(name, recognise(model), decomposed.stay)
        coverage.kept = select(coverage.recognition.sites, config)
        coverage.refuse_bodies(model)
        idle = decomposed.origins - coverage.wanted_origins()
        if idle:
            model = original.clone()
            stay = decompose(model, held=idle).stay
            coverage = coverage.with_held(idle, recognise(model), stay)
        coverage.decomposed = bool(decomposed.origins)
        coverage.check_any()
        resolve(coverage.recognition.sites, config)  # settings of nodes that are not there are an error at once
    return Examined(model, coverage)


def for_network(config: ConvertConfig, network: ir.Model) -> ConvertConfig:
    """`config` with what it leaves to the network: one that keeps a cache gets no sparse neurons unless asked for.

    It generates, and a token that is chosen otherwise changes all that follow.
    """
    names = [value.name or "" for value in (*network.graph.inputs, *network.graph.outputs)]
    if config.lean is None and any(name.startswith(CACHES) for name in names):
        return dataclasses.replace(config, lean=False)
    return config
