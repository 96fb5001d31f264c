"""Tests how long a run is expected to take: by what was seen before, by its rules, and what is not known."""

from __future__ import annotations

import pytest

from bench.records import Budget, Measurement, Outcome, Status
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.runs import new_run
from bench.run.expected import START_S, Expectation, by_rule_s, duration
from tests.bench.builders import make_job, make_model, make_recipe

RULE = Measurement(warmup_min_s_cpu=1.0, min_s=10.0, pipelined_s=2.0)


def timing(key: str, **changes):
    return make_job(kind="time", key=key.ljust(64, "0"), measurement=RULE, **changes)


def took(seconds: float, status=Status.OK) -> Outcome:
    return Outcome(status=status, started_at="2026-01-01T00:00:00Z", wall_s=seconds)


def remember(results, job, seconds: float, status=Status.OK) -> None:
    run = new_run(results, "earlier")
    (run.path / layout.PLAN).touch()
    folder = run.job(job.kind, job.case_id, job.replicate, job.key)
    write_record(folder / layout.JOB, job)
    (folder / layout.SAMPLES).touch()  # a timing without its samples is damaged, and tells nothing
    write_record(folder / layout.OUTCOME, took(seconds, status))


def test_without_a_past_the_rules_of_timing_and_the_budget_of_a_training_tell(tmp_path):
    train = make_job(kind="train", key="t" * 64, recipe=make_recipe(budget=Budget(seconds=20.0)))
    expected = Expectation([timing("a"), timing("b"), train], tmp_path).left()
    assert expected.seconds == pytest.approx(2 * (START_S + 13.0) + START_S + 20.0)
    assert (expected.from_past, expected.unknown, expected.jobs) == (0, 0, 3)


def test_a_training_by_steps_is_unknown_and_said_to_be():
    assert by_rule_s(make_job(kind="train", recipe=make_recipe(budget=Budget(steps=100)))) is None


def test_what_is_unknown_is_counted_and_not_made_up(tmp_path):
    train = make_job(kind="train", key="t" * 64, recipe=make_recipe(budget=Budget(steps=5)))
    said = str(Expectation([train, timing("a")], tmp_path).left())
    assert "at least 18 s" in said
    assert "1 of unknown length" in said


def test_a_job_that_was_done_before_is_expected_to_take_as_long(tmp_path):
    remember(tmp_path, timing("a"), 42.0)
    expected = Expectation([timing("a")], tmp_path).left()
    assert (expected.seconds, expected.from_past) == (42.0, 1)


def test_a_job_of_the_same_model_and_rule_tells_of_another_replicate_but_not_of_another_rule(tmp_path):
    remember(tmp_path, timing("a"), 42.0)
    assert Expectation([timing("b")], tmp_path).left().seconds == 42.0
    longer = timing("c").model_copy(update={"measurement": RULE.model_copy(update={"min_s": 100.0})})
    assert Expectation([longer], tmp_path).left().seconds == pytest.approx(START_S + 103.0)


def test_jobs_that_failed_tell_nothing(tmp_path):
    remember(tmp_path, timing("a"), 1.0, Status.CRASHED)
    assert Expectation([timing("a")], tmp_path).left().from_past == 0


def test_what_is_left_shrinks_as_jobs_end_and_follows_how_long_they_took(tmp_path):
    expectation = Expectation([timing("a"), timing("b"), timing("c")], tmp_path)
    expectation.ended(timing("a"), took(30.0))
    assert expectation.left().seconds == pytest.approx(60.0)
    expectation.ended(timing("b"), took(30.0))
    expectation.ended(timing("c"), took(30.0))
    assert str(expectation.left()) == "nothing is left to do"


def test_on_a_busy_machine_what_is_left_grows_with_what_its_jobs_took(tmp_path):
    recipe = make_recipe(budget=Budget(seconds=20.0))
    models = [make_model(name=f"a/{i}") for i in range(3)]
    trainings = [make_job(kind="train", key=str(i) * 64, recipe=recipe, model=m) for i, m in enumerate(models)]
    left = Expectation([*trainings, timing("b")], tmp_path)
    left.ended(trainings[0], took(3 * (START_S + 20.0)))
    # trainings take three times their rule; nothing is known of timings yet but that
    assert left.left().seconds == pytest.approx(3 * (2 * (START_S + 20.0) + START_S + 13.0))
    left.ended(timing("b"), took(START_S + 13.0))
    assert left.left().seconds == pytest.approx(3 * 2 * (START_S + 20.0))
    left.ended(trainings[1], took(1.0, Status.CRASHED))
    assert left.left().seconds == pytest.approx(3 * (START_S + 20.0))


def test_durations_are_said_as_a_person_says_them():
    assert [duration(s) for s in (4, 59.6, 150, 7260)] == ["4 s", "1 min", "2.5 min", "2.0 h"]
