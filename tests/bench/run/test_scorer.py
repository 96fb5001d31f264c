"""Cases scored here and by helpers: the same scores, whoever computes them and whatever becomes of a helper."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bench.cli.main import main
from bench.records import Status
from bench.records.store import layout
from bench.records.store.manifest import manifest_damage
from bench.records.store.runs import newest_run, read_plan, read_run
from bench.run import scorer
from bench.run.helpers import end_processes, processes_of_this_machine
from bench.run.scorer import Scorer
from bench.score.runs import scoring_of
from tests.bench.run.executors.test_local import slow
from tests.bench.suites import write_suite

CASES = 3


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A run of three scored cases."""
    folder = tmp_path_factory.mktemp("scored")
    suite = write_suite(folder, [slow(number, infer_ms=1.0) for number in range(CASES)])
    assert main(["run", str(suite), "--results", str(folder / "results"), "--kind", "predict"]) == 0
    return folder / "results"


class Elsewhere:
    """Stands for a cluster: jobs are done on other machines, and helpers are those it is given."""

    is_here = False

    def __init__(self, helpers) -> None:
        self._helpers = helpers

    def helpers(self):
        return self._helpers


class Lost(Executor):
    """Helpers that are killed whatever they are asked for."""

    def submit(self, *_, **__):
        future = Future()
        future.set_exception(BrokenExecutor("a process was terminated abruptly"))
        return future


def scored_again(results, helpers, *, pays_s: float, monkeypatch):
    """Score all cases of the run again; returns the view, what was told, and what each case ended with."""
    monkeypatch.setattr(scorer, "PAYS_S", pays_s)
    run, told, ended = newest_run(results), [], {}
    plan = read_plan(run)
    work = Scorer(Elsewhere(helpers), CASES, told.append)
    for view in read_run(run, results).cases:
        scoring = scoring_of(run, plan, plan.by_id[view.case.id], view.predict.folder / layout.PREDICTIONS, again=True)
        work.add(scoring, lambda error, name=view.case.id: ended.update({name: error}))
        work.collect()
    work.drain()
    work.close()
    return read_run(run, results), told, ended


def facts_of(view):
    """What may not depend on who computed it."""
    return {
        case.case.id: (case.scores.scores, dict(np.load(case.statistics, allow_pickle=False)))
        for case in view.cases
        if case.scores is not None
    }


def assert_same(found, before):
    assert [*found] == [*before]
    for name, (scores, arrays) in found.items():
        assert scores == before[name][0]
        for array, values in arrays.items():
            np.testing.assert_array_equal(values, before[name][1][array])


@pytest.mark.slow
def test_processes_score_what_this_one_does_bit_for_bit(results, monkeypatch):
    before = facts_of(read_run(newest_run(results), results))
    helpers = processes_of_this_machine()
    if helpers is None:
        pytest.skip("one core, or too little memory for a second process")
    view, told, ended = scored_again(results, helpers, pays_s=0.0, monkeypatch=monkeypatch)
    assert told == ["further cases are scored several at once"]
    assert ended == dict.fromkeys((case.case.id for case in view.cases), None)
    assert_same(facts_of(view), before)
    assert manifest_damage(newest_run(results)) is None
    assert not [*view.damages, *(damage for case in view.cases for damage in case.damages)]


def test_no_helper_is_started_for_what_takes_moments(results, monkeypatch):
    _, told, ended = scored_again(results, Lost(), pays_s=60.0, monkeypatch=monkeypatch)
    assert told == []
    assert len(ended) == CASES


def test_what_a_lost_helper_was_asked_for_is_scored_here(results, monkeypatch):
    before = facts_of(read_run(newest_run(results), results))
    view, told, ended = scored_again(results, Lost(), pays_s=0.0, monkeypatch=monkeypatch)
    assert "is scored here, because a helper was lost" in told[1]
    assert ended == dict.fromkeys((case.case.id for case in view.cases), None)
    assert_same(facts_of(view), before)


class Listening(Lost):
    """Keeps what it is asked for before it is killed."""

    def __init__(self) -> None:
        self.asked = []

    def submit(self, *words, **named):
        self.asked.append(words[1])
        return super().submit(*words, **named)


def test_helpers_are_told_paths_that_hold_in_any_folder(results, monkeypatch):
    monkeypatch.chdir(results.parent)
    helpers = Listening()
    scored_again(Path(results.name), helpers, pays_s=0.0, monkeypatch=monkeypatch)
    (first, *_) = helpers.asked
    assert first.predictions.is_absolute()
    assert first.run.path.is_absolute()


def test_a_helper_that_finds_a_damaged_prediction_says_so_and_the_others_are_scored(results, monkeypatch):
    run = newest_run(results)
    hurt = read_run(run, results).cases[-1]
    image = next((hurt.predict.folder / layout.PREDICTIONS).glob("*.png"))
    content = image.read_bytes()
    image.write_bytes(content[:-20])
    try:
        with ThreadPoolExecutor(1) as helpers:
            view, _, ended = scored_again(results, helpers, pays_s=0.0, monkeypatch=monkeypatch)
        assert image.stem in str(ended.pop(hurt.case.id))
        assert [*ended.values()] == [None] * (CASES - 1)
        assert view.cases[-1].predict.outcome.status is Status.OK
        assert image.stem in view.cases[-1].predict.damage
    finally:
        image.write_bytes(content)
        (hurt.predict.folder / layout.DAMAGED).unlink()


def test_helpers_do_not_run_the_script_that_started_them(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from bench.run.helpers import end_processes, processes_of_this_machine\n"
        "print('begun')\n"
        "pool = processes_of_this_machine()\n"
        "print('none' if pool is None else pool.submit(os.getppid).result() == os.getpid())\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() in (["begun", "True"], ["begun", "none"])
    assert done.stderr == ""


def test_the_end_of_helpers_leaves_other_processes_of_the_caller_alone():
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    other.start()
    try:
        end_processes()
        assert other.exitcode is None
        other.join(0.5)
        assert other.is_alive()
    finally:
        other.terminate()
        other.join()
