# SPDX-License-Identifier: Apache-2.0
"""Runs of a network with trial neurons, by workers that keep it open."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from tqdm import tqdm

from onnx_snn.allocation.output_error import row_errors
from onnx_snn.allocation.trial_network import Parameters, Trial
from onnx_snn.arrays import Float64
from onnx_snn.data.specs import Feed
from onnx_snn.evaluation.switched_model import SwitchedModel
from onnx_snn.workers.shards import SentTask, Shard, Workers
from onnx_snn.workers.shared_model import SharedModel

RowErrors: TypeAlias = dict[str, Float64]
"""Squared error of each row of each output of one run."""


@dataclass(frozen=True)
class TrialTask:
    """Errors of runs with trial neurons, as a task for workers.

    Attributes:
        original: the original network.
        spiking: the spiking one.
        idle: parameters of neurons that a trial does not change.
        feeds: inputs of the runs.
    """

    original: SharedModel
    spiking: SharedModel
    idle: Parameters
    feeds: Sequence[Feed]

    def open(self, threads: int) -> Shard[list[list[RowErrors]]]:
        """A shard gives the errors at the outputs `names` of each of some trials on each of some feeds."""
        network = SwitchedModel(self.original.load(), self.spiking.load(), adjustable=True, threads=threads)
        expected: dict[int, dict[str, NDArray[Any]]] = {}

        def shard(trials: Sequence[Trial], feeds: Sequence[int], names: Sequence[str]) -> list[list[RowErrors]]:
            for i in feeds:
                if i not in expected:
                    expected[i] = network(self.feeds[i], (), names, self.idle)
            return [
                [
                    row_errors(
                        expected[i],
                        network(self.feeds[i], trial.nodes, names, self.idle | trial.parameters),
                        names,
                    )
                    for i in feeds
                ]
                for trial in trials
            ]

        return shard


class SharedTrials:
    """Workers that run trials of one network on some feeds, while `stack` is open.

    Args:
        workers: who runs them.
        original: the original network.
        spiking: the spiking one.
        idle: parameters of neurons that a trial does not change.
        feeds: inputs of the runs.
        stack: closes what is opened.
    """

    def __init__(
        self,
        workers: Workers,
        original: ir.Model,
        spiking: ir.Model,
        idle: Parameters,
        feeds: Sequence[Feed],
        stack: ExitStack,
    ) -> None:
        folder = stack.enter_context(workers.folder_of_work())
        models = SharedModel.of(original, folder, "original"), SharedModel.of(spiking, folder, "spiking")
        self._sent = stack.enter_context(SentTask(workers, TrialTask(*models, idle, feeds), folder))
        self._shards = workers.shards

    def probes(
        self, trials: Sequence[Trial], feeds: int, names: Sequence[str], bar: tqdm[Any]
    ) -> list[list[RowErrors]]:
        """The errors of each of `trials` on the first `feeds` feeds; trials are divided."""
        found: list[list[RowErrors]] = [[] for _ in trials]
        parts = [range(first, len(trials), self._shards) for first in range(min(self._shards, len(trials)))]
        for shard, errors in self._sent.run([([trials[i] for i in part], range(feeds), names) for part in parts]):
            for i, of_trial in zip(parts[shard], errors, strict=True):
                found[i] = of_trial
            bar.update(len(errors))
        return found

    def whole(self, trial: Trial, feeds: int, names: Sequence[str]) -> list[RowErrors]:
        """The errors of `trial` on the first `feeds` feeds, which are divided."""
        parts = [list(map(int, part)) for part in np.array_split(np.arange(feeds), min(self._shards, feeds))]
        found = dict(self._sent.run([([trial], part, names) for part in parts]))
        return [errors for shard in range(len(parts)) for errors in found[shard][0]]
