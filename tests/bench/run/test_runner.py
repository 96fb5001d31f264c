"""Carrying out a plan in real workers: what is done once, what again, and what a failure costs."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.records import Status
from bench.records.store import layout
from bench.records.store.runs import new_run, read_job
from bench.run.environments.interpreters import Interpreters
from bench.run.planning.prepare import prepare
from bench.run.state import job_state
from bench.suite.jobs import CasePlan
from tests.bench.run.processes import wait_for
from tests.bench.suites import BRIEF, SHAPES, job_folders, perfect, run_suite, write_suite

RECIPE = {"budget": {"steps": 2}, "device": "cpu"}
TRAINED = {"name": "fake/trains"}


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def run(results):
    """A run folder that is listed among the runs, as those of `bench run` are."""
    made = new_run(results, "suite")
    (made.path / layout.PLAN).touch()
    return made


def states(suite: Path, run, results) -> dict[str, tuple[str, str]]:
    """`kind label` -> (state, why) of each job, as `bench check` tells them."""
    found = {}
    for plan in prepare(suite, Interpreters()).cases:
        for job in (*([plan.train] if plan.train else []), plan.predict, *plan.times):
            state = job_state(job, run, results)
            found[f"{job.kind} {job.model.label}"] = (state.name, state.why)
    return found


def test_a_case_is_trained_predicted_scored_and_then_timed_and_never_twice(tmp_path, run, results):
    suite = write_suite(tmp_path, [TRAINED, perfect()], recipe=RECIPE)
    first = run_suite(suite, run, results)
    assert first.did[:3] == [("train", "fake/trains"), ("predict", "fake/trains"), ("predict", "fake/perfect")]
    assert sorted(first.did[3:]) == [("time", "fake/perfect"), ("time", "fake/trains")]
    assert (first.summary.done, first.summary.skipped, first.summary.failed) == (5, 0, ())
    again = run_suite(suite, run, results)
    assert (again.did, again.summary.done, again.summary.skipped) == ([], 0, 5)
    assert again.scored == ["fake/trains", "fake/perfect"]


@pytest.mark.slow
def test_changing_how_is_measured_makes_only_the_timing_stale(tmp_path, run, results):
    run_suite(write_suite(tmp_path, [TRAINED], recipe=RECIPE), run, results)
    changed = write_suite(tmp_path, [TRAINED], recipe=RECIPE, measurement={**BRIEF, "min_samples": 13})
    assert {kind: name for kind, (name, _) in states(changed, run, results).items()} == {
        "train fake/trains": "done",
        "predict fake/trains": "done",
        "time fake/trains": "stale",
    }
    assert run_suite(changed, run, results).did == [("time", "fake/trains")]


@pytest.mark.slow
def test_a_changed_recipe_is_trained_and_predicted_anew(tmp_path, run, results):
    kinds = ("train", "predict")
    run_suite(write_suite(tmp_path, [TRAINED], recipe=RECIPE), run, results, kinds=kinds)
    changed = write_suite(tmp_path, [TRAINED], recipe={**RECIPE, "learning_rate": 0.5})
    assert [kind for kind, _ in run_suite(changed, run, results, kinds=kinds).did] == ["train", "predict"]


@pytest.mark.slow
def test_only_the_named_cases_and_kinds_are_done(tmp_path, run, results):
    suite = write_suite(tmp_path, [perfect(), "fake/slow_5ms"])
    assert run_suite(suite, run, results, only="fake/perf*", kinds=("predict",)).did == [("predict", "fake/perfect")]
    assert run_suite(suite, run, results, only="fake/slow_5ms*").did == [
        ("predict", "fake/slow_5ms"),
        ("time", "fake/slow_5ms"),
    ]


def test_jobs_that_were_not_asked_for_are_neither_done_already_nor_failed(tmp_path, run, results):
    suite = write_suite(tmp_path, [TRAINED, "fake/crashes", perfect()], recipe=RECIPE)
    run_suite(suite, run, results, only="fake/crashes", kinds=("predict",))
    ran = run_suite(suite, run, results, only="fake/perfect", kinds=("predict",))
    assert (ran.summary.done, ran.summary.skipped, ran.summary.failed) == (1, 0, ())


def test_timing_that_was_asked_for_without_predictions_says_so(tmp_path, run, results):
    ran = run_suite(write_suite(tmp_path, [perfect()]), run, results, kinds=("time",))
    assert ran.did == []
    (note,) = ran.listener.notes
    assert "fake/perfect" in note
    assert "predict" in note
    assert len(ran.summary.failed) == 1


def test_a_failed_job_is_set_aside_and_tried_again(tmp_path, run, results):
    suite = write_suite(tmp_path, ["fake/crashes"])
    for attempts in (1, 2):
        ran = run_suite(suite, run, results)
        assert ran.did == [("predict", "fake/crashes")]
        assert len(ran.summary.failed) == 1
        shelf = run.path / "superseded"
        kept = [read_job(folder) for folder in sorted(shelf.iterdir())] if shelf.exists() else []
        assert [view.outcome.status for view in kept] == [Status.CRASHED] * (attempts - 1)


def test_what_is_unsupported_is_not_tried_again(tmp_path, run, results):
    suite = write_suite(tmp_path, ["fake/unsupported"])
    assert run_suite(suite, run, results).outcome("predict", "fake/unsupported").status is Status.UNSUPPORTED
    again = run_suite(suite, run, results)
    assert (again.did, again.summary.failed) == ([], ())


def test_cases_that_differ_in_target_share_one_training(tmp_path, run, results):
    targets = [{"device": "cpu", "threads": 1, "batch_size": [1, 2]}]
    suite = write_suite(tmp_path, [TRAINED], recipe=RECIPE, targets=targets)
    did = [kind for kind, _ in run_suite(suite, run, results, kinds=("train", "predict")).did]
    assert did == ["train", "predict", "predict"]


def test_a_shared_training_that_fails_is_tried_once_and_fails_both_cases(tmp_path, run, results):
    model = {"name": "fake/trains", "options": {"nonsense": 1}}
    targets = [{"device": "cpu", "threads": 1, "batch_size": [1, 2]}]
    ran = run_suite(write_suite(tmp_path, [model], recipe=RECIPE, targets=targets), run, results)
    assert ran.did == [("train", "fake/trains")]
    assert len(ran.summary.failed) == 2


def test_a_training_that_is_unsupported_is_no_failure_and_leads_to_nothing_else(tmp_path, run, results):
    model = {"name": "fake/trains", "options": {"behaviour": "slow"}}
    ran = run_suite(write_suite(tmp_path, [model], recipe=RECIPE), run, results)
    assert ran.outcome("train", "fake/trains").status is Status.UNSUPPORTED
    assert (ran.did, ran.summary.failed) == ([("train", "fake/trains")], ())


def test_a_training_of_another_suite_is_used_where_it_lies(tmp_path, run, results):
    run_suite(write_suite(tmp_path, [TRAINED], recipe=RECIPE), run, results, kinds=("train",))
    other = new_run(results, "other")
    suite = write_suite(tmp_path, [TRAINED], name="other", recipe=RECIPE)
    assert states(suite, other, results)["train fake/trains"] == ("done", f"trained in {run.path}")
    ran = run_suite(suite, other, results, kinds=("train", "predict"))
    assert ran.did == [("predict", "fake/trains")]
    (folder,) = job_folders(other, "predict")
    weights = Path(read_job(folder).job.weights)
    assert weights.is_absolute()
    assert weights.is_relative_to(run.path)


def test_weights_trained_in_the_same_run_are_named_relative_to_the_job(tmp_path, run, results):
    run_suite(write_suite(tmp_path, [TRAINED], recipe=RECIPE), run, results, kinds=("train", "predict"))
    (folder,) = job_folders(run, "predict")
    weights = Path(read_job(folder).job.weights)
    assert not weights.is_absolute()
    assert (folder / weights).read_text() == "trained"


def test_a_case_that_cannot_be_scored_fails_and_the_next_is_scored(tmp_path, run, results):
    def score(plan: CasePlan, _: Path) -> None:
        if plan.case.model.label == "fake/slow_5ms":
            raise BenchError("no ground truth")

    suite = write_suite(tmp_path, ["fake/slow_5ms", perfect()])
    ran = run_suite(suite, run, results, kinds=("predict",), score=score)
    assert ran.scored == ["fake/slow_5ms", "fake/perfect"]
    assert [case.partition("@")[0] for case in ran.summary.failed] == ["fake/slow_5ms"]
    assert ran.listener.notes[0].endswith("could not be scored: no ground truth")


def worker_of(run, kind: str) -> int | None:
    """Process id of the worker that has a job folder of this run open as its argument."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"bench.run.worker.process" in words and str(run.jobs.resolve() / kind).encode() in b" ".join(words):
            return int(entry.parent.name)
    return None


def test_a_worker_that_is_killed_from_outside_costs_its_job_only(tmp_path, run, results):
    suite = write_suite(tmp_path, ["fake/hangs", perfect()])

    def kill() -> None:
        wait_for(lambda: any(run.jobs.glob("predict-fake-hangs*/predictions")))
        os.kill(worker_of(run, "predict-fake-hangs"), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    ran = run_suite(suite, run, results, kinds=("predict",))
    killer.join()
    outcome = ran.outcome("predict", "fake/hangs")
    assert (outcome.status, outcome.signal) == (Status.CRASHED, "SIGKILL")
    assert ran.outcome("predict", "fake/perfect").status is Status.OK


def test_a_job_that_was_under_way_when_its_run_ended_starts_from_nothing(tmp_path, run, results):
    suite = write_suite(tmp_path, [perfect()])
    run_suite(suite, run, results, kinds=("predict",))
    (folder,) = job_folders(run, "predict")
    (folder / layout.OUTCOME).unlink()
    (folder / layout.PREDICTIONS / "left-over.png").touch()
    assert states(suite, run, results)["predict fake/perfect"][0] == "interrupted"
    assert run_suite(suite, run, results, kinds=("predict",)).did == [("predict", "fake/perfect")]
    assert not (folder / layout.PREDICTIONS / "left-over.png").exists()


def test_a_training_that_was_under_way_goes_on_in_its_folder(tmp_path, run, results):
    suite = write_suite(tmp_path, [TRAINED], recipe=RECIPE)
    run_suite(suite, run, results, kinds=("train",))
    (folder,) = job_folders(run, "train")
    (folder / layout.OUTCOME).unlink()
    (folder / layout.WEIGHTS / "checkpoint").touch()
    run_suite(suite, run, results, kinds=("train",))
    assert (folder / layout.WEIGHTS / "checkpoint").exists()


def test_a_training_that_one_case_began_is_finished_by_another_that_shares_it(tmp_path, run, results):
    targets = [{"device": "cpu", "threads": 1, "batch_size": [1, 2]}]
    suite = write_suite(tmp_path, [TRAINED], recipe=RECIPE, targets=targets)
    run_suite(suite, run, results, only="*b1*", kinds=("train",))
    (folder,) = job_folders(run, "train")
    (folder / layout.OUTCOME).unlink()
    ran = run_suite(suite, run, results, only="*b2*", kinds=("train", "predict"))
    assert (ran.did, ran.summary.failed) == ([("train", "fake/trains"), ("predict", "fake/trains")], ())
    assert job_folders(run, "train") == [folder]


def test_a_data_set_with_other_images_makes_predictions_stale_but_not_the_training(tmp_path, run, results):
    run_suite(write_suite(tmp_path, [TRAINED], recipe=RECIPE), run, results, kinds=("train", "predict"))
    more = {**SHAPES, "options": {**SHAPES["options"], "test": 5}}
    found = states(write_suite(tmp_path, [TRAINED], recipe=RECIPE, datasets=[more]), run, results)
    assert (found["train fake/trains"][0], found["predict fake/trains"][0]) == ("done", "stale")
