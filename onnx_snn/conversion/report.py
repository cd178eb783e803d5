# SPDX-License-Identifier: Apache-2.0
"""The report of a conversion: coverage, accuracy per node, parameters, slots and spikes, as text and as JSON."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.held_back import HeldBack
from onnx_snn.evaluation.range_guard import Guard
from onnx_snn.formatting import json_values, screen_table, wrapped
from onnx_snn.output_files import write_json
from onnx_snn.profiling.gain import Gain, verdict
from onnx_snn.rules.node_class import NodeClass
from onnx_snn.rules.site import Kind


class Status(enum.Enum):
    """The result of a conversion for one node.

    CONVERTED: it spikes. KEPT: it is unchanged, as the user chose. EXACT: it is unchanged, as it compares and
    selects values, which is exact without a neuron. REFUSED: it is unchanged, as it cannot be converted.
    """

    CONVERTED = "converted"
    KEPT = "kept"
    EXACT = "exact"
    REFUSED = "refused"


KIND_LABELS = {kind.value: kind.label for kind in Kind}
"""Words for the kinds of sites by the value of `Kind`, which JSON reports hold."""


@dataclass(frozen=True)
class NodeReport:
    """One node or pattern of the original network.

    Attributes:
        name: name of the last node of the pattern.
        kind: kind of site, such as "function" or "synapse"; the op type of a node that no rule matches.
        function: name of the fitted function; empty for other kinds.
        status: whether it was converted.
        reason: why it was not converted; empty when it was.
        sqnr_db: ratio of signal to conversion error at its output on calibration data, in decibels; None where it was
            not measured.
        spikes: mean spikes per element of each of its neurons, on the calibration distribution.
        slots: pairs of basis and time step in which a neuron can fire, summed over its neurons; an identity code that
            several nodes read counts for the first of them.
        parameters: number of stored parameters of these neurons.
        least_spikes: Shannon's bound of `spikes`, for its identity codes: the fewest of any code of the same error and
            as many slots (`onnx_snn.fitting.shannon_bound`).
        least_bits: bits for each element that any code of the same error must carry, for its identity codes.
        cast_from: element type of its inputs, such as "float64", where they are cast to float32 for its neurons; empty
            for float32.
    """

    name: str
    kind: str
    function: str = ""
    status: Status = Status.CONVERTED
    reason: str = ""
    sqnr_db: float | None = None
    spikes: dict[str, float] = field(default_factory=dict)
    slots: int = 0
    parameters: int = 0
    least_spikes: dict[str, float] = field(default_factory=dict)
    least_bits: dict[str, float] = field(default_factory=dict)
    cast_from: str = ""

    @property
    def label(self) -> str:
        """Kind and function in words, such as "weight matmul" or "function gelu"."""
        return f"{KIND_LABELS.get(self.kind, self.kind)} {self.function}".strip()


@dataclass(frozen=True)
class OutputReport:
    """Difference between original and spiking network at one output, on calibration samples.

    Attributes:
        name: output of the model.
        relative_error: Frobenius norm of the difference over that of the original output.
        maximum_error: largest absolute difference.
        agreement: share of equal argmax over the last axis; None for outputs that are no class scores
            (`onnx_snn.evaluation.class_scores`).
    """

    name: str
    relative_error: float
    maximum_error: float
    agreement: float | None


@dataclass(frozen=True)
class ConversionReport:
    """Result of `onnx_snn.convert`.

    Attributes:
        source: path of the original, or type of the object.
        output: file that was written; None for a dry run.
        config: the options in force.
        nodes: every nonlinear node and, in scope full, every weight matmul and convolution.
        outputs: differences at the outputs; empty for a dry run.
        calibration_samples: number of calibration samples.
        seconds: time of each stage in seconds.
        error: relative error at the output for which neurons were chosen, as `onnx_snn.allocation.output_error` defines
            it; None where they were not chosen.
        gain: spikes and energy on calibration samples; None for a dry run.
        classes: number of nodes of the network in each class, by the values of `onnx_snn.rules.node_class.NodeClass`;
            every node is in one. Subgraphs count, and functions and fused operators as they are decomposed.
        upgrade: what was done to an old opset, in words; empty for a network of opset 13 or later.
        held_back: errors of a copy that was calibrated without some samples; None where none were held back.
        guard: what the range guard counts; None without one.
        single: differences at the outputs between the functions in the file and the same in double precision; empty
            where they are in double precision.
        warnings: what threatens the error on other data, or makes most of it, and what to do.
    """

    source: str
    output: str | None
    config: ConvertConfig
    nodes: tuple[NodeReport, ...]
    outputs: tuple[OutputReport, ...] = ()
    calibration_samples: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    error: float | None = None
    gain: Gain | None = None
    classes: dict[str, int] = field(default_factory=dict)
    upgrade: str = ""
    held_back: HeldBack | None = None
    guard: Guard | None = None
    single: tuple[OutputReport, ...] = ()
    warnings: tuple[str, ...] = ()

    def count(self, status: Status) -> int:
        """Number of nodes with `status`."""
        return sum(node.status is status for node in self.nodes)

    @property
    def slots(self) -> int:
        """Number of slots of all neurons."""
        return sum(node.slots for node in self.nodes)

    @property
    def parameters(self) -> int:
        """Number of stored parameters of all neurons."""
        return sum(node.parameters for node in self.nodes)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {**json_values(self), "config": self.config.to_json()}

    def save(self, path: str | Path) -> None:
        """Write the report as a JSON file.

        Raises:
            OutputError: it cannot be written.
        """
        write_json(path, self.to_json())

    def text(self, *, nodes: bool = False) -> str:
        """The report for a terminal; with `nodes`, one line for each node as well."""
        target = f"-> {self.output}" if self.output else "(dry run, nothing written)"
        lines = [
            f"{self.source} {target}",
            wrapped(
                f"T={self.config.timesteps}, scope {self.config.scope.value}, preset {self.config.preset.value}; "
                f"{self.calibration_samples} calibration samples; "
                + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in self.seconds.items())
            ),
            *([wrapped(self.upgrade)] if self.upgrade else []),
            "",
            screen_table(_COVERAGE_HEADER, self._coverage()),
            *self._class_line(),
            f"{self.slots} slots and {self.parameters} parameters in all neurons",
            *(wrapped(line) for line in self._casts()),
            *([wrapped(self.guard.text())] if self.guard is not None else []),
        ]
        bounds = self._bounds()
        if bounds:
            lines += ["", screen_table(_BOUND_HEADER, bounds)]
        if self.outputs:
            columns = 3 + any(output.agreement is not None for output in self.outputs)
            rows = [_output_row(output)[:columns] for output in self.outputs]
            lines += ["", screen_table(_OUTPUT_HEADER[:columns], rows)]
        if self.single:
            lines += ["", screen_table(_SINGLE_HEADER, map(_output_row, self.single))]
        refused = [node for node in self.nodes if node.status is Status.REFUSED]
        if refused:
            lines += [
                "",
                screen_table(("not converted", "kind", "reason"), [(n.name, n.label, n.reason) for n in refused]),
            ]
        if nodes:
            lines += ["", screen_table(_NODE_HEADER, [_node_row(node) for node in self.nodes])]
        if self.outputs:
            lines += ["", verdict(self._lost(), self.gain, self._next())]
        lines += [wrapped(f"warning: {warning}") for warning in self.warnings]
        return "\n".join(lines)

    @property
    def over_budget(self) -> bool:
        """Whether no choice of neurons kept the error at the output within `config.max_error`."""
        return self.error is not None and self.error > self.config.error_budget

    def _lost(self) -> str:
        worst = max(self.outputs, key=lambda output: output.relative_error)
        text = f"relative error {worst.relative_error:.1e} of output {worst.name!r}"
        if worst.agreement is not None:
            text += f", {worst.agreement:.1%} of predictions equal"
        if self.over_budget:
            largest = f"{self.error:.1e} in the rows of most error, "
            text += f"; {largest}more than the {self.config.error_budget:.1e} asked for, which no neurons reached"
        return f"{text}, on calibration samples"

    def _next(self) -> str:
        if self.over_budget:
            return "give more time steps (--timesteps), or a larger --max-error"
        if self.gain is not None and self.gain.energy > 1.0:
            return "spend fewer spikes: more time steps (--timesteps 16), a larger --max-error, or no --fast"
        files = f"{self.source} {self.output} DATA"
        return f"measure the task: onnx-snn compare {files}; with labels, onnx-snn tune saves more"

    def _coverage(self) -> list[tuple[str, ...]]:
        """One row for each kind of node."""
        return [(group, *_coverage_cells(members)) for group, members in self._groups()]

    def _casts(self) -> list[str]:
        """A line for each element type other than float32 that neurons read."""
        text = "converted nodes of {}: {}; their neurons compute in float32, between casts"
        return [
            text.format(*found) for found in sorted(Counter(n.cast_from for n in self.nodes if n.cast_from).items())
        ]

    def _class_line(self) -> list[str]:
        """One line with the number of nodes in each class; none where they were not counted."""
        if not self.classes:
            return []
        counts = [f"{self.classes[each.value]} {each.label}" for each in NodeClass if self.classes.get(each.value)]
        return [wrapped(f"all {sum(self.classes.values())} nodes: {', '.join(counts)}")]

    def _bounds(self) -> list[tuple[str, ...]]:
        """One row for each kind of node that has codes: their spikes, and the fewest that their errors need."""
        rows: list[tuple[str, ...]] = []
        for group, members in self._groups():
            least = [value for member in members for value in member.least_spikes.values()]
            if least:
                spikes = np.mean([member.spikes[role] for member in members for role in member.least_spikes])
                bound = np.mean(least)
                rows.append((group, f"{spikes:.2f}", f"{bound:.2f}", f"{spikes / bound:.1f}" if bound else ""))
        return rows

    def _groups(self) -> list[tuple[str, list[NodeReport]]]:
        """The nodes of each kind."""
        groups: dict[str, list[NodeReport]] = {}
        for node in self.nodes:
            groups.setdefault(node.label, []).append(node)
        return sorted(groups.items())


_COVERAGE_HEADER = ("nodes", "found", "converted", "kept", "exact", "refused", "SQNR dB (worst)", "spikes/element")
_BOUND_HEADER = ("codes of", "spikes/element", "Shannon's bound", "spikes / bound")
_OUTPUT_HEADER = ("output", "relative error", "max error", "argmax agreement")
_SINGLE_HEADER = ("float32 against float64", *_OUTPUT_HEADER[1:])
_NODE_HEADER = ("node", "kind", "status", "SQNR dB", "spikes/element", "reason")


def _coverage_cells(members: Sequence[NodeReport]) -> tuple[str, ...]:
    counts = (str(sum(member.status is status for member in members)) for status in Status)
    ratios = [member.sqnr_db for member in members if member.sqnr_db is not None]
    spikes: dict[str, list[float]] = {}
    for member in members:
        for neuron, value in member.spikes.items():
            spikes.setdefault(neuron, []).append(value)
    means = ", ".join(f"{neuron} {np.mean(values):.1f}" for neuron, values in spikes.items())
    return (str(len(members)), *counts, f"{min(ratios):.1f}" if ratios else "", means)


def _output_row(output: OutputReport) -> tuple[str, ...]:
    agreement = "" if output.agreement is None else f"{output.agreement:.2%}"
    return output.name, f"{output.relative_error:.2e}", f"{output.maximum_error:.2e}", agreement


def _node_row(node: NodeReport) -> tuple[str, ...]:
    ratio = "" if node.sqnr_db is None else f"{node.sqnr_db:.1f}"
    spikes = ", ".join(f"{neuron} {value:.1f}" for neuron, value in node.spikes.items())
    return node.name, node.label, node.status.value, ratio, spikes, node.reason
