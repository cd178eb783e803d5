# SPDX-License-Identifier: Apache-2.0
"""Word lengths of all neurons of a file, with which integers have the same bits."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from onnx_snn.errors import ModelError
from onnx_snn.evaluation.range_guard import load_unguarded
from onnx_snn.evaluation.stored_neurons import stored_neuron
from onnx_snn.formatting import screen_table, wrapped
from onnx_snn.graph.inlined import refuse_inlined
from onnx_snn.neurons.fixed_point import FixedPoint, Word, fixed_point
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import DOMAIN, operator_of
from onnx_snn.rules.rule import name_of

_HEADER = ("neuron", "steps", "bases", "membrane", "weights", "shifts", "answer")


@dataclass(frozen=True, eq=False)
class NeuronWords:
    """A neuron with its word lengths.

    Attributes:
        name: name of its node, followed by its own where the node has several.
        neuron: its parameters.
        words: its word lengths.
    """

    name: str
    neuron: MbeNeuron
    words: FixedPoint

    def to_json(self) -> dict[str, Any]:
        """The word lengths as JSON values."""
        words = {
            key: None if word is None else {**dataclasses.asdict(word), "bits": word.bits, "signed": word.signed}
            for key, word in self._words().items()
        }
        counts = {"timesteps": self.neuron.timesteps, "bases": self.neuron.bases, "shifts": self.words.shifts}
        return {"name": self.name, **counts, **words, "reason": self.words.reason}

    def row(self) -> tuple[str, ...]:
        """A line of the table."""
        membrane, weight, answer = ("none" if word is None else word.text() for word in self._words().values())
        counts = str(self.neuron.timesteps), str(self.neuron.bases)
        return self.name, *counts, membrane, weight, str(self.words.shifts), answer

    def _words(self) -> dict[str, Word | None]:
        return {"membrane": self.words.membrane, "weight": self.words.weight, "answer": self.words.answer}


@dataclass(frozen=True, eq=False)
class WordLengths:
    """Word lengths of the neurons of a file.

    Attributes:
        path: path of the file.
        neurons: its neurons, in graph order.
        unknown: neurons whose parameters are computed in the graph.
    """

    path: str
    neurons: tuple[NeuronWords, ...]
    unknown: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The word lengths as JSON values."""
        neurons = [neuron.to_json() for neuron in self.neurons]
        return {"path": self.path, "neurons": neurons, "unknown": list(self.unknown)}

    def text(self) -> str:
        """The word lengths for a terminal."""
        head = (
            f"{self.path}: words with the same bits: u or s for unsigned or signed, bits, unit; shifts: weights that "
            "are powers of two; answer: before the channel scale, which is a shift"
        )
        notes = [f"{each.name}: no word for its membrane: {each.words.reason}" for each in self.neurons]
        reasons = [note for note, each in zip(notes, self.neurons, strict=True) if each.words.reason]
        unknown = [f"{name}: its parameters are computed in the graph" for name in self.unknown]
        table = screen_table(_HEADER, [neuron.row() for neuron in self.neurons])
        return "\n".join([wrapped(head), "", table, *map(wrapped, [*reasons, *unknown])])


def word_lengths(path: str | Path) -> WordLengths:
    """The word lengths of the neurons of the converted file `path`, subgraphs included.

    Raises:
        ModelError: the file cannot be read, or has no spiking node.
    """
    model = load_unguarded(path)
    spiking = [node for node in ir.traversal.RecursiveGraphIterator(model.graph) if node.domain == DOMAIN]
    refuse_inlined(model, str(path))
    if not spiking:
        raise ModelError(f"{path}: no spiking nodes; convert it with: onnx-snn convert")
    neurons, unknown = [], []
    for node in spiking:
        for role in operator_of(node).roles:
            name = role.within(name_of(node))
            stored = stored_neuron(node, role)
            if stored is None:
                unknown.append(name)
            else:
                neurons.append(NeuronWords(name, stored.neuron, fixed_point(stored.neuron)))
    return WordLengths(str(path), tuple(neurons), tuple(unknown))
