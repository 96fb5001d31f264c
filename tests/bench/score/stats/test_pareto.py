"""The front is what nobody beats; its probability is a share of draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.score.stats.pareto import Point, pareto_front, pareto_probability


def front_by_definition(points):
    def beats(a, b):
        return a.score >= b.score and a.latency <= b.latency and (a.score > b.score or a.latency < b.latency)

    return tuple(i for i, p in enumerate(points) if not any(beats(q, p) for q in points))


@given(st.lists(st.builds(Point, st.integers(0, 6).map(float), st.integers(0, 6).map(float)), max_size=12))
def test_the_front_is_that_of_the_definition(points):
    assert pareto_front(points) == front_by_definition(points)


def test_equal_points_share_the_front_and_a_worse_twin_does_not():
    points = [Point(0.8, 10), Point(0.8, 10), Point(0.8, 11), Point(0.7, 5), Point(0.6, 5)]
    assert pareto_front(points) == (0, 1, 3)


def test_nothing_has_no_front():
    assert pareto_front([]) == ()


def test_probability_is_the_share_of_draws_on_the_front():
    scores = np.array([[0.8, 0.8, 0.8, 0.8], [0.7, 0.7, 0.9, 0.7]])
    latencies = np.array([[10.0, 10.0, 10.0, 10.0], [12.0, 8.0, 12.0, 12.0]])
    # draw by draw the second is beaten, faster, better, beaten; the first is never beaten
    assert pareto_probability(scores, latencies).tolist() == [1.0, 0.5]


def test_a_model_without_a_score_is_never_on_the_front_and_beats_nobody():
    scores = np.array([[np.nan], [0.5]])
    assert pareto_probability(scores, np.array([[1.0], [2.0]])).tolist() == [0.0, 1.0]


def test_two_models_that_cannot_be_told_apart_share_the_front():
    random = np.random.default_rng(0)
    scores, latencies = random.normal(0.8, 0.01, (2, 2000)), random.normal(10, 0.1, (2, 2000))
    # each is beaten in both with probability 1/4
    assert pareto_probability(scores, latencies) == pytest.approx([0.75, 0.75], abs=0.04)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=3), min_size=1, max_size=6)
)
def test_every_draw_has_the_front_of_the_definition(models):
    table = np.array(models, dtype=np.float64)  # (models, draws, 2)
    fronts = [front_by_definition([Point(*one) for one in table[:, draw]]) for draw in range(3)]
    expected = [sum(model in front for front in fronts) / 3 for model in range(len(table))]
    assert pareto_probability(table[..., 0], table[..., 1]).tolist() == pytest.approx(expected)
