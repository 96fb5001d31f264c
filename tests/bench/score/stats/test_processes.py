"""Intervals and verdicts over few processes are right as often as they claim, by simulation and known answers."""

from __future__ import annotations

import numpy as np
import pytest

from bench.score.stats.processes import (
    as_ratio,
    compare_processes,
    latency_draws,
    latency_interval,
    process_percentiles,
    processes_to_find,
)
from tests.benchmarks.bench_intervals import latency_rates, processes


@pytest.mark.few(3)
@pytest.mark.parametrize("spread", [0.0, 0.005, 0.01, 0.03])
@pytest.mark.parametrize("count", [3, 6])
def test_intervals_and_verdicts_hold_whatever_processes_differ_by(count, spread):
    rates = latency_rates(count, spread, trials=150, seed=1)
    # 93 % are asked for; 150 trials have a standard error of 2 %
    assert min(rates.p50, rates.p95, rates.ratio) >= 0.89
    assert rates.same <= 0.10  # nominal 5 %
    assert rates.misled <= 0.12


def test_the_interval_of_a_median_is_students_t_of_the_logarithms_of_processes():
    stats = pytest.importorskip("scipy.stats", reason="scipy")
    samples = [np.full(20, median) for median in (9.0, 10.0, 11.5)]
    logs = np.log([9.0, 10.0, 11.5])
    expected = np.exp(stats.t.interval(0.95, 2, logs.mean(), logs.std(ddof=1) / np.sqrt(3)))
    assert latency_interval(samples, 50.0, seed=0) == pytest.approx(tuple(expected))


def test_a_tail_of_constant_processes_has_the_interval_of_a_normal_quantile():
    # Without a spread within processes p90 is a quantile of a normal law: the non-central t interval
    stats = pytest.importorskip("scipy.stats", reason="scipy")
    logs = np.random.default_rng(0).normal(2.3, 0.05, 8)
    low, high = latency_interval([np.full(30, value) for value in np.exp(logs)], 90.0, seed=0)
    shift = stats.norm.ppf(0.9) * np.sqrt(8)
    expected = logs.mean() + logs.std(ddof=1) / np.sqrt(8) * stats.nct.ppf([0.025, 0.975], 7, shift)
    assert np.log([low, high]) == pytest.approx(expected, abs=0.01)


def test_the_interval_of_a_single_process_is_of_that_process_alone():
    values = np.random.default_rng(0).normal(10, 0.1, 400)
    low, high = latency_interval([values], 50.0, seed=0)
    assert 9.9 < low < np.median(values) < high < 10.1


@pytest.mark.parametrize("percent", [50.0, 90.0, 95.0])
@pytest.mark.parametrize("seed", range(5))
def test_an_interval_holds_the_percentile_of_the_pooled_samples(percent, seed):
    random = np.random.default_rng(seed)
    samples = [random.lognormal(random.normal(0, 0.2), 0.3, random.integers(20, 200)) for _ in range(4)]
    low, high = latency_interval(samples, percent, seed=0)
    pooled = np.sort(np.concatenate(samples))
    assert low <= pooled[int(len(pooled) * percent / 100)] <= high


def test_stages_that_take_no_time_have_an_interval():
    assert latency_interval([np.zeros(20)] * 3, 95.0, seed=0).low == 0
    assert np.isfinite(latency_interval([np.zeros(20), np.ones(20), np.zeros(20)], 50.0, seed=0)).all()


def test_draws_of_a_median_spread_as_students_t_does():
    samples = [np.full(20, median) for median in np.exp([0.0, 0.1, 0.2, 0.3])]
    logs = np.log(latency_draws(samples, 50.0, seed=0, draws=200_000))
    half = 3.1824 * np.std([0.0, 0.1, 0.2, 0.3], ddof=1) / 2  # t of three degrees of freedom
    assert np.quantile(logs, [0.025, 0.975]) == pytest.approx([0.15 - half, 0.15 + half], abs=0.01)


def test_two_models_are_compared_by_welchs_test_of_their_processes():
    stats = pytest.importorskip("scipy.stats", reason="scipy")
    random = np.random.default_rng(3)
    a, b = processes(random, 3, 0.01, slower=0.02), processes(random, 5, 0.03)
    found = compare_processes(a, b)
    expected = stats.ttest_ind(*(np.log(process_percentiles(one, 50.0)) for one in (a, b)), equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    interval = np.exp(expected.confidence_interval(0.99))
    assert as_ratio(found, 0.01)[1:] == pytest.approx(tuple(interval))


def test_one_process_of_either_tells_nothing_of_the_difference():
    random = np.random.default_rng(0)
    assert compare_processes(processes(random, 1, 0.0), processes(random, 6, 0.0)) is None


@pytest.mark.parametrize("spread", [0.01, 0.03])
def test_a_slowdown_of_5_percent_is_found_with_the_processes_that_are_asked_for(spread):
    random, found, trials = np.random.default_rng(1), 0, 200
    for _ in range(trials):
        pilot = compare_processes(processes(random, 6, spread), processes(random, 6, spread))
        one = pilot.error * np.sqrt(3)  # of one process, from that of a difference of two means of six
        count = processes_to_find(0.05, one, pilot.degrees)
        a, b = (processes(random, count, spread, slower=slower, total=100 * count) for slower in (0.05, 0.0))
        found += compare_processes(a, b).p < 0.05
    assert found / trials >= 0.87  # 90 %, standard error 2 %


@pytest.mark.parametrize("percent", [1.0, 50.0, 90.0, 95.0, 99.0, 99.9])
@pytest.mark.parametrize("spread", [0.0, 0.01, 1.0])
def test_a_percentile_of_sums_is_that_of_all_of_them(percent, spread):
    from bench.score.stats.processes import _upper_rank, _upper_ranks_of_sums

    random = np.random.default_rng(0)
    a, b = np.sort(random.standard_normal(100).round(2)), spread * np.sort(random.standard_normal(101).round(1))
    rows = np.stack([b, 2 * b, 0 * b])
    expected = [_upper_rank((a[:, None] + row).ravel(), percent) for row in rows]
    assert _upper_ranks_of_sums(a, rows, percent).tolist() == expected


@pytest.mark.parametrize("count", [1, 2, 3, 50, 99, 100, 101, 700])
def test_medians_and_quantiles_that_are_spread_evenly_are_numpys_to_the_bit(count):
    from bench.score.stats.processes import _median, _spread_evenly

    random = np.random.default_rng(count)
    for values in (random.normal(size=count), np.round(random.normal(size=count), 1)):
        np.testing.assert_array_equal(_spread_evenly(values), np.quantile(values, (np.arange(100) + 0.5) / 100))
        assert _median(values) == np.median(values)


@pytest.mark.filterwarnings("error")
def test_draws_of_two_processes_that_differ_a_hundredfold_are_finite():
    drawn = latency_draws([np.full(20, 0.1), np.full(20, 10.0)], 95.0, seed=0)
    assert np.isfinite(drawn).all()
