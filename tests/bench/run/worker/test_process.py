"""A worker in a process of its own: what it leaves behind, and how each way to end is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from bench.adapter import ADAPTERS_VARIABLE
from bench.data.formats.by_name import open_dataset
from bench.records import Budget, DatasetSpec, Job, Measurement, Outcome, Status, Target, TaskSpec, read_record
from bench.records.names import harness_root
from bench.records.predictions import load_prediction
from bench.records.store import layout
from bench.records.store.samples import Samples
from bench.run.worker.environment import worker_environment
from bench.suite.model_configs import resolve_model
from tests.bench.builders import make_job, make_recipe
from tests.bench.run.processes import gone, wait_for

OPTIONS = {"preset": "easy", "size": [32, 40], "train": 2, "val": 1, "test": 7}
ONE_THREAD = Target(threads=1)
BRIEF = Measurement(
    quick=True, images=4, warmup_max_s=0.3, min_s=0.1, max_s=0.3, min_samples=5, block_s=0.1, pipelined_s=0.05
)


def shapes():
    return open_dataset("shapes", OPTIONS)


def job_for(config: str, kind: str = "predict", **changes) -> Job:
    options = {"dataset": OPTIONS} if config in ("perfect", "noisy") else {}
    if config == "forgets_sync":
        options["infer_ms"] = 40.0  # so that it is done after a pause of that length, though others run first
    fields = {
        "kind": kind,
        "model": resolve_model(f"fake/{config}", options=options),
        "dataset": DatasetSpec(name="shapes", label="shapes", options=OPTIONS),
        "task": TaskSpec(kind="semantic", classes=shapes().classes),
        "target": ONE_THREAD,
        "measurement": BRIEF if kind == "time" else None,
        "recipe": make_recipe(budget=Budget(steps=50), batch_size=2) if kind == "train" else None,
        "harness_root": str(harness_root()),
        "adapters_root": str(harness_root() / "adapters"),
    }
    return make_job(**{**fields, **changes})


def start(folder: Path, job: Job, *flags: str, **variables: str) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / layout.JOB).write_text(job.to_json(), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(harness_root()), **worker_environment(job.target, job.recipe)}
    with (folder / layout.WORKER_LOG).open("wb") as log:
        command = [sys.executable, *flags, "-m", "bench.run.worker.process", str(folder)]
        return subprocess.Popen(command, env={**environment, **variables}, cwd=folder, stdout=log, stderr=log)


def run(folder: Path, job: Job, *flags: str, **variables: str) -> Outcome:
    code = start(folder, job, *flags, **variables).wait(timeout=120)
    assert code == 0, (folder / layout.WORKER_LOG).read_text()
    return read_record(Outcome, folder / layout.OUTCOME)


def index_of(folder: Path) -> dict[str, str]:
    return json.loads((folder / layout.PREDICTION_INDEX).read_text())


# ------------------------------------------------------------------ predict


@pytest.fixture(scope="module")
def predicted(tmp_path_factory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("predict")
    return folder, run(folder, job_for("perfect", target=Target(threads=1, batch_size=3)))


def test_every_image_of_the_scored_split_is_predicted_and_stored_as_it_was_returned(predicted):
    folder, outcome = predicted
    assert (outcome.status, outcome.facts.predicted_images) == (Status.OK, 7)
    for image_id in shapes().ids("test"):
        stored = load_prediction("semantic", folder / layout.PREDICTIONS, image_id)
        np.testing.assert_array_equal(stored.labels, shapes().target(image_id).semantic.labels)


def test_the_index_holds_the_hash_of_each_prediction(predicted):
    folder, _ = predicted
    ground_truths = {image_id: shapes().target(image_id).semantic.content_hash() for image_id in shapes().ids("test")}
    assert index_of(folder / layout.PREDICTIONS) == ground_truths


def test_what_the_interpreter_ran_with_is_recorded(predicted):
    facts = predicted[1].facts
    assert facts.versions == {"python": sys.version.split()[0], "numpy": np.__version__}
    assert facts.threads["opencv"] == 1
    assert facts.load_s > 0
    assert facts.first_call_ms > 0
    assert facts.host_rss_peak_bytes > 20_000_000
    note, limit, started, writes = sorted(facts.notes)
    assert writes.startswith("writes: ")
    assert started.startswith("started: ")
    assert limit.startswith("host memory: ")
    assert note.startswith("environment: OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 ")
    assert "OMP_WAIT_POLICY=passive" in note


def test_progress_is_told_while_a_job_runs(predicted):
    assert json.loads((predicted[0] / layout.PROGRESS).read_text())["total"] == 7


def test_only_the_first_images_are_predicted_where_that_is_asked(tmp_path):
    dataset = DatasetSpec(name="shapes", label="shapes", options=OPTIONS, max_images=2)
    run(tmp_path, job_for("slow_5ms", dataset=dataset))
    assert list(index_of(tmp_path / layout.PREDICTIONS)) == list(shapes().ids("test")[:2])


# ------------------------------------------------------------------ time


def test_a_timing_job_leaves_samples_telemetry_and_predictions_equal_to_the_scored_ones(tmp_path):
    outcome = run(tmp_path / "time", job_for("noisy", "time"))
    run(tmp_path / "predict", job_for("noisy"))
    assert outcome.status is Status.OK
    assert len(Samples.load(tmp_path / "time" / layout.SAMPLES).total_ns) >= 10
    assert (tmp_path / "time" / layout.TELEMETRY).is_file()
    timed, scored = index_of(tmp_path / "time" / layout.AUDIT), index_of(tmp_path / "predict" / layout.PREDICTIONS)
    assert timed.items() <= scored.items()
    assert len(timed) == 4 + 3  # the four images that are timed, the fewest that are kept, and the three that are not


def test_a_forgotten_synchronisation_makes_the_timing_invalid(tmp_path):
    outcome = run(tmp_path, job_for("forgets_sync", "time"))
    assert [flag.name for flag in outcome.facts.invalid] == ["forgot_sync"]


@pytest.mark.slow
def test_a_model_that_remembers_its_answers_is_flagged(tmp_path):
    outcome = run(tmp_path, job_for("cached", "time"))
    assert "cached_or_content_dependent" in {flag.name for flag in outcome.facts.flags}


# ------------------------------------------------------------------ train


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("train")
    return folder, run(folder, job_for("trains", "train"))


def test_a_training_leaves_weights_with_their_hash(trained):
    folder, outcome = trained
    facts = outcome.facts
    assert (folder / facts.weights_file).read_text() == "trained"
    assert facts.weights_bytes == len("trained")
    # sha256sum of the seven letters.
    sha = subprocess.run(["sha256sum", folder / facts.weights_file], capture_output=True, text=True, check=True)
    assert facts.weights_sha256 == sha.stdout.split()[0]
    assert (facts.trained_steps, facts.trained_images) == (50, 100)


def test_the_training_log_has_the_plan_first_and_the_last_step_and_validation_last(trained):
    events = [json.loads(line) for line in (trained[0] / layout.TRAINING_LOG).read_text().splitlines()]
    assert events[0] == {"event": "planned", "steps": 50, "seconds": None}
    assert (events[-2]["event"], events[-2]["step"]) == ("step", 50)
    assert (events[-1]["event"], events[-1]["step"]) == ("validated", 50)


def test_steps_that_follow_fast_share_a_line_in_the_training_log(trained):
    # 50 steps within some milliseconds; a line is written at most every 0.2 s.
    assert 2 <= (trained[0] / layout.TRAINING_LOG).read_text().count('"step", "step"') < 10


def test_weights_are_found_relative_to_the_job_folder(trained, tmp_path):
    folder, outcome = trained
    weights = os.path.relpath(folder / outcome.facts.weights_file, tmp_path)
    again = run(tmp_path, job_for("trains", weights=weights))
    assert (again.status, again.facts.weights_sha256) == (Status.OK, outcome.facts.weights_sha256)


# ------------------------------------------------------------------ ends that can be told


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("config", "status", "said"),
    [
        ("unsupported", Status.UNSUPPORTED, "this fake supports nothing"),
        ("oom_device", Status.OOM_DEVICE, "ran out of device memory; use a smaller batch"),
        ("eats_memory", Status.OOM_HOST, "ran out of host memory: it may take at most"),
        ("wrong_shape", Status.INVALID_OUTPUT, "expected (32, 40)"),
        ("crashes", Status.CRASHED, "RuntimeError: this fake crashes"),
        ("missing_package", Status.ENVIRONMENT_ERROR, f"a_package_that_nobody_has, which {sys.executable} does not"),
    ],
)
def test_a_job_that_fails_is_told_by_its_status_and_a_reason(tmp_path, config, status, said):
    outcome = run(tmp_path, job_for(config))
    assert outcome.status is status
    assert said in outcome.reason


def test_an_unexpected_exception_keeps_its_whole_traceback(tmp_path):
    trace = run(tmp_path, job_for("crashes")).traceback
    assert trace.startswith("Traceback (most recent call last)")
    assert "in infer" in trace


def test_a_missing_package_comes_with_the_command_that_installs_it(tmp_path):
    reason = run(tmp_path, job_for("missing_package")).reason
    requirements = harness_root() / "adapters" / "fake" / "requirements.txt"
    assert f"{sys.executable} -m pip install -r {requirements}" in reason


def test_an_interpreter_without_the_harness_own_packages_is_told_apart_from_a_crash(tmp_path):
    # -S leaves site-packages out: no numpy, no pydantic.
    outcome = run(tmp_path, job_for("perfect"), "-S")
    assert outcome.status is Status.ENVIRONMENT_ERROR
    assert f"which {sys.executable} does not have" in outcome.reason


def test_another_tree_than_the_parents_is_refused_with_both_paths(tmp_path):
    outcome = run(tmp_path / "job", job_for("perfect", harness_root=str(tmp_path)))
    assert outcome.status is Status.ENVIRONMENT_ERROR
    assert str(harness_root() / "bench") in outcome.reason
    assert str(tmp_path / "bench") in outcome.reason


def test_a_stranger_package_called_adapters_is_refused_with_both_paths(tmp_path):
    stranger = tmp_path / "site" / "adapters"
    stranger.mkdir(parents=True)
    (stranger / "__init__.py").touch()
    path = os.pathsep.join([str(tmp_path / "site"), str(harness_root())])
    outcome = run(tmp_path / "job", job_for("perfect"), PYTHONPATH=path)
    assert outcome.status is Status.ENVIRONMENT_ERROR
    assert str(stranger) in outcome.reason
    assert str(harness_root() / "adapters") in outcome.reason


TOO_FEW = """
from adapters.fake.adapter import Adapter as Fake
class Adapter(Fake):
    def postprocess(self, raw, sizes):
        return super().postprocess(raw, sizes)[1:]
"""


@pytest.mark.parametrize("kind", ["predict", "time"])
def test_fewer_predictions_than_images_are_an_invalid_output(tmp_path, kind):
    (tmp_path / "outside" / "too_few").mkdir(parents=True)
    (tmp_path / "outside" / "too_few" / "adapter.py").write_text(TOO_FEW)
    model = resolve_model("fake/slow_5ms").model_copy(update={"adapter": "too_few"})
    job = job_for("slow_5ms", kind, model=model, adapters_root=str(tmp_path / "outside"))
    outcome = run(tmp_path / "job", job, **{ADAPTERS_VARIABLE: str(tmp_path / "outside")})
    assert outcome.status is Status.INVALID_OUTPUT, outcome.traceback
    assert "0 predictions for 1 images" in outcome.reason


# ------------------------------------------------------------------ ends that only the parent can tell


@pytest.mark.parametrize(("config", "code"), [("exits", 3), ("segfaults", -signal.SIGSEGV)])
def test_a_worker_that_ends_without_a_word_leaves_no_outcome(tmp_path, config, code):
    assert start(tmp_path, job_for(config)).wait(timeout=120) == code
    assert not (tmp_path / layout.OUTCOME).exists()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_hanging_worker_is_pinned_and_ends_at_once_when_it_is_told_to(tmp_path):
    core = max(os.sched_getaffinity(0))
    worker = start(tmp_path, job_for("hangs", cpu_affinity=(core,)))
    try:
        wait_for(lambda: f"Cpus_allowed_list:\t{core}\n" in Path(f"/proc/{worker.pid}/status").read_text())
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == -signal.SIGTERM
    finally:
        worker.kill()
    assert not (tmp_path / layout.OUTCOME).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_a_worker_does_not_outlive_a_parent_that_was_killed(tmp_path):
    (tmp_path / layout.JOB).write_text(job_for("hangs").to_json(), encoding="utf-8")
    program = (
        "import subprocess, sys\n"
        f"worker = subprocess.Popen([sys.executable, '-m', 'bench.run.worker.process', {str(tmp_path)!r}],"
        " start_new_session=True)\n"
        "print(worker.pid, flush=True)\n"
        "worker.wait()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(harness_root())}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as parent:
        worker = int(parent.stdout.readline())
        try:
            # It has asked to die with its parent before it imports NumPy.
            wait_for(lambda: "numpy" in Path(f"/proc/{worker}/maps").read_text())
            parent.kill()
            assert gone(worker)
        finally:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


def test_the_worker_module_itself_needs_the_standard_library_only():
    program = "import sys, bench.run.worker.process; print(sorted({'numpy', 'pydantic', 'cv2'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=harness_root()
    )
    assert done.stdout.strip() == "[]"


def test_a_runtime_that_an_adapter_does_not_offer_is_refused_instead_of_ignored(tmp_path):
    outcome = run(tmp_path, job_for("perfect", target=Target(threads=1, runtime="onnxruntime")))
    assert outcome.status == "unsupported"
    assert "has no runtime onnxruntime; it has eager" in outcome.reason
