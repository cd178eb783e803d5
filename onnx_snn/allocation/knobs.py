# SPDX-License-Identifier: Apache-2.0
"""The neurons of a network, with the candidates for each.

A *knob* is one neuron of the network, or one identity code that several nodes read. Knobs are chosen independently.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tqdm import tqdm

from onnx_snn.allocation.candidates import Candidate, CodeFamily, NeuronFamily, family_of
from onnx_snn.allocation.cost_model import Load, load_of
from onnx_snn.allocation.fit_sites import Fitter
from onnx_snn.graph.shapes import Shapes
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.site import Site


@dataclass
class Knob:
    """A neuron that is chosen independently of the others.

    Attributes:
        members: the sites that it belongs to, with its role there.
        load: elements per sample and spike fan-out.
        family: the family of its candidates.
        candidates: its candidates, from the fewest spikes to the smallest error.
    """

    members: list[tuple[Site, NeuronRole]]
    load: Load
    family: NeuronFamily
    candidates: list[Candidate] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name in messages: that of its first site, and its role there."""
        site, role = self.members[0]
        return f"{site.name} {role.value}"

    @property
    def kind(self) -> tuple[str, str]:
        """What it is for: the function or kind of its first site, and its role there."""
        site, role = self.members[0]
        return site.function_name or site.kind.value, role.value


def knobs_of(sites: Iterable[Site], fitter: Fitter, shapes: Shapes, samples: int, *, progress: bool) -> list[Knob]:
    """The knobs of `sites` with their candidates: in graph order, identity codes last.

    Args:
        sites: the sites to convert.
        fitter: fitter of the candidates; its settings limit their time steps, or fix a neuron.
        shapes: shapes of the inputs of the sites in one run.
        samples: number of samples of that run.
        progress: show a progress bar on a terminal.
    """
    codes: dict[NeuronFamily, Knob] = {}
    others: list[Knob] = []
    for site in sites:
        for role in site.roles:
            load, family = load_of(site, role, shapes, samples), family_of(site, role, fitter)
            if not isinstance(family, CodeFamily):
                others.append(Knob([(site, role)], load, family))
            elif family not in codes:
                codes[family] = Knob([(site, role)], load, family)
            else:
                shared = codes[family]
                shared.members.append((site, role))
                shared.load = shared.load.joined(load)
    knobs = [*others, *codes.values()]
    for knob in tqdm(knobs, "candidates", disable=None if progress else True, unit="neuron"):
        knob.candidates = knob.family.worthwhile()
    return knobs
