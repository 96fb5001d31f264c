"""Intervals within a process cover what they claim, by brute force and by simulation."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from bench.score.stats.intervals import _block_draws as block_draws
from bench.score.stats.intervals import _block_weights as block_weights
from bench.score.stats.intervals import block_interval, central_interval, median_interval, variance_components


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


@pytest.mark.parametrize("size", [1, 7, 10, 37, 240])
def test_a_resample_is_made_of_contiguous_blocks_of_ten_and_as_long_as_the_series(size):
    weights = np.concatenate(list(block_weights(size, seed=3, draws=20)))
    assert weights.shape == (20, size)
    assert (weights.sum(axis=1) == size).all()
    assert (weights >= 0).all()


def test_ten_samples_are_one_block():
    assert (np.concatenate(list(block_weights(10, seed=0, draws=5))) == 1).all()


def test_neighbours_are_drawn_together():
    weights = np.concatenate(list(block_weights(400, seed=0, draws=400)))
    inside = weights[:, 50:350]
    # samples share a block with probability 9/10, so neighbouring weights correlate by about 0.9
    assert np.corrcoef(inside[:, :-1].ravel(), inside[:, 1:].ravel())[0, 1] == pytest.approx(0.9, abs=0.02)
    assert abs(np.corrcoef(inside[:, :-50].ravel(), inside[:, 50:].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("percent", [50.0, 90.0, 95.0])
def test_percentiles_of_a_resample_equal_sorting_the_drawn_samples(percent):
    values = np.random.default_rng(0).lognormal(size=64)
    weights = np.concatenate(list(block_weights(64, seed=4, draws=50)))
    for row, found in zip(weights, block_draws(values, percent, seed=4, draws=50), strict=True):
        drawn = np.sort(np.repeat(values, row))
        assert found == drawn[int(len(drawn) * percent / 100)]


def test_the_interval_of_one_process_repeats_with_its_seed():
    values = np.random.default_rng(0).lognormal(size=100)
    assert block_interval(values, 50.0, seed=1) == block_interval(values, 50.0, seed=1)
    assert (block_draws(values, 50.0, seed=1) != block_draws(values, 50.0, seed=2)).any()


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
