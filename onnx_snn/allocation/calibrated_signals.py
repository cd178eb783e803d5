# SPDX-License-Identifier: Apache-2.0
"""Empirical distributions of the tensors that neurons are fitted to.

Every site has a range of its own, since a few massive activations decide the loss of a trained network. A function is
fitted between its calibrated extremes, widened by the headroom. A signed identity code reaches `headroom` times the
largest calibrated magnitude. Probabilities get a one-sided code up to exactly 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float32, Float64
from onnx_snn.calibration.observations import CodedTensor
from onnx_snn.calibration.signed_histogram import SignedHistogram
from onnx_snn.calibration.statistics import Calibration
from onnx_snn.config.convert_config import Preset
from onnx_snn.fitting.error_weights import importance
from onnx_snn.fitting.signal import Signal
from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import UNSCALED

LARGEST_MAGNITUDE = 2.0**60
"""Largest calibrated magnitude that can be fitted. The fits sum squares, and those of larger values overflow float64;
no trained network has such activations."""

SMALLEST_MAGNITUDE = 2.0**-60
"""Smallest largest-magnitude of a tensor that can be fitted, other than 0. Below it the gains of fine segments overflow
float32; the activations of such a tensor have vanished."""


MOST_REACH = 64.0
"""Largest range of a code, relative to the largest calibrated magnitude after channel scaling, that is taken so that
every channel can be as large as the largest one."""


class Refusal(Exception):  # noqa: N818 - not an error: it becomes a line of the report
    """Why a site cannot be converted."""


class CalibratedSignals:
    """Distributions of the coded tensors of one calibration; each is computed once.

    Args:
        calibration: histograms of the tensors.
        preset: how neurons are built. Neurons of the paper have no channel scales.
        importance: importance of each channel, float64 [C], of the tensors for which it is known.
    """

    def __init__(
        self, calibration: Calibration, preset: Preset, importance: Mapping[CodedTensor, Float64] | None = None
    ) -> None:
        self.calibration, self.preset, self.importance = calibration, preset, importance or {}
        self._signals: dict[CodedTensor, Signal] = {}

    def signal(self, tensor: CodedTensor) -> Signal:
        """Distribution of a coded tensor after channel scaling.

        Raises:
            Refusal: calibration saw no finite value, or values that no code can represent.
        """
        if tensor not in self._signals:
            self._signals[tensor] = self._signal(tensor)
        return self._signals[tensor]

    def limit(self, tensor: CodedTensor, headroom: float) -> float:
        """Largest magnitude, after channel scaling, that the code of a tensor must represent.

        It is `headroom` times the largest one of the calibration, and sqrt(headroom) times what that would be if the
        largest value of the tensor were in any channel.
        """
        if tensor.probabilities:
            return 1.0
        signal = self.signal(tensor)
        reach = min(math.sqrt(headroom) * signal.reach, MOST_REACH * signal.largest)
        return max(headroom * signal.largest, reach) or 1.0

    def histogram(self, name: str, *, bounded: bool = True) -> SignedHistogram:
        """Histogram of the tensor called `name`.

        Args:
            name: the tensor.
            bounded: Require magnitudes that can be fitted.

        Raises:
            Refusal: calibration saw no finite value, or values that no code can represent.
        """
        histogram = self.calibration.signed[name]
        if histogram.count == 0:
            raise Refusal("calibration saw no finite value at its input")
        magnitude = max(-histogram.minimum, histogram.maximum)
        if bounded and not (magnitude == 0.0 or SMALLEST_MAGNITUDE <= magnitude <= LARGEST_MAGNITUDE):
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
        reach = max(map(abs, histogram.ends)) / float(scale.min())
        return Signal(points, counts, weights, scale, largest, reach)

    def _error_weights(self, divisor: str, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights float64 [M] of squared errors at the scaled magnitudes `points` [M] of rows divided by `divisor`."""
        rows = self.calibration.signed[divisor]
        return importance(points, rows.points(), rows.counts())

    def _magnitudes(
        self, tensor: CodedTensor, histogram: SignedHistogram
    ) -> tuple[NDArray[np.float64], NDArray[Any], Float32, float]:
        """Scaled magnitudes [M], their counts [M], the channel scales, and the largest scaled magnitude."""
        if tensor.axes is None or self.preset is Preset.PAPER:
            signed, counts = histogram.points(), histogram.counts()
            magnitudes, indices = np.unique(np.abs(signed), return_inverse=True)
            merged = np.bincount(indices, weights=counts).astype(np.int64)
            return magnitudes, merged, UNSCALED, max(map(abs, histogram.ends))
        channels = self.calibration.channels[tensor.tensor, tensor.axes]
        scales = channels.power_of_two_scales(self.importance.get(tensor))
        scaled = channels.scaled(scales)
        if tensor.divisor is not None:  # the normalized axis becomes the last one
            return *scaled.spread(), scales, scaled.maximum
        shape = next(iter(self.calibration.shapes[tensor.tensor]))
        # Sizes of the channel axes, 1 for the others, without leading ones: broadcastable against the tensor.
        sizes = [shape[axis] if axis in tensor.axes else 1 for axis in range(min(tensor.axes), 0)]
        return *scaled.spread(), scales.reshape(sizes), scaled.maximum


def require_defined(function: ScalarFunction, histogram: SignedHistogram) -> None:
    """Require that no calibrated argument is beyond the limits of `function`; of reduced arguments none is.

    Raises:
        Refusal: one is.
    """
    (lo, hi), (least, most) = function.limits, (histogram.minimum, histogram.maximum)
    if function.reduced is None and not lo <= least <= most <= hi:
        raise Refusal(
            f"calibration saw values from {least:g} to {most:g} at its input; {function.name} can be fitted "
            f"from {lo:g} to {hi:g}"
        )


def widened(function: ScalarFunction, histogram: SignedHistogram, headroom: float) -> tuple[float, float]:
    """Range (lo, hi) of a fitted function: its calibrated extremes times `headroom`, and at least its origin.

    It ends where the limits of the function do. Beyond it a fitted function saturates, as a code does.
    """
    least, most = histogram.ends
    lo = min(least * headroom, least, function.origin)
    hi = max(most * headroom, most, function.origin)
    lo, hi = max(lo, function.limits[0]), min(hi, function.limits[1])
    return (lo, hi) if lo < hi else (function.origin - 1.0, function.origin + 1.0)
