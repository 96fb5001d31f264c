"""Tests what a report says of a search: the best so far, and how much of the ranks each field explains alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kruskal, spearmanr

from bench.records import Searched, Tune
from bench.records.store.studies import StudyView, Trial, TrialView
from bench.report.summary.searches import FEWEST, importance_of

TUNE = Tune(space={"learning_rate": Searched(low=0.0, high=1.0), "loss": Searched(choices=("a", "b", "c"))}, trials=40)


def complete(rng: np.random.Generator, count: int, objective, digits: int = 6) -> list[TrialView]:
    views = []
    for number in range(count):
        params = {"learning_rate": round(float(rng.random()), digits), "loss": int(rng.integers(3))}
        trial = Trial.model_construct(number=number, params=params, values={}, planned=None)
        views.append(TrialView(trial, "complete", objective(params, rng), (), 1.0))
    return views


def test_a_field_that_decides_alone_explains_all_and_the_other_little():
    rng = np.random.default_rng(0)
    found = importance_of(TUNE, complete(rng, 200, lambda params, _: params["learning_rate"] ** 3))
    assert found["learning_rate"] == pytest.approx(1.0)
    assert found["loss"] < 0.05
    found = importance_of(TUNE, complete(rng, 200, lambda params, _: -params["learning_rate"]))
    assert found["learning_rate"] == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(20))
def test_shares_are_those_of_spearman_and_of_kruskal_and_wallis_with_ties_too(seed):
    rng = np.random.default_rng(seed)
    digits = 1 if seed % 2 else 6  # of one digit many values are equal
    views = complete(
        rng, 30, lambda p, r: round(p["learning_rate"] + 0.3 * p["loss"] + r.normal(0, 0.3), digits), digits
    )
    values = [view.value for view in views]
    rates = [view.trial.params["learning_rate"] for view in views]
    groups = [[v.value for v in views if v.trial.params["loss"] == choice] for choice in range(3)]
    found = importance_of(TUNE, views)
    assert found["learning_rate"] == pytest.approx(spearmanr(rates, values).statistic ** 2)
    assert found["loss"] == pytest.approx(kruskal(*[g for g in groups if g]).statistic / (len(views) - 1))


def test_of_few_trials_nothing_is_told():
    views = complete(np.random.default_rng(0), FEWEST - 1, lambda params, _: params["learning_rate"])
    assert importance_of(TUNE, views) == {}


@pytest.mark.parametrize(("higher_is_better", "expected"), [(True, 1), (False, 0)])
def test_the_best_is_a_complete_trial_and_the_first_of_equal_ones(higher_is_better, expected):
    states = [("complete", 0.1), ("complete", 0.8), ("complete", 0.8), ("pruned", 0.9), ("failed", None)]
    views = tuple(
        TrialView(Trial.model_construct(number=n, params={}, values={}, planned=None), state, value, (), 1.0)
        for n, (state, value) in enumerate(states)
    )

    class Of:
        pass

    study = Of()
    study.higher_is_better = higher_is_better
    assert StudyView(study, views).best.trial.number == expected
