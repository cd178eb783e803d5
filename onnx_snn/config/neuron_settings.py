# SPDX-License-Identifier: Apache-2.0
"""How one neuron is built: what all neurons have, and what the bases of this one are."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Implied:
    """As many bases as the time steps and what the neuron does imply; fewer where neurons are sparse."""


@dataclass(frozen=True)
class FittedBases:
    """Segments that are fitted.

    Attributes:
        bases: their number N.
    """

    bases: int


@dataclass(frozen=True)
class BinaryCode:
    """An identity code whose segments have given sizes (see `onnx_snn.fitting.binary_codes`).

    Attributes:
        octaves: log2 of the level sizes of its segments over that of the first one, ascending from 0.
    """

    octaves: tuple[int, ...]


@dataclass(frozen=True)
class BetaCode:
    """An identity code by greedy beta-expansion (see `onnx_snn.fitting.beta_codes`).

    Attributes:
        decay: ratio of the sizes of neighbouring steps, above 0.5 and below 1.
        halvings: number of steps at the beginning after which the size halves instead.
        octaves: log2 of the step sizes of its segments over those of the first one, ascending from 0.
    """

    decay: float
    halvings: int = 0
    octaves: tuple[int, ...] = (0,)


Shape: TypeAlias = Implied | FittedBases | BinaryCode | BetaCode
"""What the bases of a neuron are."""


@dataclass(frozen=True)
class NeuronSettings:
    """How one neuron is built.

    Attributes:
        timesteps: T.
        gate: whether a saturated basis fires once.
        headroom: range of a signed code over the largest calibrated magnitude.
        shape: what its bases are.
    """

    timesteps: int
    gate: bool
    headroom: float
    shape: Shape = field(default_factory=Implied)

    def bases_or(self, implied: int) -> int:
        """The number of fitted bases: the one asked for, else `implied`."""
        return self.shape.bases if isinstance(self.shape, FittedBases) else implied

    def options(self) -> dict[str, Any]:
        """The options by which a configuration asks for these settings."""
        common = {"timesteps": self.timesteps, "gate": self.gate, "headroom": self.headroom}
        return common | dataclasses.asdict(self.shape)
