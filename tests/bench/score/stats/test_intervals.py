"""Intervals cover what they claim, by brute force and by simulation."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.score.stats.intervals import _sample_weights as sample_weights
from bench.score.stats.intervals import (
    central_interval,
    hierarchical_interval,
    median_interval,
    resampled_percentiles,
    variance_components,
)


@pytest.mark.parametrize("n", [*range(0, 40), 100, 101, 400])
def test_the_ranks_of_the_median_interval_are_the_tightest_that_cover_95_percent(n):
    def coverage(k):  # P[x_(k) <= median <= x_(n+1-k)], exactly
        return 1 - 2 * sum(comb(n, i) for i in range(k)) / 2**n

    tightest = max((k for k in range(1, n // 2 + 1) if coverage(k) >= 0.95), default=None)
    interval = median_interval(range(1, n + 1))
    assert interval == (None if tightest is None else (tightest, n + 1 - tightest))


def test_six_samples_are_the_fewest_with_a_median_interval():
    # 2 / 2^6 = 3.1 % outside, 2 / 2^5 = 6.3 %
    assert median_interval([3, 1, 2, 5, 4]) is None
    assert median_interval([3, 1, 2, 5, 4, 6]) == (1, 6)


def test_a_very_large_sample_has_the_interval_of_the_normal_law():
    # n/2 - 1.96 sqrt(n)/2 of 200 000 is rank 99 561.7
    low, high = median_interval(np.arange(1, 200_001))
    assert low == pytest.approx(99_562, abs=1)
    assert high == 200_001 - low


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_a_resample_is_made_of_whole_processes_and_contiguous_blocks_of_ten(sizes, seed):
    weights = np.concatenate(list(sample_weights(sizes, seed=seed, draws=20)))
    parts = np.split(weights, np.cumsum(sizes)[:-1], axis=1)
    taken = np.stack([part.sum(axis=1) for part in parts], axis=1)  # samples of each process in a draw
    # as many processes as there are, each with as many samples as it has
    assert (taken % np.array(sizes) == 0).all()
    assert ((taken / np.array(sizes)).sum(axis=1) == len(sizes)).all()


def test_one_process_of_ten_samples_is_one_block():
    weights = np.concatenate(list(sample_weights([10], seed=0, draws=5)))
    assert (weights == 1).all()


def test_neighbours_are_drawn_together():
    weights = np.concatenate(list(sample_weights([400], seed=0, draws=400)))
    inside = weights[:, 50:350]
    # samples share a block with probability 9/10, so neighbouring weights correlate by about 0.9
    assert np.corrcoef(inside[:, :-1].ravel(), inside[:, 1:].ravel())[0, 1] == pytest.approx(0.9, abs=0.02)
    assert abs(np.corrcoef(inside[:, :-50].ravel(), inside[:, 50:].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("percents", [(50.0,), (50.0, 90.0, 95.0)])
def test_percentiles_of_a_resample_equal_sorting_the_drawn_samples(percents):
    random = np.random.default_rng(0)
    processes = [random.lognormal(size=n) for n in (37, 5, 64)]
    pooled = np.concatenate(processes)
    weights = np.concatenate(list(sample_weights([37, 5, 64], seed=4, draws=50)))
    found = resampled_percentiles(processes, percents, seed=4, draws=50)
    for row, values in zip(weights, found, strict=True):
        drawn = np.sort(np.repeat(pooled, row))
        assert values.tolist() == [drawn[int(len(drawn) * p / 100)] for p in percents]


def test_the_interval_repeats_with_its_seed_and_moves_with_another():
    processes = [np.random.default_rng(i).lognormal(size=100) for i in range(3)]
    assert hierarchical_interval(processes, 50.0, seed=1) == hierarchical_interval(processes, 50.0, seed=1)
    one, other = (resampled_percentiles(processes, (50.0,), seed=seed) for seed in (1, 2))
    assert (one != other).any()


def test_processes_that_differ_widen_the_interval_far_beyond_their_samples():
    random = np.random.default_rng(0)
    alike = [random.normal(10, 0.1, 500) for _ in range(5)]
    apart = [values + shift for values, shift in zip(alike, (-1, -0.5, 0, 0.5, 1), strict=True)]
    narrow, wide = (hierarchical_interval(p, 50.0, seed=0) for p in (alike, apart))
    assert narrow.high - narrow.low < 0.03
    assert wide.high - wide.low > 0.8


def test_the_interval_of_a_median_covers_it_about_19_times_in_20():
    # 12 processes, each shifted by its own N(0, 0.2); 60 samples of N(0, 1) with autocorrelation
    random, covered = np.random.default_rng(1), 0
    for trial in range(150):
        processes = []
        for _ in range(12):
            noise = random.normal(size=62)
            smooth = (noise[2:] + noise[1:-1] + noise[:-2]) / np.sqrt(3)
            processes.append(10 + random.normal(0, 0.2) + smooth)
        low, high = hierarchical_interval(processes, 50.0, seed=trial, draws=400)
        covered += low <= 10 <= high
    assert 0.88 <= covered / 150 <= 1.0


def test_central_interval_leaves_out_a_fortieth_on_each_side():
    assert central_interval(np.arange(0.0, 1001.0)) == (25.0, 975.0)


def test_variance_components_are_recovered_from_many_processes():
    random = np.random.default_rng(0)
    processes = [random.normal(random.normal(5, 2), 1, size=random.integers(20, 60)) for _ in range(400)]
    found = variance_components(processes)
    assert found.between == pytest.approx(4, rel=0.2)
    assert found.within == pytest.approx(1, rel=0.05)


def test_variance_components_of_a_balanced_table_equal_the_textbook():
    # means 2, 4, 9; MSB = 2 * ((2-5)^2 + (4-5)^2 + (9-5)^2) / 2 = 26; MSW = (2 + 2 + 2) / 3 = 2
    found = variance_components([np.array([1, 3]), np.array([3, 5]), np.array([8, 10])])
    assert found.between == pytest.approx((26 - 2) / 2)
    assert found.within == pytest.approx(2)


def test_equal_processes_have_no_variance_between_them_and_one_has_none_to_split():
    same = np.array([1.0, 2.0, 3.0])
    assert variance_components([same, same]).between == 0
    assert variance_components([same]) is None
    assert variance_components([same, same[:1]]) is None
