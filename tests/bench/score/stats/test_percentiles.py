"""A percentile is a measured value, given only where the sample supports it."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.score.stats.percentiles import percentile, samples_needed


@pytest.mark.parametrize(("percent", "needed"), [(50, 11), (90, 64), (95, 130), (97, 219), (99, 662), (99.9, 6636)])
def test_the_samples_a_percentile_needs_are_those_of_mlperf(percent, needed):
    assert samples_needed(percent) == needed


@pytest.mark.parametrize("percent", [10.0, 50.0, 75.0, 90.0, 92.5])
def test_the_samples_needed_are_the_fewest_by_the_binomial_law(percent):
    def one_or_none_above(n):
        p = percent / 100
        return sum(comb(n, k) * (1 - p) ** k * p ** (n - k) for k in (0, 1))

    by_trying = next(n for n in range(2, 1000) if one_or_none_above(n) <= 0.01)
    assert samples_needed(percent) == by_trying


@given(st.lists(st.integers(0, 50), min_size=130, max_size=300), st.sampled_from([50, 90, 95]))
def test_the_value_is_a_sample_with_that_share_at_or_below_it_and_the_next_one_up(values, percent):
    found = percentile(values, float(percent)).value
    assert found in values
    # rank floor(n p) counted from 0: at most n p samples lie strictly below, more than n p at or below
    assert sum(v < found for v in values) * 100 <= percent * len(values) < sum(v <= found for v in values) * 100


def test_the_percentile_is_never_interpolated():
    bimodal = [10.0] * 50 + [20.0] * 50
    assert percentile(bimodal, 50.0).value == 20.0
    assert np.percentile(bimodal, 50) == 15.0  # a latency nobody ever saw


def test_the_rank_is_not_moved_by_rounding():
    # 0.646 * 500 is 323 exactly, but 322.99999999999994 in floats, either way round
    assert int(64.6 / 100 * 500) == int(500 * 64.6 / 100) == 322
    assert percentile(range(500), 64.6).value == 323


def test_too_few_samples_give_no_value_and_say_what_is_missing():
    found = percentile(range(64), 95.0)
    assert found.value is None
    assert found.missing == "needs 130 samples, has 64"
    assert percentile(range(130), 95.0).missing is None


@pytest.mark.parametrize("percent", [0, 100, -1, 250])
def test_a_percentile_outside_0_to_100_is_refused(percent):
    with pytest.raises(BenchError, match="not between 0 and 100"):
        samples_needed(percent)
