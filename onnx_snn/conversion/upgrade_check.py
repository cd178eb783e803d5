# SPDX-License-Identifier: Apache-2.0
"""The check that a network whose opset was upgraded computes what its file computes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_snn.data.specs import Feed
from onnx_snn.errors import ModelError
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.graph.model_checks import MIN_OPSET
from onnx_snn.graph.model_reader import ModelSource, load_model
from onnx_snn.graph.opset_upgrade import upgraded_from
from onnx_snn.runtime.tap_session import Observer

LARGEST_ERROR = 1e-5
"""Largest relative error of an output of the upgraded network: onnxruntime may take another kernel for a newer
operator, which rounds otherwise in the last bits of float32."""


@dataclass(frozen=True)
class Upgrade:
    """An upgrade of the operators of a network.

    Attributes:
        opset: opset of the file.
        error: largest relative error (Frobenius norms) of an output against the file on calibration samples; 0 where
            all are equal, None where none was run.
    """

    opset: int
    error: float | None = None

    def text(self) -> str:
        """The upgrade in words."""
        made = f"upgraded from opset {self.opset} to {MIN_OPSET}"
        if self.error is None:
            return made
        equal = "equal outputs" if self.error == 0.0 else f"relative error of outputs at most {self.error:.1e}"
        return f"{made}; {equal} on calibration samples"


def upgrade_of(network: ir.Model) -> Upgrade | None:
    """The upgrade of `network`, not checked yet; None where its operators are those of its file."""
    opset = upgraded_from(network)
    return None if opset is None else Upgrade(opset)


def checked_upgrade(source: ModelSource, network: ir.Model, feeds: Iterable[Feed]) -> Upgrade | None:
    """The upgrade of `network`, checked against its `source` on `feeds`; None where there was none.

    Raises:
        ModelError: onnxruntime cannot run the source, or an output differs by more than `LARGEST_ERROR`.
    """
    upgrade = upgrade_of(network)
    if upgrade is None:
        return None
    names = [value.name or "" for value in network.graph.outputs]
    before, after = (Observer(model, names) for model in (load_model(source, upgrade=False), network))
    differences = {name: Difference() for name in names}
    for feed in feeds:
        expected, actual = before(feed), after(feed)
        for name, difference in differences.items():
            old, new = expected[name], actual[name]
            if old.shape != new.shape or (old.dtype.kind != "f" and not np.array_equal(old, new)):
                _refuse(upgrade, name, "it differs")
            elif old.dtype.kind == "f":
                difference.add(old, new)
    for name, difference in differences.items():
        if not difference.relative_error <= LARGEST_ERROR:
            _refuse(upgrade, name, f"its relative error is {difference.relative_error:.1e}, above {LARGEST_ERROR:.0e}")
    return Upgrade(upgrade.opset, max(difference.relative_error for difference in differences.values()))


def _refuse(upgrade: Upgrade, output: str, how: str) -> None:
    raise ModelError(
        f"onnx.version_converter changes output {output!r} as it upgrades the network from opset {upgrade.opset} to "
        f"{MIN_OPSET}: on calibration samples {how}; export the network with a later opset"
    )
