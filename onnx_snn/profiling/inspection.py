# SPDX-License-Identifier: Apache-2.0
"""Inspection of a converted file: the options of its conversion, and its spiking nodes."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.errors import ModelError
from onnx_snn.evaluation.range_guard import load_unguarded
from onnx_snn.formatting import screen_table, wrapped
from onnx_snn.graph.inlined import is_inlined
from onnx_snn.json_files import parse_object
from onnx_snn.metadata import CONFIG_KEY, INLINED_KEY, SOURCE_KEY, VERSION_KEY
from onnx_snn.neurons import opset
from onnx_snn.rules.rule import name_of

_PLAIN = {guarded: plain for plain, guarded in opset.GUARDED.items()}
"""Op type of the plain form of each guarded op."""


@dataclass(frozen=True)
class Inspection:
    """Contents of a file.

    Attributes:
        path: path of the file.
        version: version of onnx-snn that converted the file; empty for a file that was not converted.
        config: options of the conversion.
        operators: number of nodes for each spiking op and replaced operation, such as "MbeNeuron (gelu)".
        slots: sum over all neurons of time steps times bases.
        nodes: number of all nodes, spiking or not.
        functions: spiking ops that the file defines as ONNX functions; a file without them needs the kernels.
        inlined: whether spiking nodes are written as standard operators, of which there are several for each.
    """

    path: str
    version: str
    config: dict[str, Any]
    operators: dict[str, int]
    slots: int
    nodes: int
    functions: tuple[str, ...]
    inlined: bool = False

    @property
    def mode(self) -> str:
        """How the neurons were chosen: "tuned" where single neurons have settings of their own, else the preset."""
        return "tuned" if self.config.get("nodes") else f"preset {self.config.get('preset', 'unknown')}"

    @property
    def changed(self) -> dict[str, Any]:
        """The recorded options that differ from their defaults, but for those of single neurons."""
        defaults = ConvertConfig().to_json()
        return {
            name: value
            for name, value in self.config.items()
            if name != "nodes" and (name not in defaults or defaults[name] != value)
        }

    def to_json(self) -> dict[str, Any]:
        """The contents as JSON values."""
        return {**dataclasses.asdict(self), "mode": self.mode, "changed": self.changed}

    def text(self) -> str:
        """The contents for a terminal."""
        if not self.operators:
            return f"{self.path}: {self.nodes} nodes, none of them spiking; convert it with: onnx-snn convert"
        rows = [(name, str(count)) for name, count in self.operators.items()]
        count, functions = sum(self.operators.values()), ", ".join(self.functions) or "none; it needs the kernels"
        spiking = f"{count} of {self.nodes} nodes are spiking"
        if self.inlined:
            spiking = f"{count} spiking nodes are written as standard operators, of {self.nodes} nodes in all"
            functions = "none; nor does it need the kernels, which do not run it"
        return "\n".join(
            [
                f"{self.path}: converted by onnx-snn {self.version or 'of unknown version'}",
                *(wrapped(line, indent="  ") for line in self._origin()),
                "",
                screen_table(("spiking op", "nodes"), rows),
                wrapped(f"{spiking}; time steps * bases, summed over their neurons: {self.slots}"),
                wrapped(f"ONNX functions in the file: {functions}"),
            ]
        )

    def _origin(self) -> list[str]:
        """Main options of the conversion, the choice of neurons, and all other options that are not defaults."""
        main = {name: self.config.get(name, "unknown") for name in ("timesteps", "scope", "preset")}
        nodes = self.config.get("nodes", [])
        neurons = f"tuned, {len(nodes)} with settings of their own" if nodes else "as the options above say"
        other = [f"{name} {_shown(value)}" for name, value in self.changed.items() if name not in main]
        return [
            f"made with: T={main['timesteps']}, scope {main['scope']}, preset {main['preset']}",
            f"neurons: {neurons}",
            f"options other than the defaults: {', '.join(other) or 'none'}",
        ]


def _shown(value: Any) -> str:
    """An option's value for a terminal."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def inspect(path: str | Path) -> Inspection:
    """Read the record of the conversion and the spiking nodes of the file `path`.

    Raises:
        ModelError: the file cannot be read, its record of the conversion is not a JSON object, or a node of the domain
            of spiking operators is none of them.
    """
    model = load_unguarded(path)
    nodes = list(ir.traversal.RecursiveGraphIterator(model.graph))
    inlined = _inlined(model, path)
    spiking = inlined if inlined is not None else spiking_records(node for node in nodes if node.domain == opset.DOMAIN)
    operators = Counter(f"{node['operator']} ({node['source']})" for node in spiking)
    return Inspection(
        path=str(path),
        version=model.metadata_props.get(VERSION_KEY, ""),
        config=_config(model, path),
        operators=dict(sorted(operators.items())),
        slots=sum(node["slots"] for node in spiking),
        nodes=len(nodes),
        inlined=inlined is not None,
        functions=tuple(name for domain, name, _ in model.functions if domain == opset.DOMAIN),
    )


def _config(model: ir.Model, path: str | Path) -> dict[str, Any]:
    try:
        return parse_object(model.metadata_props.get(CONFIG_KEY, "{}"))
    except ValueError as error:
        raise ModelError(f"{path}: its metadata {CONFIG_KEY!r} is not a JSON object ({error})") from error


def spiking_records(nodes: Iterable[ir.Node]) -> list[dict[str, Any]]:
    """What an inlined model records of its spiking `nodes` (`INLINED_KEY`)."""
    return [
        {
            "name": name_of(node),
            "operator": _PLAIN.get(node.op_type, node.op_type),
            "source": node.metadata_props.get(SOURCE_KEY, "?"),
            "slots": _slots(node),
        }
        for node in nodes
    ]


def _inlined(model: ir.Model, path: str | Path) -> list[dict[str, Any]] | None:
    """The record of the spiking nodes of an inlined model; None for other models."""
    if not is_inlined(model):
        return None
    try:
        records = json.loads(model.metadata_props[INLINED_KEY])
        return [{**record, "slots": int(record["slots"]), "source": record["source"]} for record in records]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: its metadata {INLINED_KEY!r} is no list of spiking nodes ({error})") from error


def _slots(node: ir.Node) -> int:
    """Time steps times bases, summed over the neurons of a spiking node: the elements of its thresholds [S, N]."""
    guarded = node.op_type in _PLAIN
    names = opset.OPERATORS[_PLAIN[node.op_type]].inputs if guarded else opset.operator_of(node).inputs
    thresholds = [value for name, value in zip(names, node.inputs, strict=not guarded) if name.endswith("threshold")]
    return sum(value.const_value.size for value in thresholds if value and value.const_value is not None)
