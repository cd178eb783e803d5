# SPDX-License-Identifier: Apache-2.0
"""One report for the models of a folder."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from onnx_snn.conversion.report import ConversionReport, NodeReport, OutputReport
from onnx_snn.profiling.gain import Gain


def merged(source: str, output: str | None, reports: Sequence[ConversionReport]) -> ConversionReport:
    """One report for all models of a folder; with several models, node names start with that of the file."""
    if len(reports) == 1:
        return dataclasses.replace(reports[0], source=source, output=output)
    seconds: dict[str, float] = {}
    for report in reports:
        for stage, value in report.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + value
    return ConversionReport(
        source,
        output,
        reports[0].config,
        nodes=tuple(_prefixed(node, report) for report in reports for node in report.nodes),
        outputs=tuple(_prefixed(entry, report) for report in reports for entry in report.outputs),
        calibration_samples=sum(report.calibration_samples for report in reports),
        seconds=seconds,
        error=max((report.error for report in reports if report.error is not None), default=None),
        gain=_joined([report.gain for report in reports if report.gain is not None]),
        classes={name: sum(report.classes.get(name, 0) for report in reports) for name in reports[0].classes},
        warnings=tuple(f"{Path(report.source).stem}: {warning}" for report in reports for warning in report.warnings),
        upgrade="; ".join(f"{Path(report.source).stem}: {report.upgrade}" for report in reports if report.upgrade),
    )


def _joined(gains: Sequence[Gain]) -> Gain | None:
    """The figures of all models of a folder together."""
    return functools.reduce(Gain.joined, gains) if gains else None


Named = TypeVar("Named", NodeReport, OutputReport)


def _prefixed(entry: Named, report: ConversionReport) -> Named:
    """`entry` of `report` with the name of the model's file in front of its own."""
    return dataclasses.replace(entry, name=f"{Path(report.source).stem}:{entry.name}")
