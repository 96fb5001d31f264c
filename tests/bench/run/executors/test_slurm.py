"""Jobs through submitit and programs named as SLURM's, which really run them."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.errors import BenchError
from bench.records import Status
from bench.records.store import layout
from bench.records.store.runs import new_run, read_job
from tests.bench.run.executors.slurm_in_processes import Slurm
from tests.bench.run.executors.test_local import hanging, overlaps, slow, spans
from tests.bench.run.processes import gone, start, wait_for
from tests.bench.run.tuning.studies import searched_suite, study_of, what_it_did
from tests.bench.suites import job_folders, perfect, run_suite, write_suite

pytest.importorskip("submitit", reason="the package submitit is not installed: pip install 'segbench[slurm]'")

from bench.run.executors import slurm
from bench.run.executors.slurm import SlurmExecutor

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    made = Slurm(tmp_path / "slurm", nodes=2)
    monkeypatch.setenv("PATH", made.path)
    monkeypatch.setattr(slurm, "LOOK_S", 0.1)
    monkeypatch.setattr(slurm, "ASK_S", 1)
    monkeypatch.setattr(slurm, "SETTLE_S", 0.5)
    return made


def run_on(executor, folder: Path, suite: Path, **named):
    run = new_run(folder, "suite")
    (run.path / layout.PLAN).touch()
    return run, run_suite(suite, run, folder, executor=executor, **named)


def test_a_suite_runs_in_the_queue_and_predicts_what_this_machine_does_bit_for_bit(cluster, tmp_path):
    suite = write_suite(tmp_path, [{"name": "fake/trains"}, slow(1)], recipe={"budget": {"steps": 2}, "device": "cpu"})
    results, told = tmp_path / "results", []
    executor = SlurmExecutor(results, ["partition=cpu", "comment=a b"], told.append)
    run, ran = run_on(executor, results, suite)
    assert {outcome.status for _, outcome in ran.listener.ends} == {Status.OK}
    timed = spans(run, "time")
    for node in {job.provenance.node for *_, job in timed}:
        assert node.startswith("node-")
        assert overlaps([span for span in timed if span[2].provenance.node == node]) == 0
    asked = cluster.flags()
    assert {flags["partition"] for flags in asked} == {"cpu"}
    alone = {flags["job-name"]: "exclusive" in flags for flags in asked}
    assert alone == {"bench-probe": True, "bench-train": False, "bench-predict": False, "bench-time": True}
    assert told[0].startswith("waiting for a node")
    assert not [*(results / slurm.INTO).iterdir()]
    here, _ = run_on(None, tmp_path / "here", suite, kinds=("train", "predict"))
    index = f"{layout.PREDICTIONS}/{layout.PREDICTION_INDEX}"
    assert [(folder / index).read_bytes() for folder in job_folders(run, "predict")] == [
        (folder / index).read_bytes() for folder in job_folders(here, "predict")
    ]


def test_a_node_that_fails_under_a_job_is_told_and_the_job_done_again(cluster, tmp_path):
    results = tmp_path / "results"
    executor = SlurmExecutor(results, [], lambda _: None)

    def fail() -> None:
        wait_for(lambda: [*results.glob(f"*/*/jobs/predict-*/{layout.PREDICTIONS}")])
        cluster.fail(2)

    failing = threading.Thread(target=fail)
    failing.start()
    suite = write_suite(tmp_path, [slow(1, infer_ms=800.0)])
    _, ran = run_on(executor, results, suite, kinds=("predict",))
    failing.join()
    ((_, outcome),) = ran.listener.ends
    assert outcome.status is Status.OK
    assert [flag.name for flag in outcome.facts.flags] == ["node_lost"]
    assert "NODE_FAIL" in outcome.facts.flags[0].seen


def test_a_node_unlike_the_one_planned_for_refuses_what_is_measured(cluster, tmp_path, monkeypatch):
    results = tmp_path / "results"
    executor = SlurmExecutor(results, [], lambda _: None)
    object.__setattr__(executor.machine, "identity", "another kind of machine")
    _, ran = run_on(executor, results, write_suite(tmp_path, [perfect()]))
    ended = {job.kind: outcome for job, outcome in ran.listener.ends}
    assert ended["predict"].status is Status.OK
    assert ended["time"].status is Status.ENVIRONMENT_ERROR
    assert "unlike machines are never compared" in ended["time"].reason


def test_an_interrupt_takes_all_jobs_out_of_the_queue_and_the_next_run_goes_on(cluster, tmp_path):
    results = tmp_path / "results"
    suite = write_suite(tmp_path, [hanging(1), hanging(2)])
    bench = start(suite, results, "--kind", "predict", "--executor", "slurm")
    try:
        wait_for(lambda: len([*results.glob(f"*/*/jobs/predict-*/{layout.PREDICTIONS}")]) == 2)
        workers = [int(file.read_text()) for file in cluster.state.glob("*.pid")]
        bench.send_signal(signal.SIGINT)
        _, said = bench.communicate(timeout=240)
    finally:
        bench.kill()
    assert bench.returncode == 130, said
    assert "the same command goes on from here" in said
    assert all(gone(pid) for pid in workers)
    assert {read_job(folder).outcome for folder in results.glob("*/*/jobs/*")} == {None}


def test_a_search_in_the_queue_tries_and_finds_what_one_on_this_machine_does(cluster, tmp_path):
    pytest.importorskip("optuna", reason="needs optuna: pip install 'segbench[tune]'")
    suite = searched_suite(tmp_path, trials=2, sampler="random", pruner="none")
    for name, flags in (("here", ()), ("there", ("--executor", "slurm"))):
        assert main(["run", str(suite), "--results", str(tmp_path / name), "--case", "*seed 1", *flags]) == 0
    here, there = (what_it_did(study_of(tmp_path / name)) for name in ("here", "there"))
    assert len(here) == 2
    assert here == there
    asked = Counter(flags["job-name"] for flags in cluster.flags())
    assert asked == {"bench-probe": 1, "bench-train": 3, "bench-predict": 3}
    assert [one.trial.in_flight for one in study_of(tmp_path / "there").trials] == [(), (0,)]


def test_what_is_missing_or_mistyped_is_said_at_once(cluster, tmp_path, monkeypatch):
    with pytest.raises(BenchError, match="expected NAME=VALUE"):
        SlurmExecutor(tmp_path, ["partition"], print)
    with pytest.raises(BenchError, match=r"did not take a job.*Unavailable parameter"):
        SlurmExecutor(tmp_path, ["no_such_thing=1"], print)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BenchError, match="there is no sbatch here"):
        SlurmExecutor(tmp_path, [], print)
