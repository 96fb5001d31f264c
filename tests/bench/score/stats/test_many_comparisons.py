"""Student's t against a statistics library, and Holm's correction against its definition."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bench.score.stats.holm import holm
from bench.score.stats.student import quantile_975, t_statistic, two_sided_p


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 10, 29, 30, 500, 4999])
def test_the_two_sided_p_value_is_that_of_a_statistics_library(degrees):
    stats = pytest.importorskip("scipy.stats", reason="scipy")
    for t in (0.0, 0.3, -1.0, 2.5, 6.0, 40.0):
        assert two_sided_p(t, degrees) == pytest.approx(2 * stats.t.sf(abs(t), degrees), abs=1e-11)


@pytest.mark.parametrize("degrees", [1, 2, 3, 10, 29, 200])
def test_half_of_an_interval_is_that_of_a_statistics_library(degrees):
    stats = pytest.importorskip("scipy.stats", reason="scipy")
    assert quantile_975(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9)


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
