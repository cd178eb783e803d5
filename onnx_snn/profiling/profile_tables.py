# SPDX-License-Identifier: Apache-2.0
"""Tables of a profile for a terminal: neurons, matmuls, energies, and codes that meet values out of their range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from onnx_snn.formatting import SCREEN_WIDTH, screen_table, share, shortened, wrapped
from onnx_snn.profiling.activity import NeuronActivity, ProductActivity, ProductKind
from onnx_snn.profiling.energy_report import EnergyFigure, EnergyReport
from onnx_snn.profiling.uncounted import UncountedNode, note
from onnx_snn.runtime.guarded_session import REMEDY

PICO_TO_MICRO = 1e-6
"""Factor from picojoules to microjoules."""

_NEURON_HEADER = ("neurons", "nodes", "elements/sample", "steps*bases", "spikes/element", "firing rate", "saturated")
_PRODUCT_HEADER = ("matmuls", "nodes", "spiking", "MACs/sample", "spikes/element", "SOPs/sample", "SOPs/MAC")
_ENERGY_HEADER = ("energy by rule", "ANN, µJ/sample", "SNN, µJ/sample", "SNN / ANN")

_OF_GROUPS = ("nodes", "spiking", "firing rate")
"""Columns that are left out where a row is that of one node, to make room for its name."""

Neurons: TypeAlias = Sequence[NeuronActivity]
Products: TypeAlias = Sequence[ProductActivity]


def of_kinds(neurons: Neurons, products: Products, samples: int) -> list[str]:
    """Tables of the neurons and of the matmuls, with a row for each kind."""
    groups: dict[str, list[NeuronActivity]] = {}
    for neuron in neurons:
        groups.setdefault(neuron.kind, []).append(neuron)
    return [
        screen_table(_NEURON_HEADER, [_neuron_row(kind, members, samples) for kind, members in groups.items()]),
        screen_table(_PRODUCT_HEADER, [_product_row(kind, members, samples) for kind, members in _grouped(products)]),
    ]


def of_nodes(neurons: Neurons, products: Products, samples: int) -> list[str]:
    """Tables of the neurons and of the matmuls, with a row for each."""
    return [
        _node_table(_NEURON_HEADER, [_neuron_row(neuron.name, [neuron], samples) for neuron in neurons]),
        _node_table(_PRODUCT_HEADER, [_product_row(product.node, [product], samples) for product in products]),
    ]


def of_energy(energy: EnergyReport, uncounted: Sequence[UncountedNode], samples: int) -> str:
    """The table of energies by rule, with the formulas of the rules and the nodes that are not counted."""
    figures = energy.figures()
    notes = [f"{figure.rule.name}: {figure.rule.formula} ({figure.rule.source})" for figure in figures]
    if uncounted:
        notes.append(note(uncounted))
    rows = [_energy_row(figure, samples) for figure in figures]
    return "\n".join([screen_table(_ENERGY_HEADER, rows), *(wrapped(text, indent="  ") for text in notes)])


def range_note(neurons: Neurons) -> list[str]:
    """A warning of neurons that saturate at values beyond their range, with the remedy; empty if there are none.

    A few clipped elements can make most of the output error, though their share of all elements is small.
    """
    outside = [neuron for neuron in neurons if neuron.out_of_range]
    if not outside:
        return []
    worst = max(outside, key=lambda neuron: neuron.out_of_range_share or 0.0)
    name = shortened([worst.name], SCREEN_WIDTH // 2)[worst.name]
    outside_share = share(worst.out_of_range or 0, worst.elements)
    text = (
        f"warning: values at {len(outside)} of {len(neurons)} neurons saturate, most of all at {name}: "
        f"{worst.out_of_range:,} of {worst.elements:,} elements ({outside_share}) are "
        f"beyond the range that the network was converted for; {REMEDY}, compare --per-node tells what it costs"
    )
    return [wrapped(text)]


def _node_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a terminal with one row for each node."""
    kept = [index for index, name in enumerate(header) if name not in _OF_GROUPS]
    return screen_table([header[index] for index in kept], [[row[index] for index in kept] for row in rows])


def _neuron_row(label: str, members: Sequence[NeuronActivity], samples: int) -> tuple[str, ...]:
    """A line of the table of neurons, over `members`."""
    elements = sum(member.elements for member in members)
    slots = sum(member.elements * member.slots for member in members)
    total = sum(member.total for member in members)
    outside = [member.out_of_range for member in members if member.out_of_range is not None]
    sizes = sorted({member.slots for member in members})
    return (
        label,
        str(len(members)),
        f"{elements / samples:,.0f}",
        "-".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1]))),
        f"{total / max(elements, 1):.2f}",
        f"{total / max(slots, 1):.2%}",
        share(sum(outside), elements) if len(outside) == len(members) else "unknown",
    )


def _grouped(products: Sequence[ProductActivity]) -> list[tuple[str, list[ProductActivity]]]:
    """Products grouped by kind, with a label for each group that is not empty."""
    labels = {ProductKind.WEIGHTS: "weight matmul", ProductKind.ACTIVATIONS: "activation matmul"}
    groups = [(label, [product for product in products if product.kind is kind]) for kind, label in labels.items()]
    return [(label, members) for label, members in groups if members]


def _product_row(label: str, members: Sequence[ProductActivity], samples: int) -> tuple[str, ...]:
    """A line of the table of matmuls, over `members`."""
    macs = sum(member.multiply_accumulates for member in members)
    operands = [operand for member in members for operand in member.operands]
    elements = sum(operand.elements for operand in operands)
    spikes = sum(operand.spikes for operand in operands)
    operations = sum(operand.synaptic_operations for operand in operands)
    return (
        label,
        str(len(members)),
        str(sum(member.spiking for member in members)),
        f"{macs / samples:,.0f}",
        f"{spikes / elements:.2f}" if elements else "",
        f"{operations / samples:,.0f}",
        f"{operations / macs:.2f}" if macs else "",
    )


def _energy_row(figure: EnergyFigure, samples: int) -> tuple[str, ...]:
    """A line of the table of energies."""
    energies = (energy * PICO_TO_MICRO / samples for energy in (figure.original, figure.spiking))
    return figure.rule.name, *(f"{energy:,.3g}" for energy in energies), f"{figure.ratio:.3f}"
