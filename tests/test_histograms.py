# SPDX-License-Identifier: Apache-2.0
"""Histograms: no element lost, exact extremes, exact under powers of two, alike however the data is cut."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from onnx_snn.calibration.channel_histogram import MAX_SHIFT, ChannelHistogram
from onnx_snn.calibration.float_bits import BLOCK, EXTREME_BITS, above, below
from onnx_snn.calibration.signed_histogram import SignedHistogram

FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)
MODERATE = st.floats(-1024, 1024, width=32, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 2.0**-20)


def arrays(elements: st.SearchStrategy[float], min_dims: int = 1) -> st.SearchStrategy[np.ndarray]:
    return npst.arrays(np.float32, npst.array_shapes(min_dims=min_dims, max_dims=3, max_side=8), elements=elements)


def signed(*parts: np.ndarray) -> SignedHistogram:
    histogram = SignedHistogram()
    for part in parts:
        histogram.add(part)
    return histogram


def channels(x: np.ndarray, axis: int | tuple[int, ...]) -> ChannelHistogram:
    histogram = ChannelHistogram(int(np.prod(np.take(x.shape, axis))))
    histogram.add(x, axis)
    return histogram


def assert_equal(a: SignedHistogram | ChannelHistogram, b: SignedHistogram | ChannelHistogram) -> None:
    assert type(a) is type(b)
    for name, array in a.to_arrays().items():
        np.testing.assert_array_equal(array, b.to_arrays()[name], err_msg=name)


@given(arrays(FLOATS))
def test_every_element_is_counted_once(x: np.ndarray) -> None:
    histogram = signed(x)
    assert histogram.counts().sum() == histogram.count == np.isfinite(x).sum()
    assert histogram.nan_count == np.isnan(x).sum()
    assert histogram.inf_count == np.isinf(x).sum()


@given(arrays(FLOATS))
def test_extremes_are_exact(x: np.ndarray) -> None:
    histogram, finite = signed(x), x[np.isfinite(x)]
    if finite.size:
        assert (histogram.minimum, histogram.maximum) == (finite.min(), finite.max())
        points, (lo, hi) = histogram.points(), histogram.ends
        assert lo <= points[0] <= points[-1] <= hi
        assert lo <= finite.min() <= finite.max() <= hi
        assert (np.diff(points) > 0).all()
    else:
        assert (histogram.minimum, histogram.maximum) == (np.inf, -np.inf)
        assert histogram.points().size == histogram.counts().size == 0


@given(st.floats(width=32, allow_nan=False), st.integers(-40, 40))
def test_ends_are_rounded_outward(value: float, exponent: int) -> None:
    assert below(value) <= value <= above(value)
    if math.isfinite(value):
        assert above(value) - below(value) <= abs(value) / 2 ** (EXTREME_BITS - 1)
        assert (below(above(value)), above(below(value))) == (above(value), below(value))
        assert above(math.ldexp(value, exponent)) == math.ldexp(above(value), exponent)


def test_last_bits_of_values_do_not_matter() -> None:
    x = np.random.default_rng(0).standard_normal((64, 8)).astype(np.float32)
    other = np.nextafter(x, np.float32(np.inf))
    assert signed(x).maximum < signed(other).maximum
    assert signed(x).ends == signed(other).ends
    np.testing.assert_array_equal(signed(x).points(), signed(other).points())
    scaled, others = (channels(each, 1).scaled(np.ones(8)) for each in (x, other))
    np.testing.assert_array_equal(scaled.points, others.points)
    assert scaled.maximum == others.maximum


@given(st.floats(2.0**-100, 2.0**100, width=32), st.booleans())
def test_points_lie_within_half_a_bin_of_the_values(value: float, negative: bool) -> None:
    value = -value if negative else value
    histogram = signed(np.array([value, 4 * value, -4 * value], np.float32))
    nearest = histogram.points()[np.abs(histogram.points() - value).argmin()]
    assert abs(nearest - value) <= abs(value) / 64


@given(arrays(MODERATE), st.integers(-40, 40))
def test_a_power_of_two_shifts_points_exactly(x: np.ndarray, exponent: int) -> None:
    plain, shifted = signed(x), signed(np.ldexp(x, exponent))
    np.testing.assert_array_equal(shifted.points(), np.ldexp(plain.points(), exponent))
    np.testing.assert_array_equal(shifted.counts(), plain.counts())


@given(arrays(FLOATS), arrays(FLOATS))
def test_merging_is_counting_both(x: np.ndarray, y: np.ndarray) -> None:
    merged = signed(x)
    merged.merge(signed(y))
    assert_equal(merged, signed(x, y))
    assert_equal(merged, signed(np.concatenate([y.ravel(), x.ravel()])))


def test_zeros_and_denormals_are_a_point_of_their_own() -> None:
    histogram = signed(np.array([0.0, -0.0, 1e-45, -1e-45, 1.0, -1.0], np.float32))
    np.testing.assert_array_equal(histogram.points(), [-1.0, 0.0, 1.0])
    np.testing.assert_array_equal(histogram.counts(), [1, 4, 1])


def test_a_masking_value_hides_nothing() -> None:
    scores = np.linspace(-4, 4, 1001, dtype=np.float32)
    masked = signed(scores, np.full(7, np.finfo(np.float32).min))
    np.testing.assert_allclose(masked.points()[1:], signed(scores).points(), rtol=1 / 32)
    np.testing.assert_array_equal(masked.counts()[1:], signed(scores).counts())
    assert masked.counts()[0] == 7


def test_blocks_views_and_other_types() -> None:
    x = np.random.default_rng(0).standard_normal((3, BLOCK)).astype(np.float32)
    assert signed(x).count == x.size
    assert_equal(signed(x.T[::2]), signed(np.ascontiguousarray(x.T[::2])))
    half = x.astype(np.float16)
    assert_equal(signed(half), signed(half.astype(np.float32)))
    assert signed(np.array([1e300])).inf_count == 1


@given(arrays(FLOATS), st.data())
def test_arrays_restore_both_histograms(x: np.ndarray, data: st.DataObject) -> None:
    assert_equal(SignedHistogram.from_arrays(signed(x).to_arrays()), signed(x))
    assert_equal(pickle.loads(pickle.dumps(signed(x))), signed(x))
    histogram = channels(x, data.draw(st.integers(0, x.ndim - 1)))
    assert_equal(ChannelHistogram.from_arrays(histogram.to_arrays()), histogram)
    assert_equal(pickle.loads(pickle.dumps(histogram)), histogram)


@given(arrays(FLOATS), st.data())
def test_channels_keep_exact_maxima_and_every_element(x: np.ndarray, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    histogram = channels(x, axis)
    finite = np.where(np.isfinite(x), np.abs(x), 0)
    expected = np.moveaxis(finite, axis, 0).reshape(x.shape[axis], -1).max(axis=1)
    np.testing.assert_array_equal(histogram.maximum(), expected)
    assert histogram.count == np.isfinite(x).sum()
    assert histogram.nonfinite_count == x.size - np.isfinite(x).sum()


@given(arrays(FLOATS), st.data())
def test_merging_channels_is_counting_both(x: np.ndarray, data: st.DataObject) -> None:
    y = data.draw(npst.arrays(np.float32, x.shape, elements=FLOATS))
    merged = channels(x, -1)
    merged.merge(channels(y, -1))
    assert_equal(merged, channels(np.concatenate([x, y]) if x.ndim > 1 else np.stack([x, y]), -1))


def test_several_axes_form_the_channel_index() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 4)).astype(np.float32)
    assert_equal(channels(x, (2, 3)), channels(x.reshape(6, 20), 1))
    assert_equal(channels(x, (1, 3)), channels(x.swapaxes(1, 2).reshape(10, 12), 1))
    assert_equal(channels(x, (-3,)), channels(x, 1))


@given(
    npst.arrays(np.float32, (6, 4), elements=MODERATE),
    npst.arrays(np.int64, 4, elements=st.integers(-9, MAX_SHIFT)),
)
def test_scaling_by_shifts_is_counting_the_scaled_values(x: np.ndarray, exponents: np.ndarray) -> None:
    # Drawn up so that both the values and the scaled values lie within the octaves that channels resolve.
    x = x * np.float32(2.0**20)
    result = channels(x, 1).scaled(np.exp2(exponents))
    expected = channels(np.ldexp(x, -exponents).reshape(-1, 1), 1).scaled(np.ones(1))
    np.testing.assert_array_equal(result.points, expected.points)
    np.testing.assert_array_equal(result.counts, expected.counts)
    assert result.maximum == expected.maximum


@given(arrays(MODERATE))
def test_points_of_channels_lie_within_half_a_bin(x: np.ndarray) -> None:
    points = channels(x, 0).scaled(np.ones(len(x))).points
    magnitudes = np.abs(x).ravel()
    distance = np.abs(points[None, :] - magnitudes[:, None]).min(axis=1)
    assert (distance <= magnitudes / 16).all()


@given(npst.arrays(np.float32, (5, 3), elements=MODERATE), st.integers(-4, 4))
def test_scaling_all_channels_alike_moves_points_exactly(x: np.ndarray, exponent: int) -> None:
    plain = channels(x, 1).scaled(np.ones(3))
    shifted = channels(x, 1).scaled(np.full(3, 2.0**exponent))
    np.testing.assert_array_equal(shifted.points, np.ldexp(plain.points, -exponent))
    np.testing.assert_array_equal(shifted.counts, plain.counts)


def test_scales_are_the_channels_rms_beside_the_median() -> None:
    """None is more than 4 octaves below it."""
    rng = np.random.default_rng(0)
    factors = np.float32([1, 1, 1, 8, 1 / 8, 1 / 64, 0, 2.0**30])
    histogram = channels(rng.standard_normal((4096, 8)).astype(np.float32) * factors, 1)
    np.testing.assert_allclose(histogram.rms(), np.float64(factors), rtol=0.05)
    np.testing.assert_array_equal(histogram.power_of_two_scales(), [1, 1, 1, 8, 1 / 8, 1 / 16, 1, 2.0**MAX_SHIFT])


def test_silent_channels_have_scale_one() -> None:
    histogram = channels(np.zeros((5, 3), np.float32), 1)
    np.testing.assert_array_equal(histogram.power_of_two_scales(), [1, 1, 1])
    assert histogram.scaled(histogram.power_of_two_scales()).maximum == 0
    assert ChannelHistogram(2).scaled(np.ones(2)).points.size == 0


def test_magnitudes_beyond_the_octaves_keep_their_count_and_maximum() -> None:
    result = channels(np.float32([[2.0**-100, 2.0**100]]), 1).scaled(np.ones(2))
    np.testing.assert_array_equal(result.counts, [1, 1])
    assert result.points[0] == 0
    assert result.maximum == 2.0**100


def test_counts_widen_before_they_overflow() -> None:
    histogram = channels(np.ones((1, 2), np.float32), 1)
    for _ in range(33):
        histogram.merge(ChannelHistogram.from_arrays(histogram.to_arrays()))
    assert histogram.count == 2 * 2**33


@pytest.mark.parametrize("scales", [[3.0, 1.0], [1.0], [0.0, 1.0], [-1.0, 1.0], [2.0**25, 1.0], [np.inf, 1.0]])
def test_scales_that_are_no_powers_of_two_are_refused(scales: list[float]) -> None:
    with pytest.raises(ValueError, match="scale"):
        ChannelHistogram(2).scaled(np.array(scales))


def test_wrong_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="do not hold 3 channels"):
        ChannelHistogram(3).add(np.ones((2, 4), np.float32), 1)
    with pytest.raises(ValueError, match="cannot merge 2 channels into 3"):
        ChannelHistogram(3).merge(ChannelHistogram(2))


@given(st.lists(st.floats(0.0, 2.0**20, width=32), min_size=1, max_size=50))
def test_spread_counts_stay_in_their_bins(magnitudes: list[float]) -> None:
    histogram = ChannelHistogram(1)
    histogram.add(np.array(magnitudes, np.float32)[:, None], -1)
    scaled = histogram.scaled(np.ones(1))
    points, mass = scaled.spread()
    assert mass.sum() == scaled.counts.sum()
    assert (np.diff(points) >= 0.0).all()
    assert points[-1] <= scaled.maximum
    bins = points.reshape(scaled.points.size, -1)
    first, last = bins[:, 0], bins[:, -1]
    silent = scaled.points == 0.0
    assert (bins[silent] == 0.0).all()
    assert (first[~silent] > 0.94 * scaled.points[~silent]).all()
    assert (last[~silent] < 1.06 * scaled.points[~silent]).all()
    assert (first[1:] > last[:-1]).all()
