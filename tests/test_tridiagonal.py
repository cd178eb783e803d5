# SPDX-License-Identifier: Apache-2.0
"""The equations of a bank, eliminated from one side or from both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.arrays import Float64
from onnx_snn.fitting.segment_moments import Matrix
from onnx_snn.fitting.tridiagonal import RIDGE, NormalEquations


def drawn_moments(segments: int, seed: int) -> list[Matrix]:
    """Moments of segments of a few points each."""
    features = np.random.default_rng(seed).normal(size=(segments, 3, 7))
    moments: list[Matrix] = (features @ features.transpose(0, 2, 1) / (7.0 * segments)).tolist()
    return moments


def least_squares(moments: list[Matrix], *, anchored: bool) -> tuple[float, Float64]:
    """The squared residual and the values at the knots by a dense solver."""
    count = len(moments) + 1
    matrix, right = RIDGE * np.eye(count), np.zeros(count)
    for n, moment in enumerate(np.array(moments)):
        matrix[n : n + 2, n : n + 2] += moment[:2, :2]
        right[n : n + 2] += moment[:2, 2]
    free = slice(1, None) if anchored else slice(None)
    values = np.zeros(count)
    values[free] = np.linalg.solve(matrix[free, free], right[free])
    return sum(moment[2][2] for moment in moments) - float(right @ values), values


@given(st.integers(1, 9), st.integers(0, 99), st.booleans())
def test_elimination_solves_the_equations(segments: int, seed: int, anchored: bool) -> None:
    moments = drawn_moments(segments, seed)
    error, values = least_squares(moments, anchored=anchored)
    equations = NormalEquations(moments, anchored=anchored)
    assert equations.error == pytest.approx(error, rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(equations.solution(), values, rtol=1e-6, atol=1e-9)


@given(st.integers(1, 9), st.integers(0, 99), st.booleans(), st.data())
def test_changed_segments_have_the_errors_of_whole_eliminations(
    segments: int, seed: int, anchored: bool, data: st.DataObject
) -> None:
    equations = NormalEquations(drawn_moments(segments, seed), anchored=anchored)
    others = drawn_moments(2 * (segments + 1), seed + 1)
    for knot in range(segments + 1):
        start, stop = max(knot - 1, 0), min(knot + 1, segments)
        changed = others[2 * knot : 2 * knot + stop - start]
        whole = [*equations.moments[:start], *changed, *equations.moments[stop:]]
        error = equations.error_with(changed, start)
        assert error == pytest.approx(NormalEquations(whole, anchored=anchored).error, rel=1e-9, abs=1e-12)
        if data.draw(st.booleans()):
            equations.replace(changed, start, error)
