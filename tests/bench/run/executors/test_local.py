"""Several devices of one machine: what shares it, what has it alone, and that the results are those of one device."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from bench.data.exports import folder as folder_format
from bench.data.formats.by_name import open_dataset
from bench.measure.devices import allowed_cores
from bench.records import Job, Status
from bench.records.store import layout
from bench.records.store.runs import new_run, read_job
from bench.run.executors.choose import slots_of
from bench.run.executors.local import LocalExecutor
from bench.run.workers import workers_of
from tests.bench.run.processes import gone, start, wait_for
from tests.bench.suites import SHAPES, job_folders, perfect, run_suite, write_suite

CORES = allowed_cores()
DEVICES = f"cpu:{CORES[0]},cpu:{CORES[-1]}"

pytestmark = [
    pytest.mark.skipif(len(CORES) < 2, reason="there is one core, which is one device"),
    pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux alone"),
]


def two_devices(*, fresh: bool = True, share_node: bool = False) -> LocalExecutor:
    return LocalExecutor(lambda n: workers_of(fresh=fresh, at_once=n), slots_of(DEVICES), share_node=share_node)


def run_on(executor, folder: Path, suite: Path, **named):
    run = new_run(folder, "suite")
    (run.path / layout.PLAN).touch()
    return run, run_suite(suite, run, folder, executor=executor, **named)


def slow(number: int, infer_ms: float = 150.0) -> dict:
    """A model that takes its time, and is another one than that of another number."""
    options = {"dataset": SHAPES["options"], "infer_ms": infer_ms + number}
    return {"name": "fake/noisy", "label": f"noisy {number}", "options": options}


def hanging(number: int) -> dict:
    return {
        "name": "fake/hangs",
        "label": f"hangs {number}",
        "options": {"behaviour": "hangs", "infer_ms": float(number)},
    }


def spans(run, *kinds: str) -> list[tuple[datetime, datetime, Job]]:
    """When workers of these kinds were at work: from the job file that is written before to the outcome after."""
    found = []
    for kind in kinds:
        for folder in job_folders(run, kind):
            began, ended = ((folder / name).stat().st_mtime for name in (layout.JOB, layout.OUTCOME))
            found.append((datetime.fromtimestamp(began), datetime.fromtimestamp(ended), read_job(folder).job))
    return sorted(found, key=lambda span: span[0])


def overlaps(of: list[tuple[datetime, datetime, Job]]) -> int:
    return sum(one[0] < other[1] and other[0] < one[1] for i, one in enumerate(of) for other in of[:i])


@pytest.mark.slow
def test_predictions_share_the_machine_and_timings_have_it_alone(tmp_path):
    models = [slow(number, 30.0) for number in range(4)]
    run, ran = run_on(two_devices(), tmp_path / "results", write_suite(tmp_path, models))
    assert {outcome.status for _, outcome in ran.listener.ends} == {Status.OK}
    predicted, timed = spans(run, "predict"), spans(run, "time")
    assert len(predicted) == len(timed) == 4
    assert overlaps(predicted) > 0
    assert overlaps(timed) == 0
    assert max(end for _, end, _ in predicted) <= min(begin for begin, _, _ in timed)
    assert {job.cpu_affinity for *_, job in predicted} == {(CORES[0],), (CORES[-1],)}
    assert len({job.cpu_affinity for *_, job in timed}) == 1


@pytest.mark.slow
def test_timings_that_are_told_to_share_the_node_do_and_are_flagged(tmp_path):
    models = [slow(number, 30.0) for number in range(3)]
    measurement = {"quick": True, "min_s": 1.0, "max_s": 1.5, "min_samples": 4, "percentiles": [50.0], "pipelined_s": 0}
    suite = write_suite(tmp_path, models, measurement=measurement)
    _, ran = run_on(two_devices(share_node=True), tmp_path / "results", suite)
    flags = [flag for job, outcome in ran.listener.ends if job.kind == "time" for flag in outcome.facts.flags]
    assert [flag.name for flag in flags].count("shared_node") >= 2
    assert all("1 time" in flag.seen or "2 time" in flag.seen for flag in flags if flag.name == "shared_node")


@pytest.mark.slow
def test_what_two_devices_predict_is_what_one_predicts_bit_for_bit_forked_or_not(tmp_path):
    models = [{"name": "fake/trains"}, slow(1), perfect()]
    suite = write_suite(tmp_path, models, recipe={"budget": {"steps": 2}, "device": "cpu"})
    found = []
    for name, executor in (
        ("one", None),
        ("two", two_devices()),
        ("forked", two_devices(fresh=False)),
    ):
        run, ran = run_on(executor, tmp_path / name, suite, kinds=("train", "predict"))
        assert ran.summary.failed == ()
        index = f"{layout.PREDICTIONS}/{layout.PREDICTION_INDEX}"
        found.append({read_job(f).job.model.label: (f / index).read_bytes() for f in job_folders(run, "predict")})
    assert found[0] == found[1] == found[2]


def test_cases_that_share_a_training_wait_for_it_side_by_side(tmp_path):
    targets = [{"device": "cpu", "threads": 1, "batch_size": [1, 2, 3]}]
    suite = write_suite(tmp_path, [{"name": "fake/trains"}], recipe={"budget": {"steps": 2}}, targets=targets)
    _, ran = run_on(two_devices(), tmp_path / "results", suite, kinds=("train", "predict"))
    assert [kind for kind, _ in ran.did] == ["train", "predict", "predict", "predict"]
    assert ran.summary.failed == ()


@pytest.mark.slow
def test_a_process_that_a_worker_leaves_behind_costs_no_other_worker_its_own(tmp_path):
    # A worker that ends beside another one must end what it left behind, and nothing of the other's.
    models = [slow(0), {"name": "fake/crashes"}, {"name": "fake/exits"}, slow(1), {"name": "fake/segfaults"}]
    _, ran = run_on(two_devices(), tmp_path / "results", write_suite(tmp_path, models), kinds=("predict",))
    ended = {job.model.label: outcome.status for job, outcome in ran.listener.ends}
    assert ended["noisy 0"] is ended["noisy 1"] is Status.OK
    assert list(ended.values()).count(Status.CRASHED) == 3


@pytest.mark.slow
@pytest.mark.parametrize("how", [[], ["--fresh-interpreters"]], ids=["forked", "fresh"])
@pytest.mark.parametrize("parts", [["--devices", DEVICES], []], ids=["devices", "beside"])
def test_an_interrupt_ends_all_workers_and_the_next_run_goes_on(tmp_path, parts, how):
    results = tmp_path / "results"
    models = [perfect(), hanging(1), hanging(2)]
    suite = write_suite(tmp_path, models)
    bench = start(suite, results, "--kind", "predict", *parts, *how)
    try:
        wait_for(lambda: len([*results.glob("*/*/jobs/predict-hangs*/predictions")]) == 2)
        found = descendants(bench.pid)
        bench.send_signal(signal.SIGINT)
        _, said = bench.communicate(timeout=240)
    finally:
        bench.kill()
    assert bench.returncode == 130, said
    assert "Traceback" not in said
    assert all(gone(pid) for pid in found)
    assert len([*results.glob(f"*/*/jobs/*/{layout.OUTCOME}")]) == 1
    write_suite(tmp_path, models, timeouts={"predict_s": 1.0})
    again = start(suite, results, "--kind", "predict", *parts, *how)
    _, said = again.communicate(timeout=240)
    assert "2 jobs done, 1 were done already, 2 cases failed" in said


def descendants(pid: int) -> list[int]:
    import psutil

    return [process.pid for process in psutil.Process(pid).children(recursive=True)]


def test_a_case_on_a_device_that_is_not_among_those_named_is_refused_before_anything_runs(tmp_path):
    suite = write_suite(tmp_path, ["fake/perfect"], targets=[{"device": "cuda"}])
    bench = start(suite, tmp_path / "results", "--devices", DEVICES)
    _, said = bench.communicate(timeout=240)
    assert bench.returncode == 2
    assert "no place can do a job whose target's device is 'cuda'" in said
    assert not [*(tmp_path / "results").glob("*/*/jobs/*")]


@pytest.mark.slow
def test_the_journal_of_json_lines_numbers_jobs_that_run_side_by_side(tmp_path):
    suite = write_suite(tmp_path, [slow(number) for number in range(3)])
    command = [sys.executable, "-m", "bench.cli.main", "run", str(suite), "--json-progress", "--kind", "predict"]
    ended = subprocess.run(
        [*command, "--devices", DEVICES],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
    )
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stderr.splitlines()]
    began = {event["number"]: event["case"] for event in events if event["event"] == "started"}
    over = {event["number"]: event["case"] for event in events if event["event"] == "ended"}
    assert began == over
    assert sorted(began) == [1, 2, 3]
    assert {event["place"] for event in events if event["event"] == "started"} == set(DEVICES.split(","))


@pytest.mark.slow
def test_folds_are_trained_side_by_side_and_come_to_what_one_device_comes_to(tmp_path):
    exported = folder_format.export(open_dataset("shapes", SHAPES["options"]), tmp_path / "set")
    of_files = {"name": "folder", "label": "shapes", "folds": 3, "options": dict(exported.options)}
    recipe = {"budget": {"steps": 2}, "device": "cpu"}
    suite = write_suite(tmp_path, [{"name": "fake/trains"}], datasets=[of_files], recipe=recipe)
    found = []
    for name, executor in (("one", None), ("two", two_devices())):
        run, ran = run_on(executor, tmp_path / name, suite, kinds=("train", "predict"))
        assert ran.summary.failed == ()
        folders = {read_job(folder).job.dataset.label: folder for folder in job_folders(run, "predict")}
        index = f"{layout.PREDICTIONS}/{layout.PREDICTION_INDEX}"
        found.append({label: (folder / index).read_bytes() for label, folder in folders.items()})
        side_by_side = overlaps(spans(run, "train", "predict"))
        assert (side_by_side > 0) is (executor is not None)
    assert found[0] == found[1]
    assert [*found[0]] == ["shapes fold 1", "shapes fold 2", "shapes fold 3"]
