"""What a version measured that did not count the memory to a machine's identity is measured there still."""

from __future__ import annotations

import shutil

import pytest

from bench.cli.main import main
from bench.measure import devices
from bench.records.store.runs import newest_run, read_run
from bench.report.leaderboard import leaderboard
from tests.bench.suites import BRIEF, perfect, write_suite


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A suite, and results of it as such a version left them: the memory stands in the environment's record alone."""
    folder = tmp_path_factory.mktemp("before")
    suite = write_suite(folder, [perfect()], measurement={**BRIEF, "replicates": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "_memory", lambda: None)
        assert main(["run", str(suite), "--results", str(folder / "results")]) == 0
    run = newest_run(folder / "results")
    assert " GiB" not in "".join((job / "job.json").read_text() for job in run.jobs.iterdir())
    return suite, folder / "results"


def states(suite, results, capsys) -> str:
    capsys.readouterr()
    assert main(["check", str(suite), "--results", str(results)]) == 0
    return capsys.readouterr().out


def test_on_the_same_machine_nothing_is_stale_or_done_again(measured, capsys):
    suite, results = measured
    assert "2 jobs (2 done)" in states(suite, results, capsys)
    before = sorted(newest_run(results).jobs.iterdir())
    assert main(["run", str(suite), "--results", str(results)]) == 0
    assert "0 jobs done, 2 were done already" in capsys.readouterr().err
    assert sorted(newest_run(results).jobs.iterdir()) == before
    [case] = read_run(newest_run(results), results).cases
    assert [job.ok for job in case.times] == [True]


def test_on_a_machine_of_other_memory_the_timing_is_stale_and_says_why(measured, capsys, monkeypatch):
    monkeypatch.setattr(devices, "_memory", lambda: "3 GiB")
    said = states(*measured, capsys)
    assert "2 jobs (1 done, 1 stale)" in said
    assert "machine changed" in said


def test_it_stands_in_one_table_with_what_is_measured_now(measured, tmp_path):
    suite, results = measured[0], shutil.copytree(measured[1], tmp_path / "results")
    assert main(["run", str(suite), "--results", str(results), "--new"]) == 0
    [table] = leaderboard(results).tables
    assert [entry.runs for entry in table.entries] == [2]
    assert " GiB of memory" in table.conditions.machine
