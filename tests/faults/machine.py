"""Does to a run what a machine may: a full disk, a clock set back, a lock of another machine, two runs at once."""

from __future__ import annotations

import random
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

from bench.records.store import layout, runs
from bench.records.store.runs import LOCK, new_run, newest_run, read_run
from tests.bench.run.processes import start
from tests.bench.suites import perfect, write_suite
from tests.faults.damages import quiet
from tests.faults.tally import Budget, Tally


def campaign(tally: Tally, folder: Path, budget: Budget, seed: int) -> None:
    """Each of these in turn until the time is over."""
    chance, left, number = random.Random(seed), budget.left(tally), 0
    while left():
        number += 1
        own = folder / f"machine-{number}"
        own.mkdir()
        full_disk(tally, own, chance)
        for _ in range(20):
            set_back_clock(tally, own, chance)
        foreign_lock(tally, own)
        two_at_once(tally, own)


def full_disk(tally: Tally, folder: Path, chance: random.Random) -> None:
    """A results folder on a file system of some hundred kilobytes: one paragraph, and the next run goes on."""
    mount = folder / "disk"
    mount.mkdir()
    size = chance.randint(16, 400)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(mount)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        tally.left_out["full disk"] = "this user may not mount a file system"
        return
    try:
        suite = write_suite(folder, [perfect(), "fake/trains"], recipe={"budget": {"steps": 2}, "device": "cpu"})
        words = ["run", str(suite), "--results", str(mount), "--kind", "train", "--kind", "predict"]
        code, said = quiet(words)
        temporary = list(mount.rglob("*.tmp"))
        failure = None if code in (0, 1, 2) and not temporary else f"{size} kB: {code}, {temporary}: {said[-300:]}"
        tally.add("full disk", failure)
        subprocess.run(["mount", "-o", "remount,size=64m", str(mount)], check=True)
        code, said = quiet(words)
        tally.add("full disk, then room", None if code == 0 else f"{size} kB: {code}: {said[-300:]}")
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


def set_back_clock(tally: Tally, folder: Path, chance: random.Random) -> None:
    """Runs that are made at any time in any order: the newest is the one that was made last."""
    results = folder / "clock"
    shutil.rmtree(results, ignore_errors=True)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(chance.randrange(2**31), tz)

    real, runs.datetime = runs.datetime, Clock
    try:
        for _ in range(4):
            made = new_run(results, chance.choice(["one", "two"]))
            (made.path / layout.PLAN).write_text("{}")
            found = newest_run(results)
            tally.add("set-back clock", None if found.path == made.path else f"{found.path} for {made.path}")
    finally:
        runs.datetime = real


def foreign_lock(tally: Tally, folder: Path) -> None:
    """A lock that another machine holds is respected, and told."""
    suite, results = write_suite(folder, [perfect()]), folder / "foreign"
    words = ["run", str(suite), "--results", str(results), "--kind", "predict"]
    quiet(words)
    lock = newest_run(results).path / LOCK
    lock.write_text("elsewhere process 1 since 2026-01-01T00:00:00Z\n")
    code, said = quiet(words)
    tally.add("lock of another machine", None if code == 2 and "another machine" in said else f"{code}: {said}")
    lock.unlink()
    code, said = quiet(words)
    tally.add("lock of another machine, removed", None if code == 0 else f"{code}: {said}")


def two_at_once(tally: Tally, folder: Path) -> None:
    """Two runs of one suite at once: one does it, the other says so or finds it done."""
    suite, results = write_suite(folder, [perfect(), "fake/slow_5ms"]), folder / "two"
    quiet(["run", str(suite), "--results", str(results), "--kind", "train"])
    both = [start(suite, results, "--kind", "predict") for _ in range(2)]
    codes, said = [], []
    for process in both:
        said.append(process.communicate(timeout=300)[1])
        codes.append(process.returncode)
    scored = [case.scores is not None for case in read_run(newest_run(results)).cases]
    held = 0 in codes and set(codes) <= {0, 2} and all(scored) and len(runs.runs(results)) == 1
    tally.add("two runs at once", None if held else f"{codes}, scored {scored}: {said}")
