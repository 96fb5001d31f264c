"""Predictions two at a time on one machine: what runs beside what, and that nothing else changes."""

from __future__ import annotations

import random

import pytest

from bench.measure.devices import allowed_cores
from bench.records import Job, Recipe, Status
from bench.records.store import layout
from bench.records.store.runs import new_run, read_job
from bench.run import workers
from bench.run.executors import local
from bench.run.executors.choose import executor_of, this_machine_only
from bench.run.executors.local import BESIDE, LocalExecutor, enough_memory, needs_machine
from bench.run.executors.placement import PlacementQueue, Slot
from bench.run.workers import workers_of
from tests.bench.builders import make_job
from tests.bench.run.executors.test_placement import KINDS, begun, job, task
from tests.bench.suites import job_folders, perfect, run_suite, write_suite

SLOTS = (Slot(alike="a"), Slot(name=BESIDE, alike="a"))
RECIPE = {"budget": {"steps": 2}, "device": "cpu", "batch_size": 2}


def board(*, may_share: bool = True) -> PlacementQueue:
    return PlacementQueue({"": SLOTS}, alike="a", alone=needs_machine, may_share=lambda: may_share)


def beside(*, fresh: bool = True) -> LocalExecutor:
    return LocalExecutor(lambda n: workers_of(fresh=fresh, at_once=n), beside=True)


def names(placements) -> list[str]:
    return [placement.task.job.case_id for placement in placements]


@pytest.fixture(autouse=True)
def _much_memory(monkeypatch):
    """The memory of the machine under test decides nothing here, unless a test says so."""
    for module in (local, workers):
        monkeypatch.setattr(module, "free_host_bytes", lambda: None)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_ever_runs_beside_a_job_but_predictions_on_a_processor(seed):
    draw, queue = random.Random(seed), board()
    for number in range(80):
        queue.submit(task(job(number, draw.choice(KINDS), draw.choice(["cpu", "cpu", "cuda"]))))
    running, ended, most = begun(queue), 0, 0
    while running:
        most = max(most, len(running))
        assert len(running) == 1 or {(p.task.job.kind, p.task.job.target.device) for p in running} == {
            ("predict", "cpu")
        }
        queue.free(running.pop(draw.randrange(len(running))))
        ended += 1
        running += begun(queue)
    assert (ended, most) == (80, 2)


def test_jobs_that_need_the_machine_keep_their_order_whatever_device_they_want():
    queue, order = board(), []
    timings = [job(number, "time", "cuda" if number % 3 else "cpu") for number in range(9)]
    for one in timings:
        queue.submit(task(one))
    while running := begun(queue):
        order += names(running)
        queue.free(running[0])
    assert order == [one.case_id for one in timings]


def test_a_training_that_waits_begins_before_predictions_that_came_later():
    queue = board()
    queue.submit(task(job(0, "train")))
    queue.submit(task(job(1, "train")))
    (first,) = begun(queue)
    queue.submit(task(job(2)))
    queue.free(first)
    assert names(begun(queue)) == ["case 1"]


def test_a_second_prediction_waits_while_memory_is_short_and_the_first_never_does():
    queue = board(may_share=False)
    queue.submit(task(job(0)))
    queue.submit(task(job(1)))
    (first,) = begun(queue)
    queue.free(first)
    assert names(begun(queue)) == ["case 1"]


def test_a_prediction_that_is_done_again_alone_has_nothing_beside_it():
    from dataclasses import replace

    queue = board()
    queue.submit(replace(task(job(0)), alone=True))
    queue.submit(task(job(1)))
    assert names(begun(queue)) == ["case 0"]


def test_memory_is_enough_above_a_limit_and_where_nobody_tells(monkeypatch):
    for free, enough in ((local.LEAST_FREE_BYTES, True), (local.LEAST_FREE_BYTES - 1, False), (None, True)):
        monkeypatch.setattr(local, "free_host_bytes", lambda free=free: free)
        assert enough_memory() is enough


def test_a_further_parent_of_workers_needs_memory_that_the_control_group_leaves_too(monkeypatch):
    for free, refused in ((workers.LEAST_FREE_BYTES, False), (workers.LEAST_FREE_BYTES - 1, True), (None, False)):
        monkeypatch.setattr(workers, "free_host_bytes", lambda free=free: free)
        assert (workers._why_not_now() is not None) is refused


def test_a_training_by_the_clock_or_by_steps_and_predictions_read_from_files_need_the_machine():
    for budget in ({"seconds": 5}, {"steps": 5}):
        recipe = Recipe.model_validate({"budget": budget, "device": "cpu"})
        assert needs_machine(make_job(kind="train", recipe=recipe))
    predicted = make_job(kind="predict")
    assert not needs_machine(predicted)
    assert needs_machine(of_files(predicted))


def of_files(predicted: Job) -> Job:
    model = predicted.model.model_copy(update={"adapter": local.FROM_FILES})
    return predicted.model_copy(update={"model": model})


@pytest.mark.parametrize(
    ("executor", "expected"),
    [
        (lambda: executor_of("local", fresh=True), 2),
        (lambda: executor_of("local", fresh=True, beside=False), 1),
        (lambda: this_machine_only(fresh=True), 1),
    ],
)
def test_a_run_predicts_two_cases_at_a_time_unless_it_is_told_not_to_or_measures_another_run(
    monkeypatch, executor, expected
):
    monkeypatch.setattr(local, "allowed_cores", lambda: (0, 1))
    assert executor().at_once(make_job(kind="predict")) == expected
    assert executor().at_once(make_job(kind="time")) == 1


def test_a_machine_of_one_core_does_one_job_at_a_time(monkeypatch):
    monkeypatch.setattr(local, "allowed_cores", lambda: (0,))
    assert beside().at_once(make_job(kind="predict")) == 1


# ---------------------------------------------------------------------- whole runs

two_cores = pytest.mark.skipif(len(allowed_cores()) < 2, reason="there is one core, which does one job at a time")


def run_with(executor, folder, suite, **named):
    run = new_run(folder, "suite")
    (run.path / layout.PLAN).touch()
    return run, run_suite(suite, run, folder, executor=executor, **named)


def notes_beside(run, kind: str) -> list[str]:
    outcomes = [read_job(folder).outcome for folder in job_folders(run, kind)]
    return [note for outcome in outcomes for note in outcome.facts.notes if note.startswith("beside:")]


@two_cores
@pytest.mark.parametrize("fresh", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["fresh", "forked"])
def test_predictions_beside_each_other_are_those_of_one_after_the_other_and_the_record_says_so(tmp_path, fresh):
    models = [{"name": "fake/trains"}, perfect()]
    suite = write_suite(tmp_path, models, recipe=RECIPE)
    found = []
    for name, executor in (("one", None), ("two", beside(fresh=fresh))):
        run, ran = run_with(executor, tmp_path / name, suite)
        assert {outcome.status for _, outcome in ran.listener.ends} == {Status.OK}
        index = f"{layout.PREDICTIONS}/{layout.PREDICTION_INDEX}"
        found.append([(folder / index).read_bytes() for folder in job_folders(run, "predict")])
        expected = [] if name == "one" else ["beside: 1 predict of this run"] * 2
        assert notes_beside(run, "predict") == expected
        assert notes_beside(run, "time") == notes_beside(run, "train") == []
    assert found[0] == found[1]


@two_cores
def test_a_prediction_that_is_over_its_limit_beside_another_is_done_again_alone_once(tmp_path):
    hanging = [{"name": "fake/hangs", "label": f"hangs {n}", "options": {"infer_ms": float(n)}} for n in (1, 2)]
    suite = write_suite(tmp_path, hanging, timeouts={"predict_s": 1.0})
    run, ran = run_with(beside(), tmp_path / "results", suite, kinds=("predict",))
    assert [outcome.status for _, outcome in ran.listener.ends] == [Status.TIMEOUT] * 2
    assert len([note for note in ran.listener.notes if "is done again alone" in note]) == 2
    assert notes_beside(run, "predict") == []
