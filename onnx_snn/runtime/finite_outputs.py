# SPDX-License-Identifier: Apache-2.0
"""Judges of data that is not finite: what a network makes of it.

A network that adds a mask to attention scores takes -inf there, and one that imputes missing values takes NaN. In an
image or a recording either is a fault of the data. What tells them apart is whether the network makes finite outputs of
them.
"""

from __future__ import annotations

from functools import cached_property

import onnx_ir as ir
import onnxruntime as ort

from onnx_snn.data.specs import Feed, non_finite
from onnx_snn.runtime.execution import run
from onnx_snn.runtime.tap_session import Observer


class JudgeOfModel:
    """A judge that runs a model in memory; its session is opened for the first feed that is not finite."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model

    def __call__(self, feed: Feed) -> str | None:
        """Name, value and place of a number of the outputs for `feed` that is not finite; None if all are finite.

        Raises:
            CalibrationError: the run fails.
            ModelError: onnxruntime does not accept the model.
        """
        return non_finite(self._observer(feed))

    @cached_property
    def _observer(self) -> Observer:
        return Observer(self._model, [str(value.name) for value in self._model.graph.outputs])


class JudgeOfSession:
    """A judge that runs a session."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session

    def __call__(self, feed: Feed) -> str | None:
        """As `JudgeOfModel`."""
        return non_finite(run(self._session, [value.name for value in self._session.get_outputs()], feed))
