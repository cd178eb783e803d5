# SPDX-License-Identifier: Apache-2.0
"""The first stages of a conversion: load a network, decompose it, recognise its sites and select those to convert."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from onnx_snn.calibration.ranks import Ranks, inferred_ranks, lacks_ranks, observed_ranks, set_ranks
from onnx_snn.config.convert_config import (
    FEW_TIMESTEPS,
    GENERATING_MAX_ERROR,
    RECURRENT_MAX_ERROR,
    ConvertConfig,
)
from onnx_snn.conversion.coverage import Coverage
from onnx_snn.conversion.selection import resolve, select
from onnx_snn.conversion.stopwatch import Stopwatch
from onnx_snn.data.feeds import Feeds
from onnx_snn.decompositions.decomposer import decompose
from onnx_snn.decompositions.unclaimed import recognise_decomposed
from onnx_snn.errors import ModelError
from onnx_snn.graph.model_reader import ModelSource, load_model
from onnx_snn.graph.operator_lists import RECURRENT, RECURRENT_MICROSOFT
from onnx_snn.graph.unique_names import make_names_unique
from onnx_snn.neurons.opset import DOMAIN

CACHES = ("past_", "present")
"""Prefixes of the names of inputs and outputs that hold a key/value cache."""


@dataclass(frozen=True)
class Examined:
    """A network whose sites are known.

    Attributes:
        model: a copy of the original in which the functions and fused operators that hold a site to convert are
            decomposed into standard operators.
        coverage: the state of its nonlinear nodes.
        ranks: ranks of tensors that the original does not declare, as far as rules need them.
    """

    model: ir.Model
    coverage: Coverage
    ranks: Ranks


def load_original(source: ModelSource, stopwatch: Stopwatch, custom_ops: Sequence[str | Path] = ()) -> ir.Model:
    """The network to convert, with unique names; `custom_ops` are libraries of operators that it needs.

    Raises:
        LibraryError: a library does not exist.
        ModelError: it cannot be read, or is a spiking network already.
    """
    with stopwatch("load"):
        original = load_model(source, custom_ops)
        # Neurons for spiking nodes would only add a second quantization error.
        if any(node.domain == DOMAIN for node in original.graph.all_nodes()):
            raise ModelError(f"{name_of_source(source)}: it is a spiking network already; convert the original instead")
        make_names_unique(original)
    return original


def name_of_source(source: ModelSource) -> str:
    """Name of a network in messages: its path, or the type of the object."""
    return str(source) if isinstance(source, (str, os.PathLike)) else type(source).__name__


def examine(
    original: ir.Model, name: str, config: ConvertConfig, stopwatch: Stopwatch, ranks: Ranks | None = None
) -> Examined:
    """Find the sites of `original` to convert; it is not edited.

    Args:
        original: the network.
        name: its name in messages.
        config: options of the conversion.
        stopwatch: takes the times of the stages.
        ranks: ranks that calibration observed; None before it, where sites may be missed that need them.

    Raises:
        ConfigError: a name in `config` matches no node.
        ModelError: nothing in it can be converted.
    """
    with stopwatch("decompose"):
        model = original.clone()
        decomposed = decompose(model)
        known = _with_ranks(model, ranks or {})
    with stopwatch("recognise"):
        coverage = Coverage(name, recognise_decomposed(model, decomposed), decomposed.undecomposed)
        coverage.kept = select(coverage.recognition.sites, config)
        coverage.refuse_bodies(model)
        intact = decomposed.origins - coverage.selected_origins()
        if intact:
            model = original.clone()
            apart = decompose(model, intact=intact)
            known = _with_ranks(model, known)
            coverage = coverage.with_intact(intact, recognise_decomposed(model, apart, intact), apart.undecomposed)
        coverage.decomposed = bool(decomposed.origins)
        if ranks is not None or not lacks_ranks(model):
            coverage.check_any()
        resolve(coverage.recognition.sites, config)  # report settings for unknown nodes before calibration
    return Examined(model, coverage, known)


def examine_on_data(
    original: ir.Model, examined: Examined, feeds: Feeds, config: ConvertConfig, stopwatch: Stopwatch
) -> Examined:
    """`examined`, or where it lacks ranks of tensors, `original` examined once more with those that `feeds` show.

    Raises:
        ConfigError, ModelError: as for `examine`.
        CalibrationError: the network fails on the data.
    """
    if not lacks_ranks(examined.model):
        return examined
    with stopwatch("calibrate"):
        ranks = {**examined.ranks, **observed_ranks(examined.model, feeds)}
    return examine(original, examined.coverage.source, config, stopwatch, ranks)


def _with_ranks(model: ir.Model, ranks: Ranks) -> Ranks:
    """`ranks` and the inferred ones, both of which are set in `model`."""
    set_ranks(model, ranks)
    if lacks_ranks(model):
        ranks = {**ranks, **inferred_ranks(model)}
        set_ranks(model, ranks)
    return ranks


def for_network(config: ConvertConfig, network: ir.Model) -> ConvertConfig:
    """`config` with the options that depend on the network filled in.

    Unless `config.max_error` gives an error budget, a network with a key/value cache gets a tighter one, as one
    different token changes all later ones of a text, and so does one with recurrent cells or loops that keep a state,
    whose errors come back.
    """
    names = [value.name or "" for value in (*network.graph.inputs, *network.graph.outputs)]
    if config.max_error is None and any(name.startswith(CACHES) for name in names):
        return dataclasses.replace(config, max_error=GENERATING_MAX_ERROR)
    recurrent = any(map(_feeds_back, network.graph.all_nodes()))
    if config.max_error is None and recurrent and config.timesteps > FEW_TIMESTEPS:
        return dataclasses.replace(config, max_error=RECURRENT_MAX_ERROR)
    return config


def _feeds_back(node: ir.Node) -> bool:
    """Whether numbers that `node` computes in one step are read in the next."""
    if node.op_type not in ("Loop", "Scan") or node.domain != "":
        return node.op_type in RECURRENT | RECURRENT_MICROSOFT
    inputs = list(node.attributes["body"].as_graph().inputs)
    # The body of a Loop takes the iteration and a condition first, that of a Scan elements of its sequences last.
    states = inputs[2:] if node.op_type == "Loop" else inputs[: -node.attributes.get_int("num_scan_inputs", 0)]
    return any(state.dtype is None or state.dtype.is_floating_point() for state in states)
