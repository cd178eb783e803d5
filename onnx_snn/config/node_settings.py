# SPDX-License-Identifier: Apache-2.0
"""Settings of single nodes, which override those of the whole configuration.

A configuration lists them as objects under "nodes":

    {"timesteps": 8, "nodes": [{"name": ".*/query/MatMul", "timesteps": 5, "bases": 4},
                               {"name": "/layer.3/gelu/Mul", "neuron": "function", "headroom": 2.0}]}

Later entries override earlier ones, option by option; options that no entry sets are those of the configuration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from onnx_snn.config.neuron_settings import BetaCode, BinaryCode, FittedBases, GridCode, NeuronSettings, Shape
from onnx_snn.errors import ConfigError
from onnx_snn.graph.quantization_grid import SMALLEST_STEP
from onnx_snn.neurons.mbe import MAX_TIMESTEPS
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.site import Site

KNOWN_NEURONS = tuple(role.value for role in NeuronRole)
"""Names of neurons in configurations and reports."""

MAX_BASES = 64
"""Largest number of bases N in a node's settings; fits of more take minutes."""

MAX_OCTAVES = 24
"""Largest entry of `octaves`: the bits of a float32, which hold the levels of both the first and the last segment."""

MAX_HEADROOM = 1024.0
"""Largest headroom, relative to the largest calibrated magnitude."""

MAX_INCREMENT = 16.0
"""Largest increment of a beta code, in units of its last step size."""

COMMON = ("timesteps", "gate", "headroom")
"""Options of neurons that do not depend on the shape of their bases."""


@dataclass(frozen=True)
class NodeSettings:
    """Options for the nodes that `name` matches; None does not override an option.

    Attributes:
        name: name or regular expression of nodes.
        neuron: name of one of their neurons, as in reports ("operand 0", "deviation", ...); None for all.
        timesteps: number of time steps T, 1 to 16.
        bases: number of fitted bases N, 1 to 64.
        gate: whether a saturated basis fires once instead of T times.
        headroom: range of a signed code, or of arguments of a function, relative to the calibrated one.
        octaves: for identity codes in place of `bases`: log2 of the level size of each segment relative to that of the
            first one, such as (0, 2, 5).
        decay: for identity codes in place of `bases`: ratio of neighbouring step sizes of a beta code, above 0.5 and
            at most 1.
        increment: difference of neighbouring step sizes of a beta code besides, in units of the last one, 0 to 16.
        step: for identity codes in place of `bases`: level size of the first segment, for tensors that are quantized in
            steps of this size.

    Raises:
        ConfigError: an option is out of its range or contradicts another one, or no option is set.
    """

    name: str
    neuron: str | None = None
    timesteps: int | None = None
    bases: int | None = None
    gate: bool | None = None
    headroom: float | None = None
    octaves: tuple[int, ...] | None = None
    decay: float | None = None
    increment: float | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError(f"nodes: name is {self.name!r}; expected a name or regular expression of nodes")
        if self.neuron is not None and self.neuron not in KNOWN_NEURONS:
            raise ConfigError(f"nodes: {self.name!r}: neuron is {self.neuron!r}; expected one of {KNOWN_NEURONS}")
        self._check_whole("timesteps", MAX_TIMESTEPS)
        self._check_whole("bases", MAX_BASES)
        if self.gate is not None and not isinstance(self.gate, bool):
            raise ConfigError(f"nodes: {self.name!r}: gate is {self.gate!r}; expected true or false")
        if self.headroom is not None and not (is_number(self.headroom) and 1.0 <= self.headroom <= MAX_HEADROOM):
            raise ConfigError(f"nodes: {self.name!r}: headroom is {self.headroom!r}; expected 1 to {MAX_HEADROOM:g}")
        if self.octaves is not None:
            object.__setattr__(self, "octaves", self._checked_octaves())
        if self.decay is not None and not (is_number(self.decay) and 0.5 < self.decay <= 1.0):
            raise ConfigError(f"nodes: {self.name!r}: decay is {self.decay!r}; expected a number above 0.5, at most 1")
        self._check_increment()
        self._check_step()
        if self.bases is not None and self.code_option is not None:
            code = f"{self.code_option} {getattr(self, self.code_option)}"
            raise ConfigError(f"nodes: {self.name!r} sets bases {self.bases} and {code}; give one of them")
        if not self.options():
            raise ConfigError(f"nodes: {self.name!r} sets nothing; give one of {list(OPTIONS)}")

    def _check_whole(self, option: str, most: int) -> None:
        """Raise `ConfigError` unless the option is None or a whole number from 1 to `most`."""
        value = getattr(self, option)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most):
            raise ConfigError(f"nodes: {self.name!r}: {option} is {value!r}; expected a whole number from 1 to {most}")

    def _check_increment(self) -> None:
        """Raise `ConfigError` unless the increment is None or valid together with the decay."""
        if self.increment is None:
            return
        if self.decay is None:
            raise ConfigError(f"nodes: {self.name!r}: increment is {self.increment!r} without a decay; give both")
        if not (is_number(self.increment) and 0.0 <= self.increment <= MAX_INCREMENT):
            raise ConfigError(
                f"nodes: {self.name!r}: increment is {self.increment!r}; expected 0 to {MAX_INCREMENT:g} last steps"
            )

    def _check_step(self) -> None:
        """Raise `ConfigError` unless the step is None or a positive number without a decay."""
        if self.step is None:
            return
        if not (is_number(self.step) and SMALLEST_STEP <= self.step <= 1.0 / SMALLEST_STEP):
            raise ConfigError(f"nodes: {self.name!r}: step is {self.step!r}; expected 2**-100 to 2**100")
        if self.decay is not None:
            raise ConfigError(f"nodes: {self.name!r} sets step {self.step} and decay {self.decay}; give one of them")

    def _checked_octaves(self) -> tuple[int, ...]:
        """The octaves as a tuple; raises `ConfigError` unless they are valid."""
        octaves, where = self.octaves, f"nodes: {self.name!r}: octaves is {self.octaves!r}"
        whole = isinstance(octaves, (list, tuple)) and all(type(each) is int for each in octaves)
        if not whole or not octaves or list(octaves) != sorted(octaves) or octaves[0] != 0:
            raise ConfigError(f"{where}; expected whole numbers that ascend from 0, one for each segment")
        if len(octaves) > MAX_BASES or octaves[-1] > MAX_OCTAVES:
            raise ConfigError(f"{where}; expected up to {MAX_BASES} segments and {MAX_OCTAVES} octaves")
        return tuple(octaves)

    @property
    def code_option(self) -> str | None:
        """The option that is set and only applies to identity codes: "octaves", "decay", "step" or None."""
        return next((option for option in ("octaves", "decay", "step") if getattr(self, option) is not None), None)

    @property
    def shape(self) -> Shape | None:
        """The specification of the bases; None where no option of it is set."""
        if self.step is not None:
            return GridCode(self.step, self.octaves or (0,))
        if self.decay is not None:
            return BetaCode(self.decay, self.increment or 0.0, self.octaves or (0,))
        if self.octaves is not None:
            return BinaryCode(self.octaves)
        return None if self.bases is None else FittedBases(self.bases)

    def applied_to(self, settings: NeuronSettings) -> NeuronSettings:
        """`settings` overridden by the options that are set here."""
        common = {option: value for option, value in self.options().items() if option in COMMON}
        return dataclasses.replace(settings, **common, shape=self.shape or settings.shape)

    def options(self) -> dict[str, Any]:
        """The options that are set, by name."""
        return {option: value for option in OPTIONS if (value := getattr(self, option)) is not None}

    def to_json(self) -> dict[str, Any]:
        """The entry as JSON values, without options that are not set."""
        octaves = {} if self.octaves is None else {"octaves": list(self.octaves)}
        return {"name": self.name} | ({"neuron": self.neuron} if self.neuron else {}) | self.options() | octaves

    @classmethod
    def from_json(cls, value: Any) -> NodeSettings:
        """The entry from a JSON object in the form of `to_json`.

        Raises:
            ConfigError: `value` is no object, lacks a name or holds an unknown or invalid option.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise ConfigError(f"nodes holds {value!r}; expected an object with a name and options")
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(value) - set(known))
        if unknown:
            raise ConfigError(f"nodes: unknown options {unknown}; known are {known}")
        if "name" not in value:
            raise ConfigError(f"nodes: {dict(value)!r} names no node; give a name or regular expression as 'name'")
        return cls(**value)


def _described(entry: NodeSettings) -> str:
    """The neurons that an entry applies to, for a message that there are none."""
    neuron = "an identity code" if entry.neuron is None else f"a neuron {entry.neuron!r}"
    return neuron if entry.code_option is None else f"{neuron} that could take {entry.code_option}"


def is_number(value: Any) -> bool:
    """Whether `value` is a number, which True and False are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


OPTIONS = tuple(field.name for field in dataclasses.fields(NodeSettings) if field.name not in ("name", "neuron"))
"""Names of the options of a neuron."""


def node_settings(value: Any) -> tuple[NodeSettings, ...]:
    """The entries of a configuration.

    Raises:
        ConfigError: `value` is no list, or an entry is invalid.
    """
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"nodes is {value!r}; expected a list of objects with a name and options")
    return tuple(NodeSettings.from_json(entry) for entry in value)


class Settings:
    """The settings of every neuron of a network.

    Args:
        default: settings of neurons without an entry.
        matches: entries with the sites that each one matches; later entries override earlier ones.

    Raises:
        ConfigError: an entry names a neuron that none of its sites has.
    """

    def __init__(self, default: NeuronSettings, matches: Iterable[tuple[NodeSettings, Iterable[Site]]] = ()) -> None:
        self.default = default
        self._overrides: dict[tuple[Site, NeuronRole], NeuronSettings] = {}
        for entry, sites in matches:
            named = [
                (site, role)
                for site in sites
                for role in site.roles
                if entry.neuron in (None, role.value) and (entry.code_option is None or role.is_code)
            ]
            if not named:
                raise ConfigError(f"nodes: no node that {entry.name!r} matches has {_described(entry)}")
            for key in named:
                self._overrides[key] = entry.applied_to(self.of(*key))

    def of(self, site: Site, role: NeuronRole) -> NeuronSettings:
        """The settings of one neuron of `site`."""
        return self._overrides.get((site, role), self.default)
