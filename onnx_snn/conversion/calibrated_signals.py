# SPDX-License-Identifier: Apache-2.0
"""What neurons are fitted to: the tensors that calibration saw, as a function or a code sees them.

Ranges belong to sites: a few massive activations decide the loss of a real network. A function is fitted between its
calibrated extremes, widened by the headroom; a signed code reaches `headroom` times the largest calibrated magnitude;
probabilities are coded one-sidedly up to exactly 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.calibration.observations import CodedTensor
from onnx_snn.calibration.signed_histogram import SignedHistogram
from onnx_snn.calibration.statistics import Calibration
from onnx_snn.config.convert_config import Preset
from onnx_snn.fitting.error_weights import importance
from onnx_snn.fitting.signal import Signal
from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import UNSCALED, Float32

LARGEST_MAGNITUDE = 2.0**60
"""Largest magnitude of a signal. Squares of larger ones, which the fits sum, leave float64; no trained network has such
activations."""

SMALLEST_MAGNITUDE = 2.0**-60
"""Least magnitude that a signal must reach. The gains of finely coded segments of a smaller one leave float32: it has
died out on its way."""


class Refusal(Exception):  # noqa: N818 - not an error: it becomes a line of the report
    """Why a site cannot be converted."""


class CalibratedSignals:
    """The tensors of one calibration; each signal is computed once.

    Args:
        calibration: what the tensors hold.
        preset: how neurons are built: those of the paper have no scales.
    """

    def __init__(self, calibration: Calibration, preset: Preset) -> None:
        self.calibration, self.preset = calibration, preset
        self._signals: dict[CodedTensor, Signal] = {}

    def signal(self, tensor: CodedTensor) -> Signal:
        """What calibration saw of a coded tensor.

        Raises:
            Refusal: it saw nothing, or values that no code can hold.
        """
        if tensor not in self._signals:
            self._signals[tensor] = self._signal(tensor)
        return self._signals[tensor]

    def limit(self, tensor: CodedTensor, headroom: float) -> float:
        """The largest scaled magnitude that the code of a tensor must reach."""
        return 1.0 if tensor.probabilities else headroom * self.signal(tensor).largest or 1.0

    def histogram(self, name: str) -> SignedHistogram:
        """What calibration saw of a tensor.

        Raises:
            Refusal: it saw nothing, or values that no code can hold.
        """
        histogram = self.calibration.signed[name]
        if histogram.count == 0:
            raise Refusal("calibration saw no finite value at its input")
        magnitude = max(-histogram.minimum, histogram.maximum)
        if not (magnitude == 0.0 or SMALLEST_MAGNITUDE <= magnitude <= LARGEST_MAGNITUDE):
            raise Refusal(f"calibration saw values from {histogram.minimum:g} to {histogram.maximum:g} at its input")
        if histogram.nan_count or histogram.inf_count:
            raise Refusal(
                f"calibration saw {histogram.nan_count} NaN and {histogram.inf_count} infinities at its input"
            )
        return histogram

    def _signal(self, tensor: CodedTensor) -> Signal:
        histogram = self.histogram(tensor.tensor)
        if tensor.probabilities:
            points, counts, scale, largest = histogram.points(), histogram.counts(), UNSCALED, 1.0
        else:
            points, counts, scale, largest = self._magnitudes(tensor, histogram)
        weights = np.ones_like(points) if tensor.divisor is None else self._error_weights(tensor.divisor, points)
        return Signal(points, counts, weights, scale, largest)

    def _error_weights(self, divisor: str, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much errors at the scaled magnitudes `points` [M] count when rows are divided by the tensor `divisor`."""
        rows = self.calibration.signed[divisor]
        return importance(points, rows.points(), rows.counts())

    def _magnitudes(
        self, tensor: CodedTensor, histogram: SignedHistogram
    ) -> tuple[NDArray[np.float64], NDArray[Any], Float32, float]:
        """Points and masses of the scaled magnitudes, the scale and the largest of them."""
        if tensor.axes is None or self.preset is Preset.PAPER:
            signed, counts = histogram.points(), histogram.counts()
            magnitudes, places = np.unique(np.abs(signed), return_inverse=True)
            united = np.bincount(places, weights=counts).astype(np.int64)
            return magnitudes, united, UNSCALED, max(abs(histogram.minimum), abs(histogram.maximum))
        channels = self.calibration.channels[tensor.tensor, tensor.axes]
        scales = channels.power_of_two_scales()
        scaled = channels.scaled(scales)
        shape = next(iter(self.calibration.shapes[tensor.tensor]))
        # The channels' sizes at their axes, 1 at the others, leading ones dropped.
        sizes = [shape[axis] if axis in tensor.axes else 1 for axis in range(min(tensor.axes), 0)]
        return *scaled.spread(), scales.reshape(sizes), scaled.maximum


def widened(function: ScalarFunction, histogram: SignedHistogram, headroom: float) -> tuple[float, float]:
    """Range of a fitted function: its origin, and its calibrated extremes times the root of the headroom.

    Half the headroom of a code, in octaves: beyond the range a function clips, where a code would lose all.
    """
    factor = math.sqrt(headroom)
    lo = min(histogram.minimum * factor, histogram.minimum, function.origin)
    hi = max(histogram.maximum * factor, histogram.maximum, function.origin)
    return (lo, hi) if lo < hi else (function.origin - 1.0, function.origin + 1.0)
