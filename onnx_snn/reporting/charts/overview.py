# SPDX-License-Identifier: Apache-2.0
"""All charts of the whole network."""

from __future__ import annotations

from onnx_snn.reporting.charts.chart import Chart
from onnx_snn.reporting.charts.energy import energy
from onnx_snn.reporting.charts.errors import errors
from onnx_snn.reporting.charts.losses import losses
from onnx_snn.reporting.charts.spiking import spikes, steps
from onnx_snn.reporting.views import Survey


def overview(survey: Survey) -> dict[str, Chart]:
    """All charts of the network, by key."""
    charts = (errors(survey), spikes(survey), steps(survey), energy(survey), *losses(survey))
    return {chart.key: chart for chart in charts}
