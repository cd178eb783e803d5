# SPDX-License-Identifier: Apache-2.0
"""Held-back samples: whether the calibration data tells what other data of its kind does.

A copy of the network is converted with neurons by rule on the first seven eighths of the samples, and its error at the
output on the others is compared with that on as many of the seen ones. Where data is thin, the values of other samples
lie beyond ranges and fits, and their error is a multiple. The last samples are held back, and not every eighth: the
neighbours of a frame in a recording tell what it holds.

The file that is written does not depend on this. It is calibrated on all samples, since few data should not be fewer. On
the networks in `models/`, the error on the samples held back is 0.65 to 0.99 times that on the seen ones, so that nothing
would be gained there; the copy takes about as long as a `fast` conversion, which is why large networks and `fast`
conversions go without.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnx_snn.allocation.fit_sites import Fitter, fit_sites
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

SHARE = 8
"""One of this many samples is held back."""

MOST_SAMPLES = 64
"""Largest number of samples that are used, drawn evenly over the data."""

FEWEST_SAMPLES = 16
"""Number of samples below which none is held back, as less than two would be."""


def held_back_error(
    examined: Examined, original: ir.Model, feeds: Feeds, samples: int, run: RunOptions
) -> HeldBack | None:
    """Convert `examined`, in place, without a part of the samples, and compare the errors on both parts.

    Args:
        examined: a copy of the network of its own.
        original: the original network.
        feeds: the calibration data.
        samples: number of samples in it.
        run: options of the conversion.

    Returns:
        The errors; None where there are fewer than `FEWEST_SAMPLES` samples that can be given one by one.

    Raises:
        ModelError, CalibrationError: as for the conversion itself.
    """
    taken = frozenset(evenly_spaced(samples, MOST_SAMPLES).tolist())
    singles = [feed for i, feed in enumerate(feeds.singles()) if i in taken]
    if len(singles) < FEWEST_SAMPLES:
        return None
    held = len(singles) // SHARE
    seen, unseen = singles[:-held], singles[-held:]
    model, coverage = examined.model, examined.coverage
    data = Feeds(seen, input_specs(original))
    calibrated = calibrate_sites(examined, data, RunOptions(run.config, progress=False))
    fitter = Fitter.of(coverage.selected, calibrated.calibration, calibrated.static, run.config)
    plans, _ = fit_sites(coverage.selected, fitter)
    decomposed = model.clone()
    attach(model, plans, rewrite(model, plans), run.config)
    fast = closed_body_copy(model, plans)
    reference = original if coverage.decomposed else decomposed

    def error(part: Sequence[Feed]) -> float:
        return measure(reference, fast, part, [], decomposed=decomposed).worst_error

    compared = [seen[i] for i in evenly_spaced(len(seen), held)]
    return HeldBack(error(compared), error(unseen), held)
