"""Commit, machine and packages belong to the job that was measured, not to whoever resumed the run last."""

from __future__ import annotations

import json
import subprocess

import pytest

from bench.measure.environment import git_state
from bench.records.store import layout
from bench.records.store.runs import new_run, read_run
from bench.records.store.views import RunView
from bench.report import render
from bench.report.summary.summarise import summarise
from bench.run.environments import record as provenance
from bench.run.environments.interpreters import Interpreters
from bench.run.environments.record import provenance_now
from bench.run.planning.prepare import prepare
from bench.run.session import RunRecorder
from tests.bench.suites import perfect, run_suite, write_suite


@pytest.fixture
def at(monkeypatch):
    """Sets what git says of the harness."""

    def commit(name: str, *, dirty: bool = False) -> None:
        monkeypatch.setattr(provenance, "git_state", lambda _: {"commit": name, "dirty": dirty})

    return commit


def resumed(tmp_path, at) -> RunView:
    """A run of two models of which the second was predicted at another commit, with changes."""
    models = [perfect(label="one"), {"name": "fake/slow_5ms", "label": "two"}]
    suite, results = write_suite(tmp_path, models), tmp_path / "results"
    run = new_run(results, "suite")
    for label, commit, dirty in (("one", "a" * 40, False), ("two", "b" * 40, True)):
        at(commit, dirty=dirty)
        run_suite(suite, run, results, only=label, kinds=("predict",))
    prepared = prepare(suite, Interpreters())
    RunRecorder(run, results, prepared.plan, None, prepared.interpreters).write_plan()
    return read_run(run, results)


def test_a_job_keeps_the_commit_it_was_done_with_when_its_run_is_resumed(tmp_path, at):
    run = resumed(tmp_path, at)
    found = [view.predict.job.provenance for view in run.cases]
    assert [(one.commit, one.dirty) for one in found] == [("a" * 40, False), ("b" * 40, True)]
    assert found[0].machine == found[1].machine
    for one in found:
        stored = json.loads(run.folder.environment(one.environment).read_text())
        assert stored["git"] == {"commit": one.commit, "dirty": one.dirty}
        assert "numpy" in stored["packages"]


def test_a_report_of_several_commits_says_so_per_row(tmp_path, at):
    text = render("markdown", summarise(resumed(tmp_path, at)))
    section = text.partition("## Where each job was done")[2].partition("##")[0]
    (one,), (two,) = ([line for line in section.splitlines() if f"| {label} " in line] for label in ("one", "two"))
    assert "A (aaaaaaaaaaaa)" in one
    assert "B (bbbbbbbbbbbb + changes)" in two
    assert "- A: Harness: commit aaaaaaaaaaaa" in text
    assert "- B: Harness: commit bbbbbbbbbbbb with uncommitted changes" in text


def test_a_report_of_one_commit_is_that_of_its_jobs_whoever_resumed_the_run(tmp_path, at):
    suite, results = write_suite(tmp_path, [perfect()]), tmp_path / "results"
    run = new_run(results, "suite")
    at("a" * 40)
    run_suite(suite, run, results, kinds=("predict",))
    prepared = prepare(suite, Interpreters())
    RunRecorder(run, results, prepared.plan, None, prepared.interpreters).write_plan()
    text = render("markdown", summarise(read_run(run, results)))
    assert "Where each job was done" not in text
    assert "Harness: commit aaaaaaaaaaaa\n" in text


@pytest.mark.few(1)
@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_damaged_record_of_an_environment_is_a_row_and_everything_else_is_reported(tmp_path, at, damage):
    run = resumed(tmp_path, at)
    file = run.folder.environment(run.cases[0].predict.job.provenance.environment)
    file.unlink() if damage == "missing" else file.write_text("{}")
    summary = summarise(read_run(run.folder, tmp_path / "results"))
    (failure,) = summary.failures
    assert failure.reason.startswith(f"environments/{file.name}")
    assert len(summary.rows) == 2
    assert "B: Harness: commit bbbbbbbbbbbb" in render("markdown", summary)


def test_an_environment_is_told_from_another_by_what_lasts_and_not_by_the_load_of_the_moment(tmp_path, monkeypatch):
    run = new_run(tmp_path, "suite")
    (run.path / layout.PLAN).write_text("")
    first = provenance_now(run).environment
    now = provenance.captured(provenance.harness_root())
    busier = {**now, "cpu": {**now["cpu"], "load_1min": 99.0, "pressure": "some"}}
    monkeypatch.setattr(provenance, "captured", lambda _: busier)
    assert provenance_now(run).environment == first
    monkeypatch.setattr(provenance, "captured", lambda _: {**now, "packages": {"torch": "0.1"}})
    assert provenance_now(run).environment != first


def git(folder, *words):
    identity = ("-c", "user.name=A", "-c", "user.email=a@b.c")
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def test_code_that_is_in_no_commit_makes_a_tree_dirty_and_results_do_not(checkout):
    clean = git_state(checkout)
    assert (len(clean["commit"]), clean["dirty"]) == (40, False)
    (checkout / "results").mkdir()
    (checkout / "results" / "a.json").touch()
    assert git_state(checkout) == clean
    (checkout / "adapters" / "mine").mkdir(parents=True)
    (checkout / "adapters" / "mine" / "adapter.py").touch()
    assert git_state(checkout) == {**clean, "dirty": True}


def test_an_installation_inside_of_another_checkout_has_no_commit(checkout):
    installed = checkout / ".venv" / "lib" / "site-packages"
    (installed / "bench").mkdir(parents=True)
    (installed / "bench" / "__init__.py").touch()
    assert git_state(installed) == {"commit": None, "dirty": None}
