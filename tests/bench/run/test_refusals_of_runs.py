"""Refusals on the way of a run that no other test comes by."""

from __future__ import annotations

import io
import shutil
import struct
import sys
import tarfile
from dataclasses import replace
from importlib import util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from bench.adapter import BaseAdapter, load_adapter
from bench.adapter.finding import _made
from bench.cli.main import main
from bench.data import augmentation_preview
from bench.data.predictions.writing.export import export_predictions
from bench.data.prepare.archives import Member, _write
from bench.datasets import brain
from bench.datasets.folder import _by_pattern
from bench.errors import BenchError, Unsupported
from bench.records import Target, TaskSpec
from bench.records.store.runs import newest_run, read_run
from bench.run.archive import tar
from bench.run.archive.tar import _add, _contents, _entry
from bench.run.audit.seal import _ssh_keygen
from bench.run.compare.interleave import _side_of
from bench.run.environments.create import _ask
from bench.run.environments.interpreters import Interpreters
from bench.run.environments.uv import _run
from bench.run.executors import ray, slurm
from bench.run.executors.local import _refuse_numbers
from bench.run.planning.prepare import prepare
from bench.run.predict import weights_info
from bench.run.predict.models import Overrides, _classes, _trained_weights, range_of
from bench.run.remote import working
from bench.run.worker.images import Images
from bench.run.worker.kept_probabilities import refuse_other_tasks
from bench.run.worker.throughput_job import throughput_job
from bench.run.worker.time_job import time_job
from bench.run.worker.train_job import train_job
from tests.bench.builders import CLASSES, make_job, make_model, make_recipe
from tests.bench.suites import perfect, write_suite


def refused(call, *arguments, **named) -> str:
    with pytest.raises(BenchError) as found:
        call(*arguments, **named)
    return str(found.value)


def test_an_adapter_that_lacks_methods_is_told_which():
    module = ModuleType("m")
    module.Adapter = type("Adapter", (BaseAdapter,), {})  # type: ignore[attr-defined]
    said = refused(_made, module, Path("a/adapter.py"))
    assert "its Adapter lacks build, infer, postprocess" in said
    assert "write these methods as bench/adapter/contract.py says" in said


@pytest.mark.parametrize(
    ("work", "told"),
    [
        (train_job, "a train job needs a recipe; its job.json has none"),
        (time_job, "a time job needs a measurement; its job.json has none"),
        (throughput_job, "a throughput job says under which loads; its job.json does not"),
    ],
)
def test_a_job_without_what_it_is_to_do(tmp_path, work, told):
    job = prepare(write_suite(tmp_path, [perfect()]), Interpreters()).cases[0].predict
    assert told in refused(work, job.model_copy(update={"measurement": None}), tmp_path)


def test_prompts_have_no_place_in_encoded_images():
    with pytest.raises(Unsupported, match="prompts are places in a decoded image; time this model with measurement"):
        Images(None, [], "box").encoded("a")


def test_programs_that_cannot_be_run_or_fail():
    assert "locking failed: /none cannot be run" in refused(_run, ["/none"], "locking")
    program = [sys.executable, "-c", "import sys; print('no such package', file=sys.stderr); sys.exit(3)"]
    assert "locking failed. " in refused(_run, program, "locking")
    assert "/none was made, but does not run" in refused(_ask, Path("/none"), "")


def test_signing_without_the_program_or_without_the_key(monkeypatch):
    if shutil.which("ssh-keygen"):
        said = refused(_ssh_keygen, "sign", "-f", "/none", "-n", "n", "/none", why="--key /none")
        assert "--key /none: ssh-keygen -Y sign refused" in said
    monkeypatch.setenv("PATH", "")
    assert "ssh-keygen of OpenSSH 8.2 or later is needed" in refused(_ssh_keygen, "sign", why="--key k")


def test_a_case_without_weights_or_predictions(tmp_path):
    suite = write_suite(tmp_path, ["fake/trains"], recipe={"budget": {"steps": 2}, "device": "cpu"})
    results = tmp_path / "results"
    assert main(["run", str(suite), "--results", str(results), "--kind", "train"]) == 0
    run = read_run(newest_run(results))
    said = refused(_trained_weights, replace(run.cases[0], train=None))
    assert "its training is not finished; finish it with bench run and its suite" in said
    assert "no case of" in refused(lambda: list(export_predictions(run, "coco", tmp_path / "out")))
    assert "has predictions; run it again with: bench run" in refused(
        lambda: list(export_predictions(run, "coco", tmp_path / "out"))
    )


def test_a_member_of_an_archive_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    member = Member("a", "file", 1, lambda: None)
    assert "file/a cannot be written" in refused(_write, member, tmp_path / "file" / "a", tmp_path / "a.zip")


def test_patterns_that_leave_images_or_splits_out():
    assert "1 images match no pattern, for example 'a'. The first pattern that is found decides" in refused(
        _by_pattern, ["a"], {"train": "b"}
    )


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({}, "brain: needs nibabel to read NIfTI files"),
        ({"nibabel": 1}, "brain: needs the template that ships with nilearn"),
        ({"nibabel": 1, "nilearn": SimpleNamespace(submodule_search_locations=["/none"])}, "this nilearn ships no"),
    ],
)
def test_the_brain_without_its_packages(monkeypatch, found, told):
    monkeypatch.setattr(util, "find_spec", lambda name: found.get(name))
    assert told in refused(brain.open_dataset, brain.Options())


# ------------------------------------------------------------------ archives, executors, predictions


def test_drawing_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(augmentation_preview, "TIMEOUT_S", 0.2)
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    said = refused(augmentation_preview._run, slow, [tmp_path], log=tmp_path / "log")
    assert "s and was ended; ask for fewer --images" in said


def test_an_archive_of_a_later_version(tmp_path):
    text = tar.Contents(format=tar.FORMAT + 1, suite="s", run="r", files={}).to_json().encode()
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(_entry(tar.CONTENTS, len(text)), io.BytesIO(text))
    with tarfile.open(tmp_path / "a.tar") as archive:
        said = refused(_contents, tmp_path / "a.tar", archive)
    assert "is of a later version of segbench (format" in said
    assert "update segbench" in said


def test_a_file_that_shrinks_while_it_is_packed(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        said = refused(_add, archive, _entry("worker.log", 10), io.BytesIO(b"abc"))
    assert said == "worker.log became shorter while it was read; nothing is written. Try again"


def test_a_side_of_an_interleaved_comparison_that_failed():
    job = SimpleNamespace(job=SimpleNamespace(kind="time"), outcome=None, damage="no samples", folder=Path("jobs/t"))
    view = SimpleNamespace(case=SimpleNamespace(id="A one"), failures=[job])
    said = refused(_side_of, SimpleNamespace(cases=[view]), 0, SimpleNamespace())
    assert said == "--interleave: the time job of A one failed: no samples; see jobs/t"


def test_a_number_of_a_gpu_where_each_job_sees_its_own():
    _refuse_numbers([make_job(target=Target(device=device)) for device in ("cpu", "cuda", "cuda:0")])
    said = refused(_refuse_numbers, [make_job(target=Target(device="cuda:1"))])
    assert "but with --devices each job sees its own GPU alone: write device: cuda in the suite" in said


def test_a_cluster_that_cannot_be_joined_or_lends_nothing(monkeypatch):
    def no_cluster(**_: object) -> None:
        raise ConnectionError("nobody answers")

    module = SimpleNamespace(init=no_cluster, nodes=list, remote=lambda function: function)
    monkeypatch.setitem(sys.modules, "ray", module)
    said = refused(ray._joined, "10.0.0.1:6379")
    assert "no Ray cluster could be joined at 10.0.0.1:6379: nobody answers. Start one with ray start" in said
    assert "no node of the cluster lends a processor; start one with" in refused(ray._described, module)


@pytest.mark.parametrize("word", ["partition", "=gpu"])
def test_a_parameter_of_slurm_without_name_or_value(word):
    assert refused(slurm._parsed, [word]) == f"--slurm {word}: expected NAME=VALUE, such as partition=gpu"


def test_a_first_job_that_fails_in_slurm(tmp_path):
    submitit = pytest.importorskip("submitit")

    class Failed:
        def result(self) -> None:
            raise submitit.core.utils.FailedJobError("node is gone")

    executor = slurm.SlurmExecutor.__new__(slurm.SlurmExecutor)
    executor._folder, executor._share, executor._submitit = tmp_path, False, submitit
    executor._hand_over = lambda *_, **__: Failed()  # type: ignore[method-assign]
    said = refused(executor._probe)
    assert "the first job, which says what the nodes are, has failed. Every node needs this checkout" in said
    assert "node is gone" in said


def test_classes_of_which_nobody_says_which_are_things(tmp_path):
    (tmp_path / "w.ckpt").write_bytes(b"x")
    (tmp_path / "classes.txt").write_text("road\ncar\n")
    model = make_model(label="m", adapter="mine", weights=str(tmp_path / "w.ckpt"), task="panoptic")
    said = refused(_classes, model, Overrides())
    assert "names its classes but not which are things; give them with --classes FILE.yaml" in said


@pytest.mark.parametrize(
    ("text", "told"),
    [("1", "expected two numbers, low,high"), ("a,b", "expected two numbers, low,high"), ("3,3", "the larger one")],
)
def test_a_range_that_is_none(text, told):
    assert told in refused(range_of, text)


def test_weights_of_torch_where_no_adapter_of_torch_is(tmp_path, monkeypatch):
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    file = tmp_path / "w.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    monkeypatch.setattr(weights_info, "_groups", lambda *_: {})
    said = refused(weights_info.describe_weights, file, Interpreters())
    assert said == f"no adapter of torch networks is here to read {file}"


def test_a_run_that_is_removed_while_it_is_looked_for(tmp_path, monkeypatch):
    results = working.RemoteResults.__new__(working.RemoteResults)
    results.folder, results._store = tmp_path, SimpleNamespace(url="s3://b/r")
    monkeypatch.setattr(working, "runs_in", lambda *_: [("suite", "one")])
    monkeypatch.setattr(working, "contents_in", lambda *_: None)
    assert refused(results.fetch, "suite") == "the run suite/one in s3://b/r was just removed"


def test_probabilities_of_what_labels_no_pixels_are_not_kept():
    job = make_job(task=TaskSpec(kind="instance", classes=CLASSES), keep=("probabilities",))
    with pytest.raises(Unsupported, match="makes instance predictions; keep: probabilities is for models that label"):
        refuse_other_tasks(job)
    refuse_other_tasks(make_job(keep=("probabilities",)))


def test_a_fake_on_a_gpu_and_one_that_is_to_be_trained(tmp_path):
    adapter = load_adapter("fake")
    task = TaskSpec(kind="semantic", classes=CLASSES)
    model = make_model(adapter="fake", name="fake/slow_5ms", options={"behaviour": "slow"})
    with pytest.raises(Unsupported, match="the fakes run on cpu only, not on cuda:0"):
        adapter.build(model, task, Target(device="cuda:0"), None)
    adapter.build(model, task, Target(), None)
    with pytest.raises(Unsupported, match="this fake cannot be trained"):
        adapter.train(None, make_recipe(), tmp_path, None)  # type: ignore[arg-type]
