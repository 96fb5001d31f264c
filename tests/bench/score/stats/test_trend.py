"""Drift is told from chance, and outliers are counted, not removed."""

from __future__ import annotations

import numpy as np
import pytest

from bench.score.stats.trend import drift, outliers
from tests.benchmarks.bench_intervals import drift_rate


def theil_sen_by_loop(values):
    slopes = [(values[j] - values[i]) / (j - i) for i in range(len(values)) for j in range(i + 1, len(values))]
    return float(np.median(slopes))


def test_the_slope_is_the_median_of_all_pairs():
    values = np.random.default_rng(0).normal(10, 1, 60) + np.linspace(0, 3, 60)
    assert drift(values).change == pytest.approx(theil_sen_by_loop(values) * 59 / np.median(values))


def test_a_five_percent_rise_over_the_measurement_matters():
    values = 10 * (1 + np.linspace(0, 0.05, 2000)) + np.random.default_rng(0).normal(0, 0.2, 2000)
    found = drift(values)
    assert found.change == pytest.approx(0.05 / 1.025, abs=0.005)
    assert found.matters


def test_a_clear_rise_of_one_percent_does_not_matter():
    values = 10 * (1 + np.linspace(0, 0.01, 2000)) + np.random.default_rng(0).normal(0, 0.01, 2000)
    assert drift(values).significant
    assert not drift(values).matters


@pytest.mark.parametrize(
    ("length", "phi"), [(100, 0.0), (100, 0.5), (100, 0.9), (500, 0.9), (500, 0.95), (2000, 0.95), (2000, 0.99)]
)
def test_a_series_that_wanders_without_a_trend_is_not_taken_for_drift(phi, length):
    assert drift_rate(phi, length, 0.0, trials=300) <= 0.04


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_a_drift_of_10_percent_is_seen_through_noise_that_wanders(phi):
    assert drift_rate(phi, 2000, 0.1, trials=200) >= 0.95


def test_noise_is_seldom_taken_for_drift():
    random = np.random.default_rng(0)
    # 100 samples that vary by 10 % show slopes above 2 % by chance; only 1 in 100 is significant
    found = [drift(random.normal(10, 1, 100)) for _ in range(300)]
    assert sum(abs(f.change) > 0.02 for f in found) > 100
    assert sum(f.matters for f in found) <= 10


def test_a_tenth_of_wild_samples_does_not_move_the_slope():
    values = np.full(200, 10.0)
    values[180:] = 100
    assert drift(values).change == 0


def test_fewer_than_ten_samples_have_no_trend():
    assert drift(np.arange(9)) is None


def test_an_outlier_lies_ten_standard_deviations_out():
    values = np.array([8, 9, 10, 11, 12] * 20 + [10 + 14, 10 + 15, 10 - 15])
    # MAD 1: 14 is within 14.826, 15 is not
    assert np.flatnonzero(outliers(values)).tolist() == [101, 102]


def test_every_other_sample_is_an_outlier_where_most_are_equal():
    assert outliers(np.array([5, 5, 5, 6])).tolist() == [False, False, False, True]


def test_no_samples_have_no_outliers():
    assert outliers(np.empty(0)).tolist() == []


@pytest.mark.parametrize("count", [10, 199, 200, 201, 399, 1234])
def test_long_series_are_reduced_to_medians_of_stretches(count):
    from bench.score.stats.trend import _medians

    values = np.random.default_rng(count).standard_normal(count)
    parts = min(200, count)
    assert _medians(values, parts).tolist() == [np.median(part) for part in np.array_split(values, parts)]
