"""A training for seconds that others disturbed, or that hardly trained, is flagged and tested against nothing."""

from __future__ import annotations

import pytest

from bench.records import Budget, Interference, JobFacts
from bench.report.summary.training_progress import _doubts as doubts
from tests.bench.builders import make_recipe

SECONDS = make_recipe(budget=Budget(seconds=60.0))


def facts(steps=500, **interference):
    return JobFacts(trained_steps=steps, trained_s=50.0, interference=Interference(**interference))


def names(found):
    return [flag.name for flag in found]


@pytest.mark.parametrize("share", [{"foreign_share": 0.3}, {"steal_share": 0.02}, {"waited_share": 0.2}])
def test_what_others_took_of_a_budget_of_seconds_is_told_with_the_steps_it_came_to(share):
    (flag,) = doubts(SECONDS, facts(**share))
    assert flag.name == "training_disturbed"
    assert "500 steps, 10 a second" in flag.seen


def test_a_quiet_machine_and_a_budget_in_steps_raise_no_doubt():
    assert doubts(SECONDS, facts(foreign_share=0.01, steal_share=0.0, waited_share=0.01)) == []
    assert doubts(make_recipe(budget=Budget(steps=2)), facts(steps=2, foreign_share=0.9)) == []


def test_a_budget_of_seconds_that_came_to_two_steps_is_starved():
    assert names(doubts(SECONDS, facts(steps=2))) == ["training_starved"]
    assert names(doubts(SECONDS, facts(steps=2, foreign_share=0.5))) == ["training_disturbed", "training_starved"]


def test_facts_of_older_versions_that_watched_nothing_raise_no_doubt():
    assert doubts(SECONDS, JobFacts(trained_steps=100)) == []
