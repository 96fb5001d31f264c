"""Tests what is said of a training under its budget: read off its log, never interpolated."""

from __future__ import annotations

import pytest

from bench.records import Budget
from bench.records.store.runs import read_run
from bench.records.store.training_log import LoggedStep, LoggedValidation, TrainingLog
from bench.report import sentences as words
from bench.report.summary.summarise import summarise
from bench.report.summary.training_progress import progress_of
from bench.report.training_tables import budget_table


def log_of(steps, ious, *, planned_steps=None, planned_s=None):
    """Ten steps a second, eight images a step."""
    return TrainingLog(
        planned_steps,
        planned_s,
        tuple(LoggedStep(step, 8 * step, step / 10, 1.0, None) for step in range(1, steps + 1)),
        tuple(LoggedValidation(step, 8 * step, step / 10, {"val_mean_iou": iou}) for step, iou in ious),
    )


def course(log, *, ended=True, budget=None, best_step=None):
    return progress_of(log, budget=budget, ended=ended, best_step=best_step)


@pytest.mark.parametrize("plan", [{"planned_steps": 100}, {"planned_s": 10.0}, {}])
def test_a_share_of_the_budget_has_the_last_validation_by_then(plan):
    found = course(log_of(100, [(30, 0.4), (50, 0.6), (60, 0.7), (100, 0.8)], **plan))
    # nothing by step 25; step 50 is just in time; step 60 is the last by 75
    assert found.at_shares == (None, 0.6, 0.7, 0.8)


def test_a_budget_that_the_log_does_not_plan_is_taken_from_the_recipe():
    found = course(log_of(100, [(30, 0.4), (100, 0.8)]), budget=Budget(seconds=20.0), ended=False)
    # 3 of 20 s are 15 %, 10 s are half
    assert found.at_shares == (0.4, 0.8, None, None)


def test_of_two_limits_the_nearer_one_counts():
    # 100 steps take 10 s, which is half of 20 s and all of 100 steps
    found = course(log_of(100, [(50, 0.5), (100, 0.8)], planned_steps=100, planned_s=20.0))
    assert found.at_shares == (None, 0.5, 0.5, 0.8)


def test_the_last_step_may_end_beyond_a_budget_of_seconds():
    assert course(log_of(101, [(101, 0.8)], planned_s=10.0)).at_shares == (None, None, None, 0.8)


def test_a_training_that_still_runs_has_nothing_at_shares_it_has_not_reached():
    found = course(log_of(60, [(20, 0.4), (60, 0.7)], planned_steps=100), ended=False)
    assert found.at_shares == (0.4, 0.4, None, None)
    assert (found.steps, found.images, found.train_s) == (60, 480, 6.0)


def test_a_training_that_stopped_early_keeps_its_last_value_to_the_end_of_the_budget():
    assert course(log_of(60, [(20, 0.4), (60, 0.7)], planned_steps=100)).at_shares == (0.4, 0.4, 0.7, 0.7)


def test_ninety_percent_are_reached_at_the_first_validation_that_has_them():
    # 90 % of 0.8 are 0.72
    assert course(log_of(100, [(20, 0.5), (40, 0.73), (60, 0.71), (100, 0.8)])).nearly_s == 4.0


def test_the_best_step_is_the_one_reported_or_that_of_the_first_best_validation():
    log = log_of(100, [(20, 0.5), (40, 0.8), (60, 0.8), (100, 0.7)])
    assert course(log).best_step == 40
    assert course(log, best_step=60).best_step == 60


def test_a_training_that_validates_something_else_has_no_shares():
    log = log_of(50, [(50, float("nan"))])
    found = course(log)
    assert (found.at_shares, found.final, found.nearly_s, found.best_step) == ((None,) * 4, None, None, None)
    assert found.images_per_s == 80.0


def test_the_table_says_how_far_how_fast_and_how_good(finished):
    finished.train(finished.planned[0], validated=((40, 0.5), (100, 0.7), (160, 0.75), (200, 0.74)))
    frame = budget_table(summarise(read_run(finished.run)))
    better = frame.records()[0]
    assert better.pop("test mIoU (0–1)").startswith("0.94")
    assert better == {
        "model": "better",
        "training s": "20.0",
        "steps": "200",
        "images seen": "1,600",
        "images/s": "80.0",
        "val mIoU at 25 % (0–1)": "0.500",
        "val mIoU at 50 % (0–1)": "0.700",
        "val mIoU at 75 % (0–1)": "0.700",
        "val mIoU at 100 % (0–1)": "0.740",
        "s to 90 % of final": "10.0",
        "best step": "160",
    }


def test_who_is_better_in_less_training_is_told_only_where_trainings_differ_in_length(finished):
    column = "none better in less training"
    assert column not in budget_table(summarise(read_run(finished.run)))
    slow = finished.planned[1]
    folder = finished.run.job("train", slow.case.id, 0, slow.train_key)
    log = (folder / "training.jsonl").read_text()
    finished.write_job(slow, "train", slow.train_key, trained_s=40.0, trained_steps=200, trained_images=1600)
    (folder / "training.jsonl").write_text(log)
    # the worse one took twice as long
    assert budget_table(summarise(read_run(finished.run)))[column] == ["yes", "no"]


def test_models_that_are_not_trained_are_left_out_with_a_word(synthetic):
    synthetic.add("waiting")
    synthetic.add("brought", recipe=None)
    trained = synthetic.add("trained")
    synthetic.write_plan()
    synthetic.train(trained)
    summary = summarise(read_run(synthetic.run))
    assert words.untrained(summary) == [
        "Not trained in this run and so without curves: brought.",
        "No training step yet: waiting.",
    ]
    assert budget_table(summary)["model"] == ["trained"]
