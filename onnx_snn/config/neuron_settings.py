# SPDX-License-Identifier: Apache-2.0
"""The settings of one neuron: those that all neurons have, and the shape of its bases."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Implied:
    """The number of bases follows from the configuration and the purpose of the neuron; sparse neurons have fewer."""


@dataclass(frozen=True)
class FittedBases:
    """Segments that are fitted to the calibration data.

    Attributes:
        bases: number of segments N.
    """

    bases: int


@dataclass(frozen=True)
class BinaryCode:
    """An identity code with given level sizes (see `onnx_snn.fitting.binary_codes`).

    Attributes:
        octaves: log2 of the level size of each segment relative to that of the first one, ascending from 0.
    """

    octaves: tuple[int, ...]


@dataclass(frozen=True)
class BetaCode:
    """An identity code by greedy beta-expansion (see `onnx_snn.fitting.beta_codes`).

    Attributes:
        decay: ratio of neighbouring step sizes, above 0.5, at most 1.
        increment: difference of neighbouring step sizes besides, in units of the last one.
        octaves: log2 of the step sizes of each segment relative to those of the first one, ascending from 0.
    """

    decay: float
    increment: float = 0.0
    octaves: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class GridCode:
    """An identity code whose levels are multiples of a given step, without channel scales.

    Attributes:
        step: level size of the first segment.
        octaves: log2 of the level size of each segment relative to that of the first one, ascending from 0.
    """

    step: float
    octaves: tuple[int, ...] = (0,)


Shape: TypeAlias = Implied | FittedBases | BinaryCode | BetaCode | GridCode
"""The ways to specify the bases of a neuron."""


@dataclass(frozen=True)
class NeuronSettings:
    """The settings of one neuron.

    Attributes:
        timesteps: number of time steps T.
        gate: whether a saturated basis fires once instead of T times.
        headroom: range of a signed code, or of arguments of a function, relative to the calibrated one.
        shape: specification of its bases.
    """

    timesteps: int
    gate: bool
    headroom: float
    shape: Shape = field(default_factory=Implied)

    def bases_or(self, implied: int) -> int:
        """The number of fitted bases N where the shape gives it, else `implied`."""
        return self.shape.bases if isinstance(self.shape, FittedBases) else implied

    def options(self) -> dict[str, Any]:
        """The options of a configuration entry that select these settings."""
        common = {"timesteps": self.timesteps, "gate": self.gate, "headroom": self.headroom}
        return common | dataclasses.asdict(self.shape)
