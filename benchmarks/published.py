# SPDX-License-Identifier: Apache-2.0
"""Figures published in arXiv 2508.07710 and its follow-up PASN, and the settings of ours that stand beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

OURS, PAPER = "default", "paper"

FITS = ((PAPER, 16), (PAPER, 8), (OURS, 16), (OURS, 8), (OURS, 4))
"""Preset and time steps of the neurons in the table of functions."""

SETTINGS = tuple((OURS, steps) for steps in (16, 12, 10, 8, 4)) + tuple((PAPER, steps) for steps in (16, 12, 10, 8))
"""Conversions of every network: the time steps of the published tables, and 4, which those do not reach."""

SHOWN = ((PAPER, 16), (OURS, 16), (OURS, 8), (OURS, 4))
"""Conversions whose spikes and energy are shown."""


class Counterpart(NamedTuple):
    """Published results for a similar network.

    Attributes:
        name: network and task.
        original: metric of the original network.
        spiking: metric of the spiking network by time steps T.
        rising: whether a higher metric is better.
    """

    name: str
    original: float
    spiking: Mapping[int, float]
    rising: bool

    def loss(self, timesteps: int) -> float | None:
        """Relative loss at so many time steps; None where it was not published."""
        if timesteps not in self.spiking:
            return None
        worse = self.original - self.spiking[timesteps] if self.rising else self.spiking[timesteps] - self.original
        return worse / self.original


COUNTERPARTS = {
    "vit-cifar10": Counterpart(
        "ViT-B/16, ImageNet top-1", 83.44, {8: 0.12, 10: 79.96, 12: 82.79, 16: 83.00}, rising=True
    ),
    "roberta-mr": Counterpart("RoBERTa-base, MR", 89.39, {8: 50.17, 10: 71.30, 12: 88.55, 16: 89.00}, rising=True),
    "gpt2-war-and-peace": Counterpart(
        "GPT-2 (346 M), WikiText-103", 22.65, {8: 41072.0, 10: 11992.0, 12: 33.56, 16: 23.41}, rising=False
    ),
    "resnet-cifar10": Counterpart("ResNet34, ImageNet top-1", 76.31, {10: 75.57}, rising=True),
}
"""Published result of the most similar network, for each network in models/ that has one."""

PUBLISHED_SPIKES: Mapping[str, tuple[float | None, float | None]] = {
    "2^x of softmax": (60, 4.7),
    "1/x of softmax": (5, None),
    "input of a norm": (35, 1.6),
    "1/sqrt(x) of a norm": (32, None),
    "GELU": (24, 3.9),
    "operand of an activation product": (11, 1.6),
    "operand of a weight product": (None, None),
}
"""Published spikes per element at T=16 by kind of neuron: in arXiv 2508.07710, and in PASN, a follow-up with fewer
spikes. The paper has separate neurons for the squares of a normalization (49 spikes); here they use the coded input."""

PUBLISHED_ENERGY = 0.1729
"""Published energy of ViT-M/16 as a fraction of the original's, at 4.6 pJ per MAC and 0.9 pJ per accumulate."""

Row = dict[str, Any]


def setting_of(preset: str, timesteps: int) -> str:
    """Name of a preset at some time steps, as a key of rows."""
    return f"{preset} T={timesteps}"
