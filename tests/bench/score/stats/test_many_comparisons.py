"""Student's t against a statistics library, and Holm's correction against its definition."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bench.score.stats.holm import holm, holm_of_many, interval_levels
from bench.score.stats.student import Estimate, quantile, t_statistic, two_sided_p, welch


@pytest.mark.parametrize("degrees", [1, 2, 2.3, 3, 4, 7.8, 10, 29, 30.5, 500, 4999])
def test_the_two_sided_p_value_is_that_of_a_statistics_library(degrees):
    stats = pytest.importorskip("scipy.stats", reason="scipy")
    for t in (0.0, 0.3, -1.0, 2.5, 6.0, 40.0):
        assert two_sided_p(t, degrees) == pytest.approx(2 * stats.t.sf(abs(t), degrees), abs=1e-11)


@pytest.mark.parametrize("degrees", [1, 2, 2.7, 3, 10, 29, 200])
def test_half_of_an_interval_is_that_of_a_statistics_library(degrees):
    stats = pytest.importorskip("scipy.stats", reason="scipy")
    for level in (0.05, 0.001, 1e-5):
        assert quantile(degrees, level) == pytest.approx(stats.t.isf(level / 2, degrees), rel=1e-7)


def test_a_difference_without_spread_is_certain_and_no_difference_is_none():
    assert two_sided_p(t_statistic(0.1, 0.0), 5) == 0.0
    assert two_sided_p(t_statistic(0.0, 0.0), 5) == 1.0


def rejected_by_steps(p_values, level):
    """Holm's procedure as it is told: from the smallest on, until one is not small enough."""
    order = np.argsort(p_values, kind="stable")
    rejected = set()
    for rank, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - rank):
            break
        rejected.add(int(index))
    return rejected


@pytest.mark.parametrize("seed", range(30))
def test_adjusted_p_values_reject_what_the_steps_of_the_procedure_reject(seed):
    random = np.random.default_rng(seed)
    p_values = (random.random(random.integers(1, 20)) ** 3).tolist()
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.3):
        assert {i for i, p in enumerate(adjusted) if p <= level} == rejected_by_steps(p_values, level)


def test_a_correction_keeps_the_order_and_never_exceeds_one():
    p_values = [0.5, 0.9, 0.001, 0.04]
    adjusted = holm(p_values)
    assert adjusted == [1.0, 1.0, 0.004, 0.12]
    assert all((p_values[a] < p_values[b]) <= (adjusted[a] <= adjusted[b]) for a, b in combinations(range(4), 2))
    assert holm([]) == []


@pytest.mark.parametrize("seed", range(30))
def test_an_interval_leaves_out_0_exactly_where_its_comparison_is_significant(seed):
    random = np.random.default_rng(seed)
    family = [
        Estimate(random.normal(0, 3), random.uniform(0.5, 2), float(random.integers(2, 40)))
        for _ in range(random.integers(1, 15))
    ]
    p_values = [one.p for one in family]
    for one, p, level in zip(family, holm(p_values), interval_levels(p_values), strict=True):
        assert (abs(one.value) > one.half(level)) == (p < 0.05)
        assert level <= 0.05


def test_a_single_comparison_has_an_interval_of_95_percent():
    assert interval_levels([0.3]) == [0.05]
    assert interval_levels([]) == []


def test_welchs_test_is_that_of_a_statistics_library():
    stats = pytest.importorskip("scipy.stats", reason="scipy")
    a, b = [1.0, 2.0, 4.0], [3.0, 3.5, 3.1, 5.0, 9.0]
    assert welch(a, b).p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)


def test_two_groups_without_spread_differ_for_certain_or_not_at_all():
    assert (welch([1.0, 1.0], [2.0, 2.0]).p, welch([1.0, 1.0], [1.0, 1.0]).p) == (0.0, 1.0)


@pytest.mark.parametrize("seed", range(30))
def test_an_array_of_p_values_is_corrected_step_by_step(seed):
    random = np.random.default_rng(seed)
    p_values = random.random(int(random.integers(0, 12))) ** random.choice([1, 4, 30])
    p_values = np.round(p_values, 2) if seed % 2 else p_values
    adjusted, levels = holm_of_many(p_values)
    order = np.argsort(p_values, kind="stable").tolist()
    count = len(order)
    # The k-th smallest of m times m - k, but no smaller than one before it, and at most 1.
    assert [adjusted[i] for i in order] == [
        max(min(1.0, (count - k) * p_values[order[k]]) for k in range(rank + 1)) for rank in range(count)
    ]
    failed = next((rank for rank in range(count) if p_values[order[rank]] >= 0.05 / (count - rank)), count)
    assert [levels[i] for i in order] == [0.05 / (count - min(rank, failed)) for rank in range(count)]
