# SPDX-License-Identifier: Apache-2.0
"""The search space of tuning: the neurons of a network, with the candidates for each.

A *knob* is one neuron of the network, or one identity code that several nodes read. Knobs are chosen independently.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tqdm import tqdm

from onnx_snn.allocation.candidates import Candidate, NeuronFamily, coded_tensor, family_of
from onnx_snn.allocation.cost_model import Load, load_of
from onnx_snn.allocation.fit_sites import Fitter
from onnx_snn.allocation.plan import SitePlan
from onnx_snn.calibration.observations import CodedTensor
from onnx_snn.data.specs import Feed
from onnx_snn.graph.shapes import Shapes
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.site import Site

TIMESTEPS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
"""Numbers of time steps T to choose from. Above 8 every second one suffices, since a further step changes little."""


@dataclass
class Knob:
    """A neuron that is chosen independently of the others.

    Attributes:
        members: the sites that it belongs to, with its role there.
        load: elements per sample and spike fan-out.
        candidates: its candidates, from the fewest spikes to the smallest error.
    """

    members: list[tuple[Site, NeuronRole]]
    load: Load
    candidates: list[Candidate] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name in messages: that of its first site, and its role there."""
        site, role = self.members[0]
        return f"{site.name} {role.value}"

    def family(self, fitter: Fitter) -> NeuronFamily:
        """The family of its candidates; all its members share the chosen one."""
        return family_of(*self.members[0], fitter)


def knobs_of(
    plans: Iterable[SitePlan], fitter: Fitter, shapes: Shapes, feed: Feed, most_timesteps: int, *, progress: bool
) -> list[Knob]:
    """The knobs of the sites of `plans` with their candidates: in graph order, identity codes last.

    Args:
        plans: the converted sites.
        fitter: fitter of the candidates.
        shapes: shapes of the inputs of the sites for `feed`.
        feed: one feed of the network.
        most_timesteps: largest number of time steps of a candidate.
        progress: show a progress bar on a terminal.
    """
    codes: dict[CodedTensor, Knob] = {}
    others: list[Knob] = []
    for site in (plan.site for plan in plans):
        for role in site.roles:
            load, tensor = load_of(site, role, shapes, feed), coded_tensor(site, role, fitter)
            if tensor is None:
                others.append(Knob([(site, role)], load))
            elif tensor not in codes:
                codes[tensor] = Knob([(site, role)], load)
            else:
                shared = codes[tensor]
                shared.members.append((site, role))
                shared.load = shared.load.joined(load)
    steps = [count for count in TIMESTEPS if count <= most_timesteps] or [most_timesteps]
    knobs = [*others, *codes.values()]
    for knob in tqdm(knobs, "fit", disable=None if progress else True, unit="neuron"):
        knob.candidates = knob.family(fitter).worthwhile(steps)
    return knobs
