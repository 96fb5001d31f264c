"""Runs that are killed at random moments and at chosen ones: nothing is lost, nothing is left, nothing differs."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

from bench.records.store import layout
from bench.records.store.manifest import manifest_damage
from bench.records.store.runs import newest_run, read_run, runs
from tests.bench.run.processes import gone, start
from tests.bench.suites import SHAPES, perfect, write_suite
from tests.faults.tally import Tally, until

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


def scores(results: Path) -> dict[str, object]:
    """Case -> its scores, as far as they can be used."""
    return {case.case.id: case.scores and case.scores.scores for case in read_run(newest_run(results)).cases}


def workers_of(results: Path) -> list[int]:
    """Numbers of the processes that work in a results folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes()
        except OSError:
            continue
        if b"bench.run.worker.process" in words and str(results).encode() in words:
            found.append(int(entry.parent.name))
    return found


def campaign(tally: Tally, folder: Path, seconds: float, seed: int) -> None:
    """Kill runs until the time is over, and let each be finished after some kills."""
    chance = random.Random(seed)
    suite = write_suite(folder, MODELS, recipe=RECIPE, name="killed")
    undisturbed = folder / "undisturbed"
    start(suite, undisturbed, *FLAGS).communicate(timeout=300)
    expected, number, left = scores(undisturbed), 0, until(seconds)
    while left():
        number += 1
        results = folder / f"killed-{number}"
        kept: dict[Path, bytes] = {}
        for _ in range(chance.randint(2, 8)):
            if left():
                kind, failure, kept = _kill(suite, results, kept, chance)
                tally.add(kind, failure)
        code, said = _finished(start(suite, results, *FLAGS))
        held = runs(results) and scores(results) == expected and manifest_damage(newest_run(results)) is None
        tally.add(
            "finished after kills: same scores",
            None if code == 0 and held else f"exit code {code}, scores {held}: {said}",
        )


def _kill(suite: Path, results: Path, kept: dict[Path, bytes], chance: random.Random) -> tuple[str, str | None, dict]:
    at_event = chance.random() < 0.5
    process = start(suite, results, *FLAGS)
    if at_event:
        pattern = chance.choice(EVENTS)
        before, limit = _count(results, pattern), time.monotonic() + 6
        while _count(results, pattern) <= before and time.monotonic() < limit and process.poll() is None:
            time.sleep(0.0005)
    else:
        time.sleep(chance.uniform(0.05, 4.0))
    number = chance.choice(SIGNALS)
    children = workers_of(results)
    process.send_signal(number)
    _, said = _finished(process)
    name = f"{'event' if at_event else 'random'} {number.name}"
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


def _finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=300)
    return process.returncode, said
