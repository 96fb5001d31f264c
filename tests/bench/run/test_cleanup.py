"""`bench gc` removes what nothing needs, by age, and nothing that a number rests on."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.records.store.files import write_record
from bench.records.store.layout import RunFolder
from bench.records.store.runs import locked
from bench.run.cleanup import Policy, removable
from bench.run.environments.interpreters import Interpreters
from bench.run.planning.prepare import prepare
from tests.bench.suites import job_folders, run_suite, write_suite

DAY_S = 86400.0


def aged(path: Path, days: float) -> Path:
    """Set the age of a file or of all files of a folder."""
    at = path.stat().st_mtime - days * DAY_S
    for file in (path, *path.rglob("*")):
        os.utime(file, (at, at))
    return path


def written(path: Path, text: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "segbench"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Results with a run of a finished training, which each test takes a copy of."""
    folder = tmp_path_factory.mktemp("made")
    suite = write_suite(folder, ["fake/trains"], recipe={"budget": {"steps": 3}, "device": "cpu", "threads": 1})
    run = RunFolder(folder / "results" / "suite" / "2025-01-01T00-00-00")
    run.path.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        write_record(run.path / "plan.json", prepare(suite, Interpreters()).plan)
        assert not run_suite(suite, run, folder / "results", kinds=("train", "predict")).summary.failed
    return folder / "results"


@pytest.fixture
def run(made, tmp_path) -> RunFolder:
    """A run with a finished training that left a checkpoint."""
    shutil.copytree(made, tmp_path / "results")
    return RunFolder(tmp_path / "results" / "suite" / "2025-01-01T00-00-00")


def found(results: Path, **ages: float) -> list[Path]:
    return [one.path for one in removable(results, Policy(**ages))]


def test_checkpoints_of_finished_trainings_and_jobs_done_again_go_and_weights_stay(run, tmp_path, capsys):
    [train] = job_folders(run, "train")
    checkpoint = aged(written(train / "weights" / "checkpoint.pt"), 40)
    again = aged(written(run.path / "superseded" / "time-x.0" / "job.json").parent, 40)
    weights = [path for path in (train / "weights").iterdir() if path != checkpoint]
    assert weights
    aged(run.jobs, 40)
    before = {path for path in run.path.rglob("*") if path.is_file()}
    assert sorted(found(tmp_path / "results")) == sorted([again, checkpoint])
    assert main(["gc", "--results", str(tmp_path / "results")]) == 0
    assert "nothing was removed" in capsys.readouterr().out
    assert before == {path for path in run.path.rglob("*") if path.is_file()} - {run.path / ".lock"}
    assert main(["gc", "--delete", "--results", str(tmp_path / "results")]) == 0
    gone = before - {path for path in run.path.rglob("*") if path.is_file()}
    assert gone == {checkpoint, again / "job.json"}
    assert found(tmp_path / "results") == []


def test_nothing_goes_that_is_younger_than_asked_for(run, tmp_path):
    aged(written(run.path / "superseded" / "time-x.0" / "job.json").parent, 10)
    assert found(tmp_path / "results") == []
    assert len(found(tmp_path / "results", days=9)) == 1


def test_an_export_that_a_job_ran_stays_and_others_go(tmp_path, cache):
    old = aged(written(cache / "exports" / "one" / "model.onnx").parent, 40)
    written(cache / "exports" / "two" / "model.onnx")
    package = aged(written(cache / "packages" / "abc" / "x.whl").parent, 40)
    assert found(tmp_path / "results") == [old, package]


def test_runs_go_only_when_their_age_is_given_and_never_the_newest_of_a_suite(tmp_path):
    for name in ("2024-01-01T00-00-00", "2024-02-01T00-00-00"):
        aged(written(tmp_path / "results" / "a" / name / "plan.json").parent, 400)
    aged(written(tmp_path / "results" / "b" / "2024-01-01T00-00-00" / "plan.json").parent, 400)
    assert found(tmp_path / "results") == []
    assert found(tmp_path / "results", run_days=365) == [tmp_path / "results" / "a" / "2024-01-01T00-00-00"]
    assert found(tmp_path / "results", run_days=500) == []


def test_a_run_whose_weights_a_job_of_another_run_used_stays(run, tmp_path):
    [predict] = job_folders(run, "predict")
    newer = RunFolder(run.path.parent / "2025-02-01T00-00-00")
    written(newer.path / "plan.json", (run.path / "plan.json").read_text())
    job = (predict / "job.json").read_text()
    name = predict.name
    weights = next((run.jobs).glob("train-*/weights"))
    document = json.loads(job)
    document["weights"] = str(next(path for path in weights.iterdir()))
    written(newer.jobs / name / "job.json", json.dumps(document))
    aged(run.path, 400)
    assert found(tmp_path / "results", run_days=365) == []
    document["weights"] = None
    written(newer.jobs / name / "job.json", json.dumps(document))
    assert found(tmp_path / "results", run_days=365) == [run.path]


@pytest.mark.parametrize("flag", ["--older-than", "--runs-older-than"])
def test_an_age_is_a_number_of_days(tmp_path, flag, capsys):
    assert main(["gc", flag, "-1", "--results", str(tmp_path)]) == 2
    assert f"{flag} -1: expected a number of days" in capsys.readouterr().err


def test_what_lies_in_a_run_that_is_being_written_stays_and_is_told(run, tmp_path, capsys):
    again = aged(written(run.path / "superseded" / "time-x.0" / "job.json").parent, 40)
    with locked(run):
        assert main(["gc", "--delete", "--results", str(tmp_path / "results")]) == 1
    assert f"{again} stays: {run.path} is being written" in capsys.readouterr().err
    assert again.is_dir()
