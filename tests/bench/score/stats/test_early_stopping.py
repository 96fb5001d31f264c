"""Early stopping against LoadGen's known answers, exact integers, and what it promises of percentiles."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import BenchError
from bench.score.stats.percentiles import allowed_over, samples_needed, tail_latency

KNOWN = [
    # percentile, and the fewest queries with 0, 1 and 5 over it at a confidence of 99 %; 64 and 662 are
    # LoadGen's own (mlperf.conf), the others were computed from the definition by other means.
    (50, 7, 11, 22),
    (90, 44, 64, 127),
    (95, 90, 130, 259),
    (97, 152, 219, 433),
    (99, 459, 662, 1307),
    (99.9, 4603, 6636, 13105),
]


@pytest.mark.parametrize(("percent", "none", "one", "five"), KNOWN)
def test_the_fewest_queries_are_those_of_loadgen(percent, none, one, five):
    assert [samples_needed(percent, over) for over in (0, 1, 5)] == [none, one, five]


@pytest.mark.parametrize("percent", [90, 99])
def test_as_many_may_be_over_as_leave_enough_queries_and_no_more(percent):
    for queries in (*range(40, 70), 500, 661, 662, 700, 3000):
        allowed = allowed_over(queries, percent)
        if allowed is None:
            assert queries < samples_needed(percent, above=0)
        else:
            assert samples_needed(percent, allowed) <= queries < samples_needed(percent, allowed + 1)


def test_with_the_fewest_queries_the_bound_is_the_slowest_of_them():
    latencies = np.arange(1, 65) * 1_000_000
    found = tail_latency(latencies[::-1], 90)
    assert (found.ms, found.slower, found.queries, found.needed) == (64.0, 0, 64, 64)


def test_with_more_queries_the_slowest_are_discarded():
    # 127 queries allow five over the bound: the bound is the fifth largest, and four are slower.
    found = tail_latency(np.arange(1, 128) * 1_000_000, 90)
    assert (found.ms, found.slower) == (123.0, 4)


def test_too_few_queries_have_no_bound_and_say_how_many_it_takes():
    found = tail_latency(np.ones(661, dtype=np.int64), 99)
    assert found.ms is None
    assert found.missing == "needs 662 queries, has 661"


def test_no_queries_have_no_bound():
    assert tail_latency([], 99).missing == "needs 662 queries, has 0"


def test_the_bound_is_above_the_true_percentile_in_99_of_100_measurements():
    # Exponential latencies: the true 90th percentile is ln 10. The bound may fall short in 1 % of all
    # measurements; of 2000 that is 20, and more than 40 (4.5 deviations) would be a wrong rule.
    draws = np.random.default_rng(1).exponential(1e6, (2000, 200)).astype(np.int64)
    short = sum(tail_latency(row, 90).ms < np.log(10) for row in draws)
    assert 0 < short <= 40


@pytest.mark.parametrize("percent", [0, 100, -3])
def test_what_is_no_percentile_is_refused(percent):
    with pytest.raises(BenchError, match="not between 0 and 100"):
        samples_needed(percent)
