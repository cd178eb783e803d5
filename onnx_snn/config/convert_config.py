# SPDX-License-Identifier: Apache-2.0
"""Options of a conversion, and the numbers of bases that follow from preset and time steps."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx_snn.config.config_file import read_options
from onnx_snn.config.neuron_settings import NeuronSettings
from onnx_snn.config.node_settings import NodeSettings, is_number, node_settings
from onnx_snn.errors import ConfigError
from onnx_snn.neurons.mbe import MAX_TIMESTEPS
from onnx_snn.neurons.opset import Body, Precision


class Scope(enum.Enum):
    """Which parts of the network spike.

    NONLINEAR: activation functions, softmax, normalizations and matmuls of two activations.
    FULL: also the activation input of every matmul and convolution with weights, so that each synaptic
    operation is an accumulate.
    """

    NONLINEAR = "nonlinear"
    FULL = "full"


class Preset(enum.Enum):
    """How neurons are built.

    DEFAULT: a resting potential for each basis, fitted to the calibration data.
    PAPER: one resting potential, as in arXiv 2508.07710.
    """

    DEFAULT = "default"
    PAPER = "paper"


@dataclass(frozen=True)
class Bases:
    """Numbers of bases N by the purpose of the neuron.

    Attributes:
        function: N for activation functions such as GELU.
        identity: N for identity codes (operands of matmuls, deviations of normalizations).
        primitive: N for 2^x, 1/x and 1/sqrt(x) inside softmax and the normalizations.
    """

    function: int
    identity: int
    primitive: int


PAPER_BASES = Bases(function=4, identity=8, primitive=8)
"""Numbers of bases in arXiv 2508.07710: N=4 for activation functions, N=8 elsewhere."""

DEFAULT_MAX_ERROR = 1.5e-2
"""Default of the largest relative error at the output, as `onnx_snn.allocation.output_error` defines it. Classifiers
with it change about one prediction in 300."""

FEW_TIMESTEPS, FEW_MAX_ERROR = 5, 2.5e-2
"""Largest T with a larger default error, and that error: with so few time steps each halving of it costs a spike."""

GENERATING_MAX_ERROR = 1.3e-3
"""Default of the largest relative error at the output of networks that generate text, where a token that is chosen
otherwise changes all that follow."""

RECURRENT_MAX_ERROR = 7e-3
"""Default of the largest relative error at the output of networks with recurrent cells, or loops that keep a state,
with more than `FEW_TIMESTEPS` time steps. What a cell errs in one step of the sequence it reads in the next, so that
the error also depends on the length of the sequences, which may be others than those of the calibration data."""

SPARSE_TIMESTEPS = range(7, 9)
"""Numbers of time steps T with which neurons are sparse by rule. With fewer, the error bounds need the full number of
bases; more time steps are a request for exactness."""

SPARSE_ERROR = 4e-3
"""Least error budget with which neurons are sparse by rule: what these neurons cause."""

EXACT_CODE_TIMESTEPS = 8
"""Largest T at which codes get 32 bases. Above it, 16 bases add nothing to the error of the functions."""


def default_bases(timesteps: int, *, sparse: bool = False) -> Bases:
    """Numbers of bases for T = `timesteps`; for sparse neurons, the largest numbers that they may have.

    The error of a function depends on its number of segments at any T: twice as many give a quarter of the error. That
    of a code does so up to T = 8; above, its levels are so fine that 16 segments suffice. A primitive of 12 segments
    has a smaller error than the sparse codes around it.
    """
    identity = 32 if timesteps <= EXACT_CODE_TIMESTEPS else 16
    return Bases(function=32, identity=identity, primitive=12 if sparse else 32)


_UNLISTED = {"guard": False, "inline": False, "precision": Precision.DOUBLE.value}
"""Defaults of options that converted files hold only where they differ: files of former releases are without them."""


@dataclass(frozen=True)
class ConvertConfig:
    """The options that determine the model written by `onnx_snn.convert`.

    Attributes:
        timesteps: T, 1 to 16.
        scope: which parts of the network spike.
        preset: how neurons are built.
        body: form of the functions inside the file.
        gate: whether a saturated basis fires once instead of T times (one more time step, the same output).
        headroom: range of a signed identity code, and of arguments of a function, over the calibrated one.
        max_error: largest relative error at the output that the choice of neurons may cause on calibration data. None:
            `DEFAULT_MAX_ERROR`, with up to 5 time steps `FEW_MAX_ERROR`; `RECURRENT_MAX_ERROR` in a network with
            recurrent cells or loops that keep a state, and `GENERATING_MAX_ERROR` in one with a key/value cache, which
            generates text.
        fast: whether neurons follow rules instead of being chosen for their spikes within `max_error`: converts in less
            time, into networks of more spikes.
        include: names or regular expressions of nodes; where given, only these are converted.
        exclude: names or regular expressions of nodes that are not converted.
        strict: whether a nonlinear node that is not converted is an error.
        meter: whether the model has its spike counts as further outputs (see `onnx_snn.profiling.spike_outputs`).
        guard: whether an output counts elements beyond the range of each neuron (`onnx_snn.evaluation.range_guard`).
        inline: whether spiking nodes are written as standard operators, in a file without functions
            (`onnx_snn.conversion.inlining`).
        precision: type in which the functions in the file add up rows and split mantissas.
        nodes: settings of single nodes by name, which override those above.

    Raises:
        ConfigError: an option is out of its range or contradicts another one.
    """

    timesteps: int = 8
    scope: Scope = Scope.FULL
    preset: Preset = Preset.DEFAULT
    body: Body = Body.LOOP
    gate: bool = True
    headroom: float = 4.0
    max_error: float | None = None
    fast: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    strict: bool = False
    meter: bool = False
    guard: bool = False
    inline: bool = False
    precision: Precision = Precision.DOUBLE
    nodes: tuple[NodeSettings, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("scope", Scope), ("preset", Preset), ("body", Body), ("precision", Precision)):
            object.__setattr__(self, name, _member(kind, name, getattr(self, name)))
        for name in ("include", "exclude"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))
        object.__setattr__(self, "nodes", node_settings(self.nodes))
        for name in ("gate", "strict", "meter", "guard", "inline", "fast"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected true or false")
        if isinstance(self.timesteps, bool) or not isinstance(self.timesteps, int):
            raise ConfigError(f"timesteps is {self.timesteps!r}; expected a whole number from 1 to {MAX_TIMESTEPS}")
        if not 1 <= self.timesteps <= MAX_TIMESTEPS:
            raise ConfigError(f"timesteps is {self.timesteps}; expected a whole number from 1 to {MAX_TIMESTEPS}")
        if (
            isinstance(self.headroom, bool)
            or not isinstance(self.headroom, (int, float))
            or not 1.0 <= self.headroom <= 1024.0
        ):
            raise ConfigError(f"headroom is {self.headroom!r}; expected 1 to 1024 times the calibrated maximum")
        if self.max_error is not None and not (is_number(self.max_error) and 0.0 < self.max_error < 1.0):
            raise ConfigError(f"max_error is {self.max_error!r}; expected a relative error above 0, below 1")
        if self.meter and self.guard:
            raise ConfigError("meter and guard are both true; choose one: onnx-snn profile counts what either does")
        unsupported = sorted({entry.code_option for entry in self.nodes if entry.code_option})
        if self.preset is Preset.PAPER and unsupported:
            raise ConfigError(f"nodes: {unsupported[0]} is an option of preset 'default' alone; preset is 'paper'")

    @property
    def error_budget(self) -> float:
        """Largest relative error at the output that the choice of neurons may cause."""
        if self.max_error is not None:
            return self.max_error
        return FEW_MAX_ERROR if self.timesteps <= FEW_TIMESTEPS else DEFAULT_MAX_ERROR

    @property
    def allocates(self) -> bool:
        """Whether neurons are chosen for their spikes within the error budget."""
        return self.preset is Preset.DEFAULT and not self.fast

    @property
    def sparse(self) -> bool:
        """Whether neurons are sparse by rule, which takes an error budget that such neurons can keep."""
        kept = self.timesteps in SPARSE_TIMESTEPS and self.error_budget >= SPARSE_ERROR
        return self.preset is Preset.DEFAULT and self.fast and kept

    @property
    def bases(self) -> Bases:
        """Numbers of bases of neurons with the configured number of time steps."""
        return self.bases_at(self.timesteps)

    def bases_at(self, timesteps: int) -> Bases:
        """Numbers of bases of neurons with T = `timesteps`."""
        return PAPER_BASES if self.preset is Preset.PAPER else default_bases(timesteps, sparse=self.sparse)

    @property
    def neuron(self) -> NeuronSettings:
        """Settings of neurons without an entry in `nodes`."""
        return NeuronSettings(self.timesteps, self.gate, self.headroom)

    def to_json(self) -> dict[str, Any]:
        """The options as JSON values, but for defaults of `_UNLISTED`; `from_json` restores them."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["nodes"] = [entry.to_json() for entry in self.nodes]
        values |= {name: values[name].value for name in ("scope", "preset", "body", "precision")}
        values |= {name: list(values[name]) for name in ("include", "exclude")}
        return {name: value for name, value in values.items() if values[name] != _UNLISTED.get(name)}

    @classmethod
    def from_json(cls, source: Path | dict[str, Any]) -> ConvertConfig:
        """Options from a dict or a JSON file in the form of `to_json`.

        Raises:
            ConfigError: the file cannot be read, is not JSON or holds an unknown or invalid option.
        """
        if isinstance(source, Path):
            source = read_options(source)
        if not isinstance(source, dict):
            raise ConfigError(f"the configuration is a {type(source).__name__}; expected an object of options")
        known = {field.name for field in dataclasses.fields(cls)}
        source = _without_lean(source)
        unknown = sorted(set(source) - known)
        if unknown:
            raise ConfigError(f"unknown options {unknown}; known are {sorted(known)}")
        return cls(**source)


def _without_lean(source: dict[str, Any]) -> dict[str, Any]:
    """Options with `lean`, which files of former versions hold, as the options that give the same neurons."""
    options = {name: value for name, value in source.items() if name != "lean"}
    lean = source.get("lean")
    if lean is None:
        return options
    return options | {"fast": True} | ({} if lean else {"max_error": SPARSE_ERROR / 2.0})


def _names(option: str, value: Any) -> tuple[str, ...]:
    """`value`, one name or several, as a tuple of names."""
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{option} is {value!r}; expected names or regular expressions of nodes")
    return tuple(names)


def _member(kind: type[enum.Enum], name: str, value: Any) -> enum.Enum:
    """The member of `kind` for a member or its value."""
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(repr(member.value) for member in kind)
        raise ConfigError(f"{name} is {value!r}; expected one of {choices}") from None
