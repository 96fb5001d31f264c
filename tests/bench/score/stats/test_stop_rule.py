"""Tests when a model is warm and when enough has been measured: each condition by itself."""

from __future__ import annotations

import math
from math import comb

import numpy as np
import pytest

from bench.records import Measurement
from bench.score.stats.percentiles import samples_needed
from bench.score.stats.stop_rule import WarmUp, median_half_width, next_check, unmet_conditions

SHAPE = (4, 6)
MS = 1_000_000


def warm_up(**changes) -> WarmUp:
    fields = {
        "warmup_min_iterations": 4,
        "warmup_window": 2,
        "warmup_tolerance": 0.02,
        "warmup_max_iterations": 50,
        "warmup_max_s": 1.0,
    }
    min_s, buckets = changes.pop("min_s", 0.0), changes.pop("buckets", [SHAPE])
    return WarmUp(Measurement(**{**fields, **changes}), min_s=min_s, buckets=buckets)


def fed(rule: WarmUp, *totals_ms: float, shape: tuple[int, int] = SHAPE) -> WarmUp:
    for total in totals_ms:
        rule.add(round(total * MS), [shape])
    return rule


def test_a_model_is_warm_when_all_conditions_hold():
    assert fed(warm_up(), 9, 9, 5, 5, 5, 5).unmet() == ()


def test_too_few_iterations_are_named():
    assert fed(warm_up(warmup_min_iterations=7), 5, 5, 5, 5, 5, 5).unmet() == ("6 of 7 iterations",)


def test_too_short_a_warm_up_is_named():
    assert fed(warm_up(min_s=0.5), *[5] * 6).unmet() == ("0.0 of 0.5 s",)
    assert fed(warm_up(min_s=0.03), *[5] * 6).unmet() == ()


def test_each_image_shape_must_have_been_seen_twice():
    rule = warm_up(buckets=[SHAPE, (8, 8)])
    fed(rule, *[5] * 6)
    fed(rule, 5, shape=(8, 8))
    assert rule.unmet() == ("1 image shapes not seen twice",)
    fed(rule, 5, shape=(8, 8))
    assert rule.unmet() == ()


def test_a_shape_that_fills_a_batch_counts_as_seen_once():
    rule = warm_up()
    rule.add(5 * MS, [SHAPE] * 8)
    assert "1 image shapes not seen twice" in rule.unmet()


def test_a_model_that_is_still_getting_faster_is_not_warm():
    # Medians of the last two windows: 7 and 5 ms, 28.6 % less.
    assert fed(warm_up(), 9, 9, 7, 7, 5, 5).unmet() == ("the last two windows differ by 28.6 %",)


def test_a_change_within_the_tolerance_is_warm_and_one_outside_is_not():
    assert fed(warm_up(), 100, 100, 101.9, 101.9).unmet() == ()
    assert fed(warm_up(), 100, 100, 102.1, 102.1).unmet() != ()


def test_fewer_than_two_windows_are_named():
    assert fed(warm_up(warmup_min_iterations=1), 5, 5, 5).unmet() == ("fewer than two windows",)


def test_warm_up_is_capped_by_iterations():
    assert not fed(warm_up(warmup_max_iterations=5), *[5] * 4).capped()
    assert fed(warm_up(warmup_max_iterations=5), *[5] * 5).capped()


def test_warm_up_is_capped_by_seconds():
    assert not fed(warm_up(warmup_max_s=1.0), 999).capped()
    assert fed(warm_up(warmup_max_s=1.0), 1000).capped()


def rule(**changes) -> Measurement:
    fields = {"min_s": 1.0, "min_samples": 10, "percentiles": (), "median_half_width": 0.01, "replicates": 1}
    return Measurement(**{**fields, **changes})


def test_enough_is_enough_when_every_condition_holds():
    assert unmet_conditions([5 * MS] * 10, 1.0, rule()) == ()


@pytest.mark.parametrize(
    ("samples", "elapsed_s", "changes", "named"),
    [
        ([5 * MS] * 10, 0.9, {}, "0.9 of 1 s measured"),
        ([5 * MS] * 9, 1.0, {}, "9 of 10 samples"),
        ([5 * MS] * 10, 1.0, {"percentiles": (50.0, 90.0)}, f"10 of {samples_needed(90.0)} samples for p90"),
        ([4 * MS, 6 * MS] * 10, 1.0, {}, "the median is known to ±20.0 %, ±1 % was asked for"),
    ],
)
def test_each_condition_of_the_stop_rule_is_named_alone(samples, elapsed_s, changes, named):
    assert unmet_conditions(samples, elapsed_s, rule(**changes)) == (named,)


def test_the_samples_that_a_percentile_takes_are_those_of_all_processes():
    # p95 takes 130 samples: of six processes 22 each
    assert unmet_conditions([5 * MS] * 22, 1.0, rule(percentiles=(95.0,), replicates=6)) == ()
    assert unmet_conditions([5 * MS] * 21, 1.0, rule(percentiles=(95.0,), replicates=6)) == (
        "21 of 22 samples for p95",
    )


def test_the_stop_rule_is_looked_at_only_when_the_number_of_samples_has_doubled():
    measurement = rule(min_samples=30)
    looked_at, count = [], 0
    while count < 500:
        count = next_check(count, measurement)
        looked_at.append(count)
    assert looked_at == [30, 60, 120, 240, 480, 960]


def test_no_interval_of_the_median_is_claimed_from_five_samples():
    assert median_half_width([5.0] * 5) == math.inf
    assert median_half_width([5.0] * 6) == 0.0


@pytest.mark.parametrize("n", [6, 10, 31, 100, 1000])
def test_the_interval_of_the_median_covers_it_with_at_least_95_percent(n):
    # Values 0..n-1 at a distance of 1, so the width tells the ranks. The chance that the true median lies between
    # the r-th smallest and the r-th largest of n samples is 1 - 2 P(Binomial(n, 1/2) < r).
    width = 2 * median_half_width(np.arange(n) + 1e9) * (1e9 + (n - 1) / 2)
    below = (n - 1 - round(width)) / 2  # samples on each side outside of the interval, half a rank if uneven
    outside = sum(comb(n, k) for k in range(math.floor(below) + 1)) / 2**n
    assert 1 - 2 * outside >= 0.95
