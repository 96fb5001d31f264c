"""Runs that are killed at random moments and at chosen ones: nothing is lost, nothing is left, nothing differs."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Protocol

from bench.cli.main import main
from bench.records.store import layout
from bench.records.store.manifest import manifest_damage
from bench.records.store.runs import newest_run, read_run, runs
from bench.run.orphans import RESULTS
from tests.bench.run.processes import gone, start
from tests.bench.suites import SHAPES, perfect, write_suite
from tests.faults.tally import Budget, Tally

MODELS = [
    perfect(),
    {"name": "fake/trains", "options": {"behaviour": "trains", "infer_ms": 5.0}},
    {"name": "fake/noisy", "options": {"dataset": SHAPES["options"]}},
]
RECIPE = {"budget": {"steps": 20}, "device": "cpu"}
FLAGS = ("--kind", "train", "--kind", "predict")
EVENTS = (f"jobs/*/{layout.JOB}", f"jobs/*/{layout.OUTCOME}", f"jobs/*/predictions/{layout.PREDICTION_INDEX}",
          layout.MANIFEST, layout.PLAN, "scores/*.json", "jobs/train-*/weights/*", "report.md")  # fmt: skip
"""A kill follows as soon as there is a file more of one of these."""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FRESH = 0.15
"""Share of the runs that are an interpreter of their own, killed during its imports too; others are forked."""


class Started(Protocol):
    """A `bench run` that was started."""

    returncode: int | None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""

    def communicate(self, *, timeout: float) -> tuple[object, str]:
        """Wait for its end, and return nothing and what it said on standard error."""


class Forked:
    """`bench run` in a fork of this process, which has imported everything: kills then come a second earlier."""

    def __init__(self, suite: Path, results: Path, said: Path) -> None:
        self.returncode: int | None = None
        self._said = said
        self._pid = os.fork()
        if self._pid == 0:
            os._exit(_bench(["run", str(suite), "--results", str(results), *FLAGS], said))

    def poll(self) -> int | None:
        if self.returncode is None and (ended := os.waitpid(self._pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(ended[1])
        return self.returncode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self._pid, sig)

    def communicate(self, *, timeout: float) -> tuple[object, str]:
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                os.kill(self._pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired("bench run", timeout)
            time.sleep(0.002)
        return None, self._said.read_text(encoding="utf-8", errors="replace")


def _bench(words: list[str], said: Path) -> int:
    """Be `bench` in this process."""
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        return main(words)
    except SystemExit as error:
        return int(error.code or 0)
    except KeyboardInterrupt:
        return 130
    except BaseException:
        traceback.print_exc()
        return 99
    finally:
        sys.stderr.flush()


def scores(results: Path) -> dict[str, object]:
    """Case -> its scores, as far as they can be used."""
    return {case.case.id: case.scores and case.scores.scores for case in read_run(newest_run(results)).cases}


def workers_of(results: Path) -> list[int]:
    """Numbers of the processes that work in a results folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            words = entry.read_bytes()
        except OSError:
            continue
        if f"{RESULTS}={results.resolve()}".encode() in words.split(b"\0"):
            found.append(int(entry.parent.name))
    return found


def campaign(tally: Tally, folder: Path, budget: Budget, seed: int) -> None:
    """Kill runs until the time is over, and let each be finished after some kills."""
    chance = random.Random(seed)
    suite = write_suite(folder, MODELS, recipe=RECIPE, name="killed")
    undisturbed = folder / "undisturbed"
    start(suite, undisturbed, *FLAGS).communicate(timeout=300)
    expected, number, left = scores(undisturbed), 0, budget.left(tally, "kill")
    while left():
        number += 1
        results = folder / f"killed-{number}"
        kept: dict[Path, bytes] = {}
        for _ in range(chance.randint(3, 10)):
            if left():
                kind, failure, kept = _kill(suite, results, kept, chance)
                tally.add(kind, failure)
        code, said = _finished(Forked(suite, results, folder / "said"))
        held = runs(results) and scores(results) == expected and manifest_damage(newest_run(results)) is None
        tally.add(
            "finished after kills: same scores",
            None if code == 0 and held else f"exit code {code}, scores {held}: {said}",
        )
        shutil.rmtree(results)


def _kill(suite: Path, results: Path, kept: dict[Path, bytes], chance: random.Random) -> tuple[str, str | None, dict]:
    at_event, fresh = chance.random() < 0.5, chance.random() < FRESH
    process: Started = start(suite, results, *FLAGS) if fresh else Forked(suite, results, results.parent / "said")
    if at_event:
        pattern = chance.choice(EVENTS)
        before, limit = _count(results, pattern), time.monotonic() + (6 if fresh else 4)
        while _count(results, pattern) <= before and time.monotonic() < limit and process.poll() is None:
            time.sleep(0.0005)
    else:
        time.sleep(chance.uniform(0.05, 4.0 if fresh else 2.0))
    number = chance.choice(SIGNALS)
    children = workers_of(results)
    process.send_signal(number)
    _, said = _finished(process)
    name = f"kill, {'event' if at_event else 'random'}, {number.name}"
    outcomes = {file: file.read_bytes() for file in results.glob(f"*/*/jobs/*/{layout.OUTCOME}")}
    lost = [file for file in kept if file not in outcomes]
    if "Traceback" in said and "bench/cli/main.py" in said:
        return name, f"traceback: {said[-300:]}", outcomes
    if lost:
        return name, f"lost {lost}", outcomes
    try:
        alive = [pid for pid in children if not gone(pid)]
        view = [case.damages for run in runs(results) for case in read_run(run).cases if case.damages]
    except Exception as error:
        return name, f"the run cannot be read: {type(error).__name__}: {error}", outcomes
    return name, f"left {alive}" if alive else f"damaged {view}" if view else None, outcomes


def _count(results: Path, pattern: str) -> int:
    return sum(1 for _ in results.glob(f"*/*/{pattern}"))


def _finished(process: Started) -> tuple[int, str]:
    _, said = process.communicate(timeout=300)
    return process.returncode if process.returncode is not None else -1, said
