# SPDX-License-Identifier: Apache-2.0
"""What a network's neurons can be: every neuron that is chosen apart, with its candidates.

A *knob* is one neuron of the network, or one code that several nodes read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tqdm import tqdm

from onnx_snn.calibration.observations import CodedTensor
from onnx_snn.conversion.fit_sites import Fitter
from onnx_snn.conversion.plan import SitePlan
from onnx_snn.data.specs import Feed
from onnx_snn.graph.shapes import Shapes
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.site import Site
from onnx_snn.tuning.candidates import Candidate, NeuronFamily, coded_tensor, family_of
from onnx_snn.tuning.cost_model import Load, load_of

TIMESTEPS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
"""Time steps to choose from: above 8 one more changes little."""


@dataclass
class Knob:
    """A neuron that is chosen apart.

    Attributes:
        members: the sites that it belongs to, and its role there.
        load: elements per sample and spike fan-out.
        candidates: what it can be, from the cheapest to the most exact.
    """

    members: list[tuple[Site, NeuronRole]]
    load: Load
    candidates: list[Candidate] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For reports: site and neuron."""
        site, role = self.members[0]
        return f"{site.name} {role.value}"

    def family(self, fitter: Fitter) -> NeuronFamily:
        """All that it can be; what it is at one of its sites, it is at all."""
        return family_of(*self.members[0], fitter)


def knobs_of(
    plans: Iterable[SitePlan], fitter: Fitter, shapes: Shapes, feed: Feed, most_timesteps: int, *, progress: bool
) -> list[Knob]:
    """The knobs of the sites of `plans` with all their candidates, in graph order, codes last."""
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
