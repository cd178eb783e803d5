# SPDX-License-Identifier: Apache-2.0
"""Held-back samples: whether the calibration data tells what other data of its kind does.

A copy of the network is converted with neurons by rule on the first half of the samples, and its error at the output on
the second half is compared with that on the first. Where data is thin, the values of other samples lie beyond ranges
and fits, and their error is a multiple. Halves tell more than every eighth sample: the neighbours of a frame in a
recording tell what it holds, and two samples of sixteen say little. On 16 frames of one recording the second half errs
1.5 to 2.3 times as much as the first, on 16 of many recordings 1.1 times, on 16 and 48 samples of two networks in
`models/` 0.7 to 2.7 times at errors below 0.03 %, which are none to speak of.

The file that is written does not depend on this. It is calibrated on all samples, since few data should not be fewer.
The copy takes a quarter of the time of a conversion. So it is left out in `fast` conversions, and in networks of many
sites where there are many samples: on those in `models/`, with 64 and 256 samples, others err no more than those seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnx_snn.allocation.fit_sites import Fitter, fit_sites
from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.calibrated_sites import calibrate_sites
from onnx_snn.conversion.examination import Examined
from onnx_snn.conversion.function_library import attach, closed_body_copy
from onnx_snn.conversion.held_back import HeldBack
from onnx_snn.conversion.rewriter import rewrite
from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.conversion.verification import measure
from onnx_snn.data.drawing import evenly_spaced
from onnx_snn.data.feeds import Feeds
from onnx_snn.data.specs import Feed, input_specs

MOST_SAMPLES = 64
"""Largest number of samples that are used, drawn evenly over the data."""

FEWEST_SAMPLES = 16
"""Number of samples below which none is held back: halves of them would tell nothing."""

MOST_SITES = 32
"""Number of sites up to which the copy takes seconds, and is made of any number of samples."""


def held_back_error(
    examined: Examined, original: ir.Model, feeds: Feeds, samples: int, config: ConvertConfig
) -> HeldBack | None:
    """Convert `examined`, in place, without half of the samples, and compare the errors on both parts.

    Args:
        examined: a copy of the network of its own.
        original: the original network.
        feeds: the calibration data.
        samples: number of samples in it.
        config: options of the conversion.

    Returns:
        The errors; None where there are fewer than `FEWEST_SAMPLES` samples, or `MOST_SAMPLES` or more of a network
        with more than `MOST_SITES` sites.

    Raises:
        ModelError, CalibrationError: as for the conversion itself.
    """
    if samples >= MOST_SAMPLES and len(examined.coverage.selected) > MOST_SITES:
        return None
    taken = frozenset(evenly_spaced(samples, MOST_SAMPLES).tolist())
    singles = [feed for i, feed in enumerate(feeds.singles()) if i in taken]
    if len(singles) < FEWEST_SAMPLES:
        return None
    held = len(singles) // 2
    seen, unseen = singles[:-held], singles[-held:]
    model, coverage = examined.model, examined.coverage
    data = Feeds(seen, input_specs(original), judge=feeds.judge)
    calibrated = calibrate_sites(examined, data, RunOptions(config, progress=False))
    fitter = Fitter.of(coverage.selected, calibrated.calibration, calibrated.static, config)
    plans, _ = fit_sites(coverage.selected, fitter)
    decomposed = model.clone()
    attach(model, plans, rewrite(model, plans), config)
    fast = closed_body_copy(model, plans)
    reference = original if coverage.decomposed else decomposed

    def error(part: Sequence[Feed]) -> float:
        return measure(reference, fast, part, [], decomposed=decomposed).worst_error

    return HeldBack(error(seen), error(unseen), held, config.error_budget)
