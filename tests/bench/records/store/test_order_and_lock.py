"""The newest run is the newest whatever the clock says, and a run that another machine holds is left alone."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

import pytest

from bench.errors import StoreError
from bench.records.store import layout, runs
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import manifest_damage, record_facts
from bench.records.store.runs import LOCK, locked, new_run, newest_run


def made(results, suite="suite") -> RunFolder:
    run = new_run(results, suite)
    (run.path / layout.PLAN).write_text("{}")
    return run


@pytest.fixture
def clock(monkeypatch):
    """Sets the time of day."""

    def set_to(text: str) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.fromisoformat(text).replace(tzinfo=tz)

        monkeypatch.setattr(runs, "datetime", Clock)

    return set_to


def test_a_run_under_a_clock_that_was_set_back_is_still_the_newest(tmp_path, clock):
    clock("2026-05-05T10:00:00")
    first = made(tmp_path)
    for back in ("2026-05-05T09:00:00", "1970-01-01T00:00:00"):
        clock(back)
        latest = made(tmp_path)
        assert newest_run(tmp_path, "suite").path == latest.path
    other = made(tmp_path, "other")
    assert newest_run(tmp_path).path == other.path
    clock("2026-05-05T10:00:01")
    assert newest_run(tmp_path, "suite").path != first.path
    assert made(tmp_path).name == "2026-05-05T10-00-01"


def test_of_many_runs_in_one_second_the_last_is_the_newest(tmp_path, clock):
    clock("2026-05-05T10:00:00")
    names = [made(tmp_path).name for _ in range(12)]
    assert len(set(names)) == 12
    assert newest_run(tmp_path, "suite").name == names[-1]


def test_a_lock_that_another_machine_did_not_let_go_of_is_told_and_can_be_removed(tmp_path):
    run = made(tmp_path)
    (run.path / LOCK).write_text("elsewhere process 7 since 2026-01-01T00:00:00Z\n")
    with pytest.raises(StoreError, match=r"another machine.*elsewhere process 7.*remove the file"), locked(run):
        pass
    (run.path / LOCK).unlink()
    with locked(run):
        assert "process" in (run.path / LOCK).read_text()
    assert (run.path / LOCK).read_text() == ""


def test_a_lock_of_this_machine_whose_bench_was_killed_is_taken_over(tmp_path):
    run = made(tmp_path)
    (run.path / LOCK).write_text(f"{runs._host()} process 7 since 2026-01-01T00:00:00Z\n")
    with locked(run):
        pass


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_manifest_whose_end_was_taken_away_is_told_also_when_it_goes_on(tmp_path, kept):
    run = made(tmp_path)
    for name in "abcd":
        (run.path / name).write_text(name)
        record_facts(run, [run.path / name])
    assert manifest_damage(run) is None
    lines = run.manifest.read_text().splitlines(keepends=True)
    run.manifest.write_text("".join(lines[:kept]))
    assert f"{4 - kept} of its 4 lines are missing" in manifest_damage(run)
    record_facts(run, [run.path / "a"])
    assert manifest_damage(run) is not None


def test_a_manifest_that_was_written_further_than_its_head_before_a_kill_is_whole(tmp_path):
    run = made(tmp_path)
    (run.path / "a").write_text("a")
    record_facts(run, [run.path / "a"])
    head = run.manifest_head.read_bytes()
    record_facts(run, [run.path / "a"])
    run.manifest_head.write_bytes(head)
    assert manifest_damage(run) is None
    assert json.loads(head)["lines"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_results_where_no_folder_can_be_made_are_told():
    with pytest.raises(StoreError, match=r"no folder can be made at /proc/none/suite/.*; give another folder"):
        new_run(Path("/proc/none"), "suite")
