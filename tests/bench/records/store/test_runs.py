"""Finding, locking and reading runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.errors import StoreError
from bench.records import Outcome, Status, TaskSpec
from bench.records.store import layout
from bench.records.store.files import write_atomically, write_record
from bench.records.store.runs import (
    find_job,
    find_trained,
    locked,
    new_run,
    newest_run,
    open_run,
    previous_job,
    read_run,
    runs,
    set_aside,
)
from bench.records.store.views import Plan, PlannedCase
from tests.bench.builders import CLASSES, make_case, make_job


def planned_run(results, suite="semantic", key="a" * 64):
    run = new_run(results, suite)
    case = PlannedCase(
        case=make_case(),
        task=TaskSpec(kind="semantic", classes=CLASSES),
        train_key=None,
        predict_key=key,
        time_keys=("b" * 64,),
    )
    plan = Plan(
        suite=suite, title="t", source="s", task="semantic", metrics=("mean_iou",), cases=(case,), planned_at="", seed=0
    )
    write_record(run.path / layout.PLAN, plan)
    return run


def write_job(run, kind="predict", key="a" * 64, status=Status.OK, started_at="2026-01-01T00:00:00Z"):
    job = make_job(kind=kind, key=key, key_parts={"seed": key[:1]})
    folder = run.job(kind, job.case_id, 0, key)
    write_record(folder / layout.JOB, job)
    if status is not None:
        write_record(folder / layout.OUTCOME, Outcome(status=status, started_at=started_at, wall_s=1.0))
    return folder


def test_two_runs_of_one_second_have_folders_of_their_own(tmp_path):
    assert len({new_run(tmp_path, "s").path for _ in range(3)}) == 3


def test_the_newest_run_is_found_over_all_suites_and_by_suite(tmp_path):
    first, second = planned_run(tmp_path, "a"), planned_run(tmp_path, "b")
    assert newest_run(tmp_path).path == max(first, second, key=lambda r: (r.name, r.suite)).path
    assert newest_run(tmp_path, "a").path == first.path
    assert open_run(tmp_path, f"a/{first.name}").path == first.path
    assert open_run(tmp_path, str(second.path)).path == second.path


def test_a_run_that_is_not_there_is_refused_with_what_is(tmp_path):
    with pytest.raises(StoreError, match=r"bench run suites/semantic\.yaml"):
        newest_run(tmp_path)
    planned_run(tmp_path, "semantic")
    with pytest.raises(StoreError, match=r"Did you mean 'semantic'\?"):
        newest_run(tmp_path, "semantik")
    with pytest.raises(StoreError, match="no run 'x'"):
        open_run(tmp_path, "x")


def test_a_half_finished_run_reads_as_far_as_it_got(tmp_path):
    run = planned_run(tmp_path)
    (case,) = read_run(run).cases
    assert (case.train, case.predict, case.times, case.scores) == (None, None, (), None)
    write_job(run, status=None)
    (case,) = read_run(run).cases
    assert case.predict.outcome is None
    write_job(run, status=Status.CRASHED)
    (case,) = read_run(run).cases
    assert [failure.outcome.status for failure in case.failures] == [Status.CRASHED]


def test_a_job_is_found_by_its_whole_key(tmp_path):
    run = planned_run(tmp_path)
    write_job(run, key="a" * 64)
    assert find_job(run, "predict", "a" * 64).job.key == "a" * 64
    assert find_job(run, "predict", "a" * 63 + "b") is None


def test_a_finished_training_is_found_in_any_run_of_any_suite(tmp_path):
    write_job(planned_run(tmp_path, "one"), kind="train", key="c" * 64)
    write_job(planned_run(tmp_path, "two"), kind="train", key="d" * 64, status=Status.CRASHED)
    assert find_trained(tmp_path, "c" * 64) is not None
    assert find_trained(tmp_path, "d" * 64) is None


def test_what_a_stale_job_used_to_be_is_the_latest_under_another_key(tmp_path):
    run = planned_run(tmp_path)
    write_job(run, key="1" * 64, started_at="2026-01-01T00:00:00Z")
    write_job(run, key="2" * 64, started_at="2026-01-02T00:00:00Z")
    assert previous_job(run, "predict", make_case().id, 0, not_key="3" * 64).job.key == "2" * 64


def test_a_job_set_aside_is_kept_and_no_longer_found(tmp_path):
    run = planned_run(tmp_path)
    for _ in range(2):
        set_aside(write_job(run, status=Status.CRASHED))
    assert find_job(run, "predict", "a" * 64) is None
    assert len(list((run.path / "superseded").iterdir())) == 2


def test_a_damaged_outcome_is_named_and_counts_as_no_outcome(tmp_path):
    run = planned_run(tmp_path)
    (write_job(run) / layout.OUTCOME).write_text("{", encoding="utf-8")
    (case,) = read_run(run).cases
    (job,) = case.failures
    assert job.outcome is None
    assert "outcome.json is damaged" in str(job.damage)


def test_a_run_is_written_by_one_process_at_a_time_and_freed_when_it_is_killed(tmp_path):
    run = planned_run(tmp_path)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time, pathlib\n"
            "from bench.records.store.layout import RunFolder\nfrom bench.records.store.runs import locked\n"
            "with locked(RunFolder(pathlib.Path(sys.argv[1]))):\n    print('held', flush=True); time.sleep(60)",
            str(run.path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StoreError, match="another bench process"), locked(run):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with locked(run):
        pass


def test_an_interrupted_write_leaves_the_old_content(tmp_path, monkeypatch):
    file = tmp_path / "x.json"
    write_atomically(file, "old")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, "new")
    assert file.read_text() == "old"


def test_runs_are_listed_oldest_first(tmp_path):
    names = [planned_run(tmp_path).name for _ in range(3)]
    assert [run.name for run in runs(tmp_path, "semantic")] == names
