"""Trials of a search that are carried out at the same time, on two parts of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.measure.devices import allowed_cores
from bench.records.store import layout
from bench.records.store.runs import newest_run
from bench.records.store.studies import TrialView, read_studies
from tests.bench.run.processes import wait_for
from tests.bench.run.tuning.studies import MODEL, searched_suite, study_of
from tests.bench.suites import SHAPES

pytest.importorskip("optuna", reason="needs optuna: pip install 'segbench[tune]'")

CORES = allowed_cores()
TWO = ("--executor", "local", "--devices", f"cpu:{CORES[0]},cpu:{CORES[-1]}")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")]


def run(suite: Path, results: Path, *flags: str) -> int:
    return main(["run", str(suite), "--results", str(results), *flags])


MEETING = '''
"""Scenes whose validation images two workers read at the same time, or none."""

import os
import time
from pathlib import Path

from bench.datasets.shapes import LICENCE, OBTAIN, SOURCE, TASKS, Options as _Options, Shapes

class Options(_Options):
    door: str = ""
    parent: int = 0

def open_dataset(options):
    return Meeting(options)

class Meeting(Shapes):
    def image(self, image_id):
        door, end = Path(self._options.door), time.monotonic() + 60
        if "-val-" in image_id and os.getpid() != self._options.parent:
            (door / str(os.getpid())).touch()
            while len(list(door.iterdir())) < 2:
                if time.monotonic() > end:
                    raise RuntimeError("no other came")
                time.sleep(0.01)
        return super().image(image_id)
'''


def test_two_trials_are_under_way_at_the_same_time(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_WRITABLE", str(tmp_path / "door"))
    (tmp_path / "modules").mkdir()
    (tmp_path / "door").mkdir()
    (tmp_path / "modules" / "meeting.py").write_text(MEETING)
    options = {**SHAPES["options"], "door": str(tmp_path / "door"), "parent": os.getpid()}
    suite = searched_suite(
        tmp_path, model={"name": "fake/trains"}, dataset={"name": "meeting", "options": options}, trials=2
    )
    flags = ("--case", "*seed 1", "--datasets", str(tmp_path / "modules"), *TWO)
    assert run(suite, tmp_path / "results", *flags) == 0
    view = study_of(tmp_path / "results")
    assert [one.state for one in view.trials] == ["complete", "complete"]
    assert [one.trial.in_flight for one in view.trials] == [(), (0,)]
    report = (newest_run(tmp_path / "results").path / layout.REPORT).read_text()
    assert "1 of the 2 trials were proposed while others were under way" in report


def test_searches_of_one_trial_at_a_time_go_on_beside_each_other_and_try_what_each_would_alone(tmp_path):
    other = {**MODEL, "label": "other", "options": {**MODEL["options"], "diverges_above": 0.4}}
    suite = searched_suite(tmp_path, more=[other], trials=2, at_once=1)
    assert run(suite, tmp_path / "results", "--case", "*seed 1", *TWO) == 0
    views = read_studies(newest_run(tmp_path / "results"))
    assert len(views) == 2
    begun = [min(span(tmp_path / "results", one)[0] for one in view.trials) for view in views]
    ended = [max(span(tmp_path / "results", one)[1] for one in view.trials) for view in views]
    assert max(begun) < min(ended)
    assert {one.trial.in_flight for view in views for one in view.trials} == {()}
    assert [one.trial.params for one in views[0].trials] == [one.trial.params for one in views[1].trials]


def span(results: Path, view: TrialView) -> tuple[float, float]:
    """When the training of a trial began and ended."""
    [folder] = newest_run(results).jobs.glob(f"train-*-{view.trial.planned.train_key[:12]}")
    return (folder / layout.JOB).stat().st_mtime, (folder / layout.OUTCOME).stat().st_mtime


def test_no_trial_begins_once_those_under_way_have_spent_the_hours(tmp_path):
    suite = searched_suite(tmp_path, trials=None, hours=1e-12)
    assert run(suite, tmp_path / "results", "--case", "*seed 1", *TWO) == 0
    view = study_of(tmp_path / "results")
    assert len(view.trials) == 1
    assert "hours are spent" in view.study.ended


def test_a_kill_costs_the_trials_under_way_and_no_other(tmp_path):
    slow = {"name": "fake/learns", "options": {**MODEL["options"], "infer_ms": 60.0}}
    suite, results = searched_suite(tmp_path, model=slow, trials=4), tmp_path / "results"
    flags = ("--case", "*seed 1", *TWO)
    words = [sys.executable, "-m", "bench.cli.main", "run", str(suite), "--results", str(results), *flags]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)

    def ended() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in results.glob(f"*/*/jobs/*/{layout.OUTCOME}")}

    def two_are_under_way_and_some_are_over() -> bool:
        over = {file.parent for file in ended()}
        return bool(over) and len({file.parent for file in results.glob(f"*/*/jobs/*/{layout.JOB}")} - over) == 2

    try:
        wait_for(two_are_under_way_and_some_are_over, patience_s=120)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before, [begun] = ended(), read_studies(newest_run(results))
    assert begun.trials
    assert run(suite, results, *flags) == 0
    after, view = ended(), study_of(results)
    assert {file: after[file] for file in before} == before
    assert [one.trial for one in view.trials][: len(begun.trials)] == [one.trial for one in begun.trials]
    assert len(view.trials) == 4
    assert view.count("unfinished") == 0
    assert len({file.parent.name for file in after if file.parent.name.startswith("train-")}) == 4 + 1
