"""Does to a run what a machine may: a full disk, a clock set back, a lock of another machine, two runs at once."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
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


RECIPE = {"budget": {"steps": 2}, "device": "cpu"}
PHASES = ("train", "predict", "score", "time", "report")
"""Each is tried on a disk that was filled behind the one before."""


def full_disk(tally: Tally, folder: Path, chance: random.Random) -> None:
    """A disk that is full in a phase of a run: one paragraph, nothing half-written, and with room the run goes on.

    The disk is a file system in memory where one may be mounted; and in any case files may not be larger than a limit.
    """
    phase = chance.choice(PHASES)
    mount = folder / "disk"
    mount.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(mount)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        tally.left_out["full disk"] = "this user may not mount a file system"
    else:
        try:
            _tried_full(tally, folder, mount, phase, lambda: _filled(mount, chance.randint(0, 60)))
        finally:
            subprocess.run(["umount", "-l", str(mount)], check=False)
    (folder / "limited").mkdir()
    _tried_full(tally, folder, folder / "limited", phase, lambda: _limited(chance.choice((0, 40, 400, 4000))))


def _tried_full(
    tally: Tally, folder: Path, results: Path, phase: str, full: Callable[[], contextlib.AbstractContextManager[str]]
) -> None:
    suite = write_suite(folder, [perfect(), "fake/trains"], recipe=RECIPE)
    words = ["--results", str(results)]
    run = ["run", str(suite), *words]
    steps = {
        "train": [*run, "--kind", "train"],
        "predict": [*run, "--kind", "predict"],
        "score": ["score", *words],
        "time": run,
        "report": ["report", *words],
    }
    for before in PHASES[: PHASES.index(phase)]:
        code, said = quiet(steps[before])
        if code:
            tally.add(f"full disk, {phase}", f"before it, {before}: {code}: {said[-300:]}")
            return
    if phase == "score":
        shutil.rmtree(newest_run(results).path / "scores")
    with full() as how:
        code, said = quiet(steps[phase])
    temporary = [path for path in results.rglob("*") if path.name.endswith((".tmp", ".part"))]
    held = code in (0, 1, 2) and not temporary and "Traceback" not in said
    tally.add(f"full disk, {phase}", None if held else f"{how}: {code}, {temporary}: {said[-300:]}")
    code, said = quiet(run)
    scored = code == 0 and all(case.scores is not None for case in read_run(newest_run(results)).cases)
    tally.add("full disk, then room", None if scored else f"{phase}, {how}: {code}: {said[-300:]}")


@contextlib.contextmanager
def _filled(mount: Path, left_kb: int) -> Iterator[str]:
    """Fill a disk up to some kilobytes."""
    filler = mount / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, max(0, filler.stat().st_size - 1024 * left_kb))
    try:
        yield f"{left_kb} kB left"
    finally:
        filler.unlink()


@contextlib.contextmanager
def _limited(size: int) -> Iterator[str]:
    """Let no process, of those that begin now, too, write a file of more bytes."""
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, kept[1]))
    try:
        yield f"files of {size} bytes at most"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)


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
