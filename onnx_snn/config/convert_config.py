# SPDX-License-Identifier: Apache-2.0
"""Options of a conversion, and what each preset and number of time steps chooses for a neuron."""

from __future__ import annotations

import dataclasses
import enum
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx_snn.config.neuron_settings import NeuronSettings
from onnx_snn.config.node_settings import NodeSettings, node_settings
from onnx_snn.errors import ConfigError
from onnx_snn.neurons.mbe import MAX_TIMESTEPS
from onnx_snn.neurons.opset import Body


class Scope(enum.Enum):
    """Which parts of the network spike.

    NONLINEAR: activation functions, softmax, normalizations and products of two activations.
    FULL: also the activation input of every MatMul, Gemm and Conv with weights, so that each synaptic
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
    """Numbers of bases N by what the neuron does.

    Attributes:
        function: activation functions such as GELU.
        identity: identity codes (operands of products, inputs of weights, deviations of norms).
        primitive: 2^x, 1/x and 1/sqrt(x) inside softmax and the normalizations.
    """

    function: int
    identity: int
    primitive: int


PAPER_BASES = Bases(function=4, identity=8, primitive=8)
"""Settings of the paper: N=4 for activation functions, N=8 elsewhere."""


SPARSE_TIMESTEPS = range(7, 9)
"""Time steps with which neurons are sparse by default. With fewer, an error within bounds takes all the bases that
there are; who asks for more asks for exactness."""

EXACT_CODE_TIMESTEPS = 8
"""Most time steps with which a code of 16 segments adds to the error of the functions."""


def default_bases(timesteps: int, *, sparse: bool = False) -> Bases:
    """Bases for `timesteps`: the largest numbers where neurons are sparse.

    Segments decide the error of a function at any T: a quarter for twice as many. Of a code they do so up to 8
    steps; above, its levels are so many that 16 segments lose nothing. A primitive of 12 segments errs by less than
    the sparse codes around it.
    """
    identity = 32 if timesteps <= EXACT_CODE_TIMESTEPS else 16
    return Bases(function=32, identity=identity, primitive=12 if sparse else 32)


@dataclass(frozen=True)
class Allowance:
    """What a sparse neuron may spend: the most exact one of `spikes` per element, unless it errs by more than `error`.

    Attributes:
        spikes: fired slots per element, mean over the calibration data.
        error: root mean square of the error over that of the signal; where it takes more spikes, they are spent.
    """

    spikes: float
    error: float

    def halved(self, times: int) -> Allowance:
        """The allowance for half the error, as often as that: each time one more bit, which fires every other time."""
        return Allowance(self.spikes + times / 2, self.error / 2**times)


@dataclass(frozen=True)
class Allowances:
    """Allowances by what a neuron does.

    Attributes:
        function: activation functions.
        operand: operands of activation products and inputs of normalizations, whose errors average out over many terms.
        weighted: operands that meet weights. An accumulate costs a fifth of a multiplication, so that five spikes cost
            what an original network does.
    """

    function: Allowance
    operand: Allowance
    weighted: Allowance

    def halved(self, times: int) -> Allowances:
        """All of them for half the error, as often as that."""
        return Allowances(self.function.halved(times), self.operand.halved(times), self.weighted.halved(times))


SPARSE = Allowances(
    function=Allowance(spikes=5.3, error=8e-3),
    operand=Allowance(spikes=3.45, error=4e-3),
    weighted=Allowance(spikes=4.5, error=1e-3),
)


@dataclass(frozen=True)
class ConvertConfig:
    """Everything that decides what `onnx_snn.convert` writes.

    Attributes:
        timesteps: T, 1 to 16.
        scope: which parts of the network spike.
        preset: how neurons are built.
        body: form of the functions inside the file.
        gate: whether a saturated basis fires once instead of T times (one more time step, the same output).
        headroom: range of a signed identity code over the largest calibrated magnitude.
        lean: whether neurons are sparse: fire as little as an error of some thousandths allows; None: with 7 or 8 time
            steps, and only in networks without a cache, which do not generate token by token.
        include: names or regular expressions of nodes; where given, only these are converted.
        exclude: names or regular expressions of nodes that stay as they are.
        strict: whether a nonlinear node that is not converted is an error.
        meter: whether the counts of spikes are outputs of the network (see `onnx_snn.conversion.spike_outputs`).
        nodes: settings of single nodes by name, where they differ from those above.

    Raises:
        ConfigError: an option is out of its range or contradicts another one.
    """

    timesteps: int = 8
    scope: Scope = Scope.FULL
    preset: Preset = Preset.DEFAULT
    body: Body = Body.LOOP
    gate: bool = True
    headroom: float = 4.0
    lean: bool | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    strict: bool = False
    meter: bool = False
    nodes: tuple[NodeSettings, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("scope", Scope), ("preset", Preset), ("body", Body)):
            object.__setattr__(self, name, _member(kind, name, getattr(self, name)))
        for name in ("include", "exclude"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))
        object.__setattr__(self, "nodes", node_settings(self.nodes))
        for name in ("gate", "strict", "meter", "lean"):
            if not isinstance(getattr(self, name), bool) and (name, getattr(self, name)) != ("lean", None):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected true or false")
        if isinstance(self.timesteps, bool) or not isinstance(self.timesteps, int):
            raise ConfigError(f"timesteps is {self.timesteps!r}; expected a whole number from 1 to {MAX_TIMESTEPS}")
        if not 1 <= self.timesteps <= MAX_TIMESTEPS:
            raise ConfigError(f"timesteps is {self.timesteps}; expected 1 to {MAX_TIMESTEPS}")
        if not isinstance(self.headroom, (int, float)) or not 1.0 <= self.headroom <= 1024.0:
            raise ConfigError(f"headroom is {self.headroom!r}; expected 1 to 1024 times the calibrated maximum")
        foreign = {entry.of_codes for entry in self.nodes} - {None}
        if self.preset is Preset.PAPER and foreign:
            raise ConfigError(f"{min(map(str, foreign))} belongs to codes of preset 'default'; preset 'paper' has none")

    @property
    def sparse(self) -> bool:
        """Whether neurons fire as little as an error within bounds allows."""
        if self.preset is Preset.PAPER:
            return False
        return self.timesteps in SPARSE_TIMESTEPS if self.lean is None else self.lean

    @property
    def bases(self) -> Bases:
        """Numbers of bases that preset and time steps imply."""
        return self.bases_at(self.timesteps)

    def bases_at(self, timesteps: int) -> Bases:
        """Numbers of bases of a neuron with `timesteps`."""
        return PAPER_BASES if self.preset is Preset.PAPER else default_bases(timesteps, sparse=self.sparse)

    @property
    def neuron(self) -> NeuronSettings:
        """Settings of every neuron that `nodes` does not name."""
        return NeuronSettings(self.timesteps, self.gate, self.headroom)

    def to_json(self) -> dict[str, Any]:
        """The options as JSON values; `from_json` restores them."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["nodes"] = [entry.to_json() for entry in self.nodes]
        values |= {name: values[name].value for name in ("scope", "preset", "body")}
        return values | {name: list(values[name]) for name in ("include", "exclude")}

    @classmethod
    def from_json(cls, source: Path | dict[str, Any]) -> ConvertConfig:
        """Options from a dict or a JSON file as `to_json` writes it.

        Raises:
            ConfigError: the file is not JSON or holds an unknown option.
        """
        if isinstance(source, Path):
            try:
                source = json.loads(source.read_text())
            except (OSError, ValueError) as error:
                raise ConfigError(f"{source}: cannot be read as a JSON configuration ({error})") from error
        if not isinstance(source, dict):
            raise ConfigError(f"configuration is {type(source).__name__}; expected an object of options")
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(source) - known)
        if unknown:
            raise ConfigError(f"unknown options {unknown}; known are {sorted(known)}")
        return cls(**source)


def _names(option: str, value: Any) -> tuple[str, ...]:
    """`value` as names, given as one or as several."""
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{option} is {value!r}; expected names or regular expressions of nodes")
    return tuple(names)


def _member(kind: type[enum.Enum], name: str, value: Any) -> enum.Enum:
    """`value` as a member of `kind`, given as such or by its value."""
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(repr(member.value) for member in kind)
        raise ConfigError(f"{name} is {value!r}; expected one of {choices}") from None
