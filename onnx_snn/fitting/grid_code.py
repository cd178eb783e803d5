# SPDX-License-Identifier: Apache-2.0
"""Exact codes of quantized tensors: their levels are the numbers that the tensor can hold.

A grid of L steps on each sign takes ceil(L / (2**T - 1)) segments of T bits with levels of one step; 8 bits take a
single segment at T = 8. A level k of it is k * step, rounded once to float32, which is what DequantizeLinear computes.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from onnx_snn.config.neuron_settings import GridCode, NeuronSettings
from onnx_snn.fitting.identity_code import code_of_levels
from onnx_snn.graph.quantization_grid import Grid
from onnx_snn.neurons.mbe import MbeNeuron

MOST_SEGMENTS = 32
"""Largest number of segments of an exact code; grids that need more at few time steps are coded as other tensors."""


def exact_settings(grid: Grid | None, settings: NeuronSettings) -> NeuronSettings | None:
    """The settings of the exact code of `grid` within the time steps of `settings`; None where there is none."""
    if grid is None:
        return None
    timesteps = min(settings.timesteps, grid.levels.bit_length())
    segments = -(-grid.levels // (2**timesteps - 1))
    if segments > MOST_SEGMENTS:
        return None
    return dataclasses.replace(settings, timesteps=timesteps, shape=GridCode(grid.step, (0,) * segments))


def grid_neuron(code: GridCode, settings: NeuronSettings, *, one_sided: bool) -> MbeNeuron:
    """The neuron of `code` with the time steps of `settings`; with `one_sided`, for signals that are never negative."""
    levels = np.ldexp(code.step, code.octaves)
    return code_of_levels(levels, settings.timesteps, polarity=0 if one_sided else 1, gate=settings.gate)
