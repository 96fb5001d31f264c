"""Refusals on the way of a run that no other test comes by."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from importlib import util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from bench.adapter import BaseAdapter
from bench.adapter.finding import _made
from bench.cli.main import main
from bench.data.predictions.writing.export import export_predictions
from bench.data.prepare.archives import Member, _write
from bench.datasets import brain
from bench.datasets.folder import _by_pattern
from bench.errors import BenchError, Unsupported
from bench.records.store.runs import newest_run, read_run
from bench.run.audit.seal import _ssh_keygen
from bench.run.environments.create import _ask
from bench.run.environments.interpreters import Interpreters
from bench.run.environments.uv import _run
from bench.run.planning.prepare import prepare
from bench.run.predict.models import _trained_weights
from bench.run.worker.images import Images
from bench.run.worker.throughput_job import throughput_job
from bench.run.worker.time_job import time_job
from bench.run.worker.train_job import train_job
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
