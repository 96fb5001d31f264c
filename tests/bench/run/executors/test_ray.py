"""A real Ray cluster of several nodes, which are processes of this machine: one of them is killed mid-run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from bench.cli.main import main
from bench.records import Status
from bench.records.store import layout
from bench.records.store.runs import new_run, newest_run, read_job, read_run
from bench.run import scorer
from bench.run.executors.ray import RayExecutor
from tests.bench.run.executors.test_local import hanging, overlaps, slow, spans
from tests.bench.run.processes import gone, start, wait_for
from tests.bench.run.tuning.studies import searched_suite, study_of, what_it_did
from tests.bench.suites import job_folders, perfect, run_suite, write_suite

pytestmark = [
    pytest.mark.skipif(
        find_spec("ray") is None, reason="the package ray is not installed: pip install 'segbench[ray]'"
    ),
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(280),
]


@pytest.fixture(scope="module")
def cluster():
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # of a machine that is busy
    import ray  # seconds, which every other test would wait for if it stood above
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80_000_000})
    nodes = [made.add_node(num_cpus=2, object_store_memory=80_000_000) for _ in range(3)]
    yield made, nodes
    ray.shutdown()
    made.shutdown()


def run_on(executor, folder: Path, suite: Path, **named):
    run = new_run(folder, "suite")
    (run.path / layout.PLAN).touch()
    return run, run_suite(suite, run, folder, executor=executor, **named)


def predictions(run) -> dict[str, bytes]:
    index = f"{layout.PREDICTIONS}/{layout.PREDICTION_INDEX}"
    done = [folder for folder in job_folders(run, "predict") if read_job(folder).ok]
    return {read_job(folder).job.model.label: (folder / index).read_bytes() for folder in done}


def test_a_suite_runs_on_three_nodes_and_predicts_what_one_machine_does_bit_for_bit(cluster, tmp_path):
    models = [{"name": "fake/trains"}, perfect(), slow(1), slow(2), {"name": "fake/crashes"}]
    suite = write_suite(tmp_path, models, recipe={"budget": {"steps": 2}, "device": "cpu"})
    here, _ = run_on(None, tmp_path / "here", suite, kinds=("train", "predict"))
    run, ran = run_on(RayExecutor(cluster[0].address), tmp_path / "there", suite)
    ended = {(job.kind, job.model.label): outcome.status for job, outcome in ran.listener.ends}
    assert {kind for (kind, label), status in ended.items() if status is not Status.OK} == {"predict"}
    assert ended["predict", "fake/crashes"] is Status.CRASHED
    assert len(ended) == 1 + 5 + 4
    assert len(predictions(run)) == 4
    assert predictions(run) == predictions(here)
    jobs = [job for *_, job in spans(run, "predict", "time")]
    assert len({job.provenance.node for job in jobs}) > 1
    for node in {job.provenance.node for job in jobs}:
        timed = [span for span in spans(run, "time") if span[2].provenance.node == node]
        assert overlaps(timed) == 0
    assert "3 nodes" in ran.listener.notes[0]


def test_a_node_that_is_killed_costs_its_jobs_in_flight_which_are_done_elsewhere(cluster, tmp_path):
    made, nodes = cluster
    suite = write_suite(tmp_path, [slow(number, infer_ms=700.0) for number in range(6)])
    executor = RayExecutor(made.address)
    results = tmp_path / "results"

    def kill() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and len([*results.glob(f"*/*/jobs/predict-*/{layout.JOB}")]) < 3:
            time.sleep(0.05)
        made.remove_node(nodes[-1], allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    run, ran = run_on(executor, results, suite, kinds=("predict",))
    killer.join()
    assert ran.summary.failed == ()
    assert [outcome.status for _, outcome in ran.listener.ends] == [Status.OK] * 6
    lost = [flag for _, outcome in ran.listener.ends for flag in outcome.facts.flags if flag.name == "node_lost"]
    assert len(lost) == 1  # the one job in flight there, and no other
    assert "was lost" in lost[0].seen
    assert [note for note in ran.listener.notes if "is done again elsewhere" in note]
    assert len({read_job(folder).job.provenance.node for folder in job_folders(run, "predict")}) == 2


def bench_on(cluster, suite: Path, results: Path, *flags: str):
    return start(suite, results, "--executor", "ray", "--address", cluster[0].address, *flags)


def test_an_interrupt_cancels_the_tasks_of_all_nodes_and_the_next_run_goes_on(cluster, tmp_path):
    results, flags = tmp_path / "results", ("--kind", "predict", "--json-progress")
    models = [perfect(), hanging(1), hanging(2)]
    suite = write_suite(tmp_path, models)
    bench = bench_on(cluster, suite, results, *flags)
    try:
        # Joining, asking the nodes what they are and importing there takes a while on a busy machine.
        wait_for(lambda: len([*results.glob("*/*/jobs/predict-hangs*/predictions")]) == 2, patience_s=120)
        wait_for(lambda: [*results.glob(f"*/*/jobs/predict-*/{layout.OUTCOME}")])
        locks = [*results.glob("*/*/jobs/predict-hangs*/.lock")]
        workers = [process.pid for process in psutil.process_iter() if at_work(process, results)]
        bench.send_signal(signal.SIGINT)
        _, said = bench.communicate(timeout=90)
    finally:
        bench.kill()
    assert bench.returncode == 130, said
    assert "Traceback" not in said
    assert len(locks) == 2
    assert len(workers) >= 2
    assert all(gone(pid) for pid in workers)
    assert len([*results.glob(f"*/*/jobs/*/{layout.OUTCOME}")]) == 1  # of the one that had ended
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    places = {event["case"].partition("@")[0]: event["place"] for event in events if event["event"] == "started"}
    assert places["hangs 1"] != places["hangs 2"]
    write_suite(tmp_path, models, timeouts={"predict_s": 1.0})
    again = bench_on(cluster, suite, results, "--kind", "predict")
    _, said = again.communicate(timeout=120)
    assert "2 jobs done, 1 were done already, 2 cases failed" in said


def at_work(process: psutil.Process, results: Path) -> bool:
    """Whether a process is a worker of a job of these results."""
    with contextlib.suppress(psutil.Error):
        words = " ".join(process.cmdline())
        return "bench.run.worker.process" in words and str(results.resolve()) in words
    return False


def test_a_search_on_the_cluster_tries_and_finds_what_one_on_this_machine_does(cluster, tmp_path):
    pytest.importorskip("optuna", reason="needs optuna: pip install 'segbench[tune]'")
    suite = searched_suite(tmp_path, trials=3, sampler="random", pruner="none")  # the rest depends on what ends first
    assert main(["run", str(suite), "--results", str(tmp_path / "here"), "--case", "*seed 1"]) == 0
    bench = bench_on(cluster, suite, tmp_path / "there", "--case", "*seed 1")
    _, said = bench.communicate(timeout=200)
    assert bench.returncode == 0, said
    here, there = (what_it_did(study_of(tmp_path / name)) for name in ("here", "there"))
    assert len(here) == 3
    assert here == there


def test_ray_tune_proposes_a_trial_for_each_node_and_ends_those_that_fall_behind(cluster, tmp_path):
    pytest.importorskip("optuna", reason="needs optuna: pip install 'segbench[tune]'")
    suite = searched_suite(tmp_path, trials=3, engine="ray", sampler="random", pruner="successive_halving")
    bench = bench_on(cluster, suite, tmp_path / "results", "--case", "*seed 1")
    _, said = bench.communicate(timeout=200)
    assert bench.returncode == 0, said
    assert "A new study created" not in said
    view = study_of(tmp_path / "results")
    assert view.study.ray_tune
    assert [one.trial.in_flight for one in view.trials][:2] == [(), (0,)]
    trained = [one for one in view.trials if one.validations]
    # with successive halving a trial is ended at its first validation where three quarters were better there
    assert {len(one.validations) for one in trained if one.state == "pruned"} <= {1, 4}
    nodes = {job.provenance.node for *_, job in spans(newest_run(tmp_path / "results"), "train")}
    assert len(nodes) > 1
    assert all(one.state in ("complete", "pruned", "failed") for one in view.trials)


def test_what_the_nodes_score_is_what_this_machine_scores_bit_for_bit(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(scorer, "PAYS_S", 0.0)
    suite = write_suite(tmp_path, [slow(number, infer_ms=1.0) for number in range(3)])
    found = {}
    for name, flags in (("here", ()), ("there", ("--executor", "ray", "--address", cluster[0].address))):
        results = tmp_path / name
        assert main(["run", str(suite), "--results", str(results), "--kind", "predict", *flags]) == 0
        found[name] = [case.scores.scores for case in read_run(newest_run(results), results).cases]
    assert found["here"] == found["there"]
