"""Workers forked from a pre-imported parent do what fresh interpreters do, and end as they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.adapter.finding import adapter_folders, load_adapter
from bench.records import Job, Status
from bench.records.names import harness_root
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.runs import new_run, read_job
from bench.run import fork_server
from bench.run.environments.interpreters import Interpreters
from bench.run.planning.prepare import prepare
from bench.run.workers import ForkServers, FreshInterpreters, why_fresh
from tests.bench.run.processes import gone, interrupt_until, wait_for
from tests.bench.suites import job_folders, perfect, run_suite, write_suite

RECIPE = {"budget": {"steps": 2}, "device": "cpu", "batch_size": 2}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each job is a fresh interpreter")


@pytest.fixture(autouse=True)
def _much_memory(monkeypatch):
    monkeypatch.setattr("bench.run.workers.free_host_bytes", lambda: None)


@pytest.fixture
def servers():
    made = ForkServers()
    yield made
    made.close()


@pytest.fixture
def run(tmp_path):
    made = new_run(tmp_path / "results", "suite")
    (made.path / layout.PLAN).touch()
    return made


def note_of(folder: Path) -> str:
    outcome = read_job(folder).outcome
    return next(note for note in outcome.facts.notes if note.startswith("started:"))


def predict_job(tmp_path, model="fake/perfect", **changes) -> Job:
    model = perfect() if model == "fake/perfect" else model
    return prepare(write_suite(tmp_path, [model], **changes), Interpreters()).cases[0].predict


def run_both(tmp_path, models, **changes):
    """The same suite with fresh interpreters and with forked workers: the two run folders."""
    suite = write_suite(tmp_path, models, **changes)
    folders = []
    for workers in (FreshInterpreters(), ForkServers()):
        run = new_run(tmp_path / f"results{len(folders)}", "suite")
        (run.path / layout.PLAN).touch()
        for case in prepare(suite, Interpreters()).cases:
            workers.expect(case.jobs)  # as if there were more of them, so that a single job is forked, too
        run_suite(suite, run, run.path.parent, kinds=("train", "predict"), workers=workers)
        folders.append(run)
    return folders


def test_a_forked_worker_leaves_the_same_predictions_bit_for_bit(tmp_path):
    fresh, forked = run_both(tmp_path, ["fake/noisy", perfect()])
    for one, other in zip(job_folders(fresh, "predict"), job_folders(forked, "predict"), strict=True):
        index = layout.PREDICTIONS + "/" + layout.PREDICTION_INDEX
        assert (one / index).read_bytes() == (other / index).read_bytes()
        assert note_of(one) == "started: a fresh interpreter"
        assert note_of(other) == f"started: {fork_server.FORKED}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "models",
    [["unet/bilinear"], ["ultralytics/yolo26n_sem", {"name": "ultralytics/yolo26n_sem", "label": "again"}]],
    ids=["unet", "ultralytics"],
)
def test_a_forked_training_of_a_network_leaves_the_same_weights_and_predictions_bit_for_bit(tmp_path, models):
    # The second of two models is forked after the parent has imported what the first came to need.
    fresh, forked = run_both(tmp_path, models, recipe=RECIPE)
    for kind in ("train", "predict"):
        for one, other in zip(job_folders(fresh, kind), job_folders(forked, kind), strict=True):
            facts = [read_job(folder).outcome.facts for folder in (one, other)]
            assert facts[0].weights_sha256 == facts[1].weights_sha256
            assert facts[0].threads == facts[1].threads
            assert note_of(other) == f"started: {fork_server.FORKED}"
    index = layout.PREDICTIONS + "/" + layout.PREDICTION_INDEX
    for one, other in zip(job_folders(fresh, "predict"), job_folders(forked, "predict"), strict=True):
        assert (one / index).read_bytes() == (other / index).read_bytes()


MODULES_FIRST = """
import importlib, pkgutil, sys
package = importlib.import_module("adapters." + sys.argv[1])
for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
    importlib.import_module(found.name)
importlib.import_module("bench.adapter").load_adapter(sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["ultralytics", "detectron2", "transformers"])
def test_modules_of_an_adapter_that_are_imported_before_it_is_made_leave_the_home_folder_alone(tmp_path, adapter):
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "MPLCONFIGDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", MODULES_FIRST, adapter], check=True, env=environment, cwd=harness_root())
    assert [file for file in home.rglob("*") if file.is_file()] == []


IMPORTED_AHEAD = """
import sys
from bench.run import fork_server
assert fork_server._refusal("unet") is None
fork_server._import(fork_server._imported_late("unet", training=False))
assert "adapters._torch.training.semantic" not in sys.modules and "lightning" not in sys.modules
fork_server._import(fork_server._imported_late("unet", training=True))
assert "adapters._torch.training.semantic" in sys.modules
"""


@pytest.mark.slow
def test_a_parent_imports_what_trains_where_its_jobs_train_and_nowhere_else():
    subprocess.run([sys.executable, "-c", IMPORTED_AHEAD], check=True, cwd=harness_root())


def test_what_adapters_say_that_they_import_late_exists():
    for name in (name for name, folder in adapter_folders().items() if folder.parent == harness_root() / "adapters"):
        cls = type(load_adapter(name))
        assert all(find_spec(module) for module in (*cls.imported_to_build, *cls.imported_to_train)), name


LEAVING = """
import atexit, threading, time
from concurrent.futures import ThreadPoolExecutor
from bench.run.fork_server import leave
atexit.register(print, "registered")
ThreadPoolExecutor().submit(time.sleep, 0)
threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
print("buffered")
leave(3)
"""


def test_a_forked_worker_leaves_after_its_threads_and_does_what_was_registered_for_the_end():
    ended = subprocess.run([sys.executable, "-c", LEAVING], capture_output=True, text=True, cwd=harness_root())
    assert (ended.returncode, ended.stdout.split(), ended.stderr) == (3, ["buffered", "thread", "registered"], "")


def test_a_forked_worker_cleans_up_what_is_its_own_and_nothing_of_its_parents():
    program = (
        "import os, tempfile; from bench.run.fork_server import leave, leave_ends_to_parent;"
        "folder = tempfile.TemporaryDirectory(); pid = os.fork();\n"
        "if pid == 0: leave_ends_to_parent(); own = tempfile.TemporaryDirectory(); print(own.name); leave(0)\n"
        "os.waitpid(pid, 0); print(os.path.isdir(folder.name))"
    )
    own, parents_is_there = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert (Path(own).exists(), parents_is_there) == (False, "True")


def test_every_forked_job_is_a_process_and_a_session_of_its_own_with_its_own_log(tmp_path, run, servers):
    suite = write_suite(tmp_path, ["fake/noisy", perfect()])
    ran = run_suite(suite, run, run.path.parent, workers=servers)
    assert all(outcome.status is Status.OK for _, outcome in ran.listener.ends)
    assert len([note_of(folder) for kind in ("predict", "time") for folder in job_folders(run, kind)]) == 4
    assert all((folder / layout.WORKER_LOG).is_file() for folder in job_folders(run, "predict"))


@pytest.mark.parametrize(
    "model",
    [
        "fake/segfaults",
        *(
            pytest.param(f"fake/{name}", marks=pytest.mark.slow)
            for name in ("crashes", "exits", "oom_device", "missing_package")
        ),
    ],
)
def test_a_forked_worker_ends_as_a_fresh_one_does(tmp_path, model):
    fresh, forked = run_both(tmp_path, [model, perfect()])
    ends = []
    for run in (fresh, forked):
        (folder,) = [found for found in job_folders(run, "predict") if model.replace("/", "-") in found.name]
        outcome = read_job(folder).outcome
        ends.append((outcome.status, outcome.signal, outcome.exit_code, outcome.reason.split(" The end of ")[0]))
    assert ends[0] == ends[1]


def started(servers: ForkServers, job: Job, folder: Path, timeout_s: float, told: list[str] | None = None):
    """Run one job as one of two of its kind."""
    folder.mkdir()
    write_record(folder / layout.JOB, job)
    servers.expect([job, job])
    return servers.run(
        job,
        Path(sys.executable),
        folder=folder,
        log=folder / layout.WORKER_LOG,
        timeout_s=timeout_s,
        tell=(told if told is not None else []).append,
    )


def test_the_parent_that_will_predict_imports_beside_the_one_that_trains_and_is_the_one_that_is_used(tmp_path, servers):
    case = prepare(write_suite(tmp_path, ["fake/trains"], recipe=RECIPE), Interpreters()).cases[0]
    servers.expect([case.predict, case.predict])
    assert started(servers, case.train, tmp_path / "train", timeout_s=30).exit_code == 0
    pid_of = {key.training: server._process.pid for key, server in servers._servers.items()}
    assert pid_of.keys() == {True, False}
    weights = {"weights": str(next((tmp_path / "train" / layout.WEIGHTS).iterdir()))}
    started(servers, case.predict.model_copy(update=weights), tmp_path / "predict", timeout_s=30)
    assert note_of(tmp_path / "predict") == f"started: {fork_server.FORKED}"
    assert {key.training: server._process.pid for key, server in servers._servers.items()} == pid_of


def hanging_beside(servers, tmp_path):
    """A thread that waits for a hanging job, which is under way, and the list that gets how the job ended."""
    job, ended = predict_job(tmp_path, "fake/hangs"), []
    thread = threading.Thread(target=lambda: ended.append(started(servers, job, tmp_path / "hangs", timeout_s=60)))
    thread.start()
    wait_for(lambda: (tmp_path / "hangs" / layout.PREDICTIONS).exists())
    return thread, ended


def test_one_parent_runs_a_job_beside_another_and_tells_their_ends_apart(tmp_path, servers):
    thread, ended = hanging_beside(servers, tmp_path)
    (server,) = servers._servers.values()
    (worker,) = children(server._process.pid)
    assert started(servers, predict_job(tmp_path), tmp_path / "job", timeout_s=60).exit_code == 0
    assert ([*servers._servers.values()], server.at_work, ended) == ([server], 1, [])
    os.kill(worker, signal.SIGKILL)
    thread.join(30)
    assert (ended[0].signal, ended[0].timed_out) == ("SIGKILL", False)
    assert started(servers, predict_job(tmp_path), tmp_path / "next", timeout_s=60).exit_code == 0


def test_what_comes_next_is_imported_beside_a_prediction_where_its_interpreter_is_known(tmp_path, servers):
    case = prepare(write_suite(tmp_path, ["fake/trains"], recipe=RECIPE), Interpreters()).cases[0]
    predicted = predict_job(tmp_path)
    servers.expect([predicted, case.train, case.train], lambda adapter: Path(sys.executable))
    started(servers, predicted, tmp_path / "untold", timeout_s=30)
    assert {key.training for key in servers._servers} == {False}
    folder = tmp_path / "told"
    folder.mkdir()
    write_record(folder / layout.JOB, predicted)
    servers.expect([predicted] * 2, lambda adapter: Path(sys.executable))
    log = folder / layout.WORKER_LOG
    servers.run(predicted, Path(sys.executable), folder=folder, log=log, timeout_s=30, tell=print)
    (trains,) = [server for key, server in servers._servers.items() if key.training]
    assert trains.imports
    measuring = predicted.model_copy(update={"kind": "profile"})  # a fresh interpreter
    started(servers, measuring, tmp_path / "profile", timeout_s=30)
    assert not trains.imports
    assert started(servers, case.train, tmp_path / "train", timeout_s=30).exit_code == 0
    assert note_of(tmp_path / "train") == f"started: {fork_server.FORKED}"
    assert trains in servers._servers.values()


@pytest.mark.slow
def test_a_forked_worker_over_its_limit_is_ended_and_the_next_job_runs(tmp_path, servers):
    end = started(servers, predict_job(tmp_path, "fake/hangs"), tmp_path / "job", timeout_s=1.0)
    assert (end.timed_out, end.signal) == (True, "SIGTERM")
    assert started(servers, predict_job(tmp_path), tmp_path / "next", timeout_s=30).exit_code == 0


def test_workers_end_with_the_parent_they_were_forked_from_and_the_job_counts_as_killed(tmp_path, servers):
    thread, ended = hanging_beside(servers, tmp_path)
    (server,) = servers._servers.values()
    (worker,) = children(server._process.pid)
    os.kill(server._process.pid, signal.SIGKILL)
    thread.join(30)
    assert gone(worker)
    assert ended[0].signal == "SIGKILL"
    assert started(servers, predict_job(tmp_path), tmp_path / "next", timeout_s=30).exit_code == 0


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_an_interrupted_wait_ends_the_worker_and_its_parent(tmp_path, servers):
    job = predict_job(tmp_path, "fake/hangs")
    seen: list[int] = []

    def interrupt() -> None:
        wait_for(lambda: (tmp_path / "job" / layout.PREDICTIONS).exists())
        (server,) = servers._servers.values()
        seen.extend([server._process.pid, *children(server._process.pid)])
        interrupt_until(ended)

    ended = threading.Event()
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        started(servers, job, tmp_path / "job", timeout_s=60)
    ended.set()
    assert all(gone(pid) for pid in seen)


def test_a_job_that_is_alone_is_a_fresh_interpreter_since_a_parent_would_gain_nothing(tmp_path, run, servers):
    run_suite(write_suite(tmp_path, [perfect()]), run, run.path.parent, kinds=("predict",), workers=servers)
    assert [note_of(folder) for folder in job_folders(run, "predict")] == ["started: a fresh interpreter"]


def test_an_adapter_that_cannot_be_imported_ahead_is_said_once_and_its_jobs_run_fresh(tmp_path, servers):
    job = predict_job(tmp_path)
    broken = job.model_copy(update={"model": job.model.model_copy(update={"adapter": "no_such_adapter"})})
    told: list[str] = []
    for number in range(2):
        started(servers, broken, tmp_path / f"job{number}", timeout_s=30, told=told)
        assert read_job(tmp_path / f"job{number}").outcome.status is not Status.OK
    (line,) = told
    assert "importing adapter no_such_adapter failed" in line
    assert "fresh interpreters" in line


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "profile"}, "measures memory"),
        ({"kind": "throughput"}, "measures memory"),
        ({"adapters_root": "/elsewhere"}, "from outside this tree"),
        ({"device": "cuda"}, "device"),
    ],
)
def test_what_is_never_forked_is_told_by_the_job_alone(tmp_path, changes, reason):
    job = predict_job(tmp_path)
    assert why_fresh(job) is None
    if "device" in changes:
        changes = {"target": job.target.model_copy(update=changes)}
    assert reason in why_fresh(job.model_copy(update=changes))


def test_peak_memory_of_a_forked_worker_leaves_out_what_its_parent_once_held(tmp_path):
    """The parent's own peak is made 300 MB higher than a worker needs; no worker may report it."""
    program = (
        "import os, resource; b = bytearray(300_000_000); del b; from bench.measure.memory import peak_rss_bytes;"
        "parent = peak_rss_bytes(); pid = os.fork();\n"
        "if pid == 0: print(parent, peak_rss_bytes(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)\n"
        "else: os.waitpid(pid, 0)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    parent, child, child_rusage = (int(word) for word in said.split())
    assert parent > 300_000_000
    assert child < parent - 200_000_000
    assert child_rusage < parent - 200_000_000


def test_a_forked_worker_holds_the_pages_of_libraries_that_its_parent_holds():
    """What importing NumPy and OpenCV touched, or memory of forked and fresh workers could not be compared."""
    program = (
        "import cv2, numpy, os; from bench.measure.devices import kernel_bytes;"
        "from bench.run.fork_server import map_file_pages_of; parent = kernel_bytes('RssFile'); pid = os.fork();\n"
        "if pid == 0:\n"
        "    before = kernel_bytes('RssFile'); map_file_pages_of(os.getppid())\n"
        "    print(parent, before, kernel_bytes('RssFile'))\n"
        "else: os.waitpid(pid, 0)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    parent, before, after = (int(word) for word in said.split())
    assert before < 0.9 * parent
    assert 0.95 * parent < after < 1.1 * parent


def test_two_forked_workers_do_not_draw_the_same_unseeded_numbers(monkeypatch):
    import numpy as np

    monkeypatch.setattr(sys, "argv", sys.argv)
    drawn = []
    for _ in range(2):
        np.random.seed(0)  # as inherited by both
        fork_server._draw_anew()
        drawn.append(np.random.random())
    assert drawn[0] != drawn[1]


def test_waiting_costs_no_processor_time(tmp_path, servers):
    started(servers, predict_job(tmp_path), tmp_path / "job", timeout_s=30)
    status = Path(f"/proc/{next(iter(servers._servers.values()))._process.pid}/status")

    def sleeps_on() -> bool:
        """Whether nothing wakes it for half a second; just after a job it has something left to do."""
        before = status.read_text().partition("\nvoluntary")[2]
        time.sleep(0.5)
        return status.read_text().partition("\nvoluntary")[2] == before

    wait_for(sleeps_on)
