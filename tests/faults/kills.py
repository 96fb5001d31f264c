"""Runs that are killed at random moments and at chosen ones: nothing is lost, nothing is left, nothing differs."""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.cli.main import main
from bench.records.names import harness_root
from bench.records.store import layout
from bench.records.store.manifest import manifest_damage
from bench.records.store.runs import newest_run, read_run, runs
from bench.report.draw import pictures
from bench.report.draw.pictures import Pictures
from bench.run.environments.record import captured
from tests.bench.run.processes import gone, start
from tests.bench.suites import perfect, write_suite
from tests.faults.damages import quiet
from tests.faults.preimported import start_workers_by_forks
from tests.faults.tally import Budget, Tally

MODELS = [perfect(), {"name": "fake/trains", "options": {"behaviour": "trains", "infer_ms": 5.0}}]
RECIPE = {"budget": {"steps": 20}, "device": "cpu"}
FLAGS = ("--kind", "train", "--kind", "predict")
EVENTS = (f"jobs/*/{layout.JOB}", f"jobs/*/{layout.OUTCOME}", f"jobs/*/predictions/{layout.PREDICTION_INDEX}",
          layout.MANIFEST, layout.PLAN, "scores/*.json", "jobs/train-*/weights/*", "report.md")  # fmt: skip
"""A kill follows as soon as there is a file more of one of these."""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
FRESH = 0.03
"""Share of the runs that are an interpreter of their own, killed during its imports too; others are forked."""
DRAWN = 0.05
"""Share of the forked runs whose report has pictures, which take longer than all else; others leave them out."""
OF_A_WORKER = 0.2
"""Share of the kills that hit a worker, or a parent of workers, and not `bench` itself."""
INTERRUPTIONS, TWICE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP), 0.3
"""Signals that mean an interruption, and the share of these that come twice, as from one who is impatient."""
EXPECTED_OF_A_WORKER = (2,)
"""Exit codes more: of an interpreter that was killed while it told what is installed in it."""


class Started(Protocol):
    """A `bench run` that was started."""

    returncode: int | None
    pid: int

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""

    def communicate(self, *, timeout: float) -> tuple[object, str]:
        """Wait for its end, and return nothing and what it said on standard error."""


class Forked:
    """`bench run` in a fork of this process, which has imported everything, as its workers are, too."""

    def __init__(self, suite: Path, results: Path, said: Path, modules: Path | None = None, drawn: bool = True) -> None:
        self.returncode: int | None = None
        self._said = said
        self.pid = os.fork()
        if self.pid == 0:
            code = 130
            try:
                code = _bench(["run", str(suite), "--results", str(results), *FLAGS], said, modules, drawn)
            finally:  # whatever comes, this process never goes on as the campaign
                os._exit(code)

    def poll(self) -> int | None:
        if self.returncode is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(ended[1])
        return self.returncode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def communicate(self, *, timeout: float) -> tuple[object, str]:
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("bench run", timeout)
            time.sleep(0.002)
        return None, self._said.read_text(encoding="utf-8", errors="replace") if self._said.exists() else ""


def _bench(words: list[str], said: Path, modules: Path | None, drawn: bool) -> int:
    """Be `bench` in this process; `modules` gets the names of what it has imported."""
    try:
        os.setsid()
        if not drawn:
            pictures.draw_pictures = lambda *_: Pictures((), ())  # type: ignore[attr-defined]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        start_workers_by_forks()
        sys.argv = ["bench", *words]
        code = main()
        if modules is not None:
            modules.write_text("\n".join(sys.modules))
        return code
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


def descendants(pid: int) -> list[int]:
    """Numbers of the processes below another one, its children first."""
    children: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            parent = int(file.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(file.parent.name))
    found = list(children.get(pid, ()))
    for one in found:
        found += children.get(one, ())
    return found


class Trial(NamedTuple):
    """What is killed, where, and how long a run takes that is not."""

    suite: Path
    results: Path
    whole_s: float
    chance: random.Random


def campaign(tally: Tally, folder: Path, budget: Budget, seed: int) -> None:
    """Kill runs until the time is over, and let each be finished after some kills."""
    chance = random.Random(seed)
    suite = write_suite(folder, MODELS, recipe=RECIPE, name="killed")
    undisturbed = folder / "undisturbed"
    start(suite, undisturbed, *FLAGS).communicate(timeout=300)
    expected, number, left = scores(undisturbed), 0, budget.left(tally, "kill")
    whole_s = _imported_and_timed(folder, suite)
    while left():
        number += 1
        trial = Trial(suite, folder / f"killed-{number}", whole_s, chance)
        kept: dict[Path, bytes] = {}
        for _ in range(chance.randint(5, 15)):
            if left():
                kind, failure, kept = _kill(trial, kept)
                tally.add(kind, failure)
        code, said = _finished(Forked(suite, trial.results, folder / "said", drawn=chance.random() < DRAWN))
        held = runs(trial.results) and scores(trial.results) == expected
        damage = manifest_damage(newest_run(trial.results)) if held else None
        tally.add(
            "finished after kills: same scores",
            None if code == 0 and held and damage is None else f"exit code {code}, scores {held}, {damage}: {said}",
        )
        shutil.rmtree(trial.results, ignore_errors=True)  # a run that was refused made none


def _imported_and_timed(folder: Path, suite: Path) -> float:
    """Import, here, what a run imports, read what it reads of the code, and return the seconds that one then takes."""
    modules = folder / "modules"
    _finished(Forked(suite, folder / "first", folder / "said", modules))
    names = [*modules.read_text().split(), "bench.run.fork_server", "bench.run.worker.work", "adapters.fake.adapter"]
    for name in dict.fromkeys(names):
        if name not in sys.modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    captured(harness_root())
    for words in (["check", str(suite)], ["score"]):
        quiet([*words, "--results", str(folder / "first")])
    began = time.monotonic()
    _finished(Forked(suite, folder / "second", folder / "said", drawn=False))
    whole_s = time.monotonic() - began
    print(f"kills: a run that is not killed takes {whole_s:.2f} s, without pictures", file=sys.stderr, flush=True)
    return whole_s


def _kill(trial: Trial, kept: dict[Path, bytes]) -> tuple[str, str | None, dict[Path, bytes]]:
    """Start a run, kill it or one of its workers, and look at what is left; returns kind, failure and outcomes."""
    chance, results = trial.chance, trial.results
    at_event, fresh, of_a_worker = chance.random() < 0.5, chance.random() < FRESH, chance.random() < OF_A_WORKER
    said_to = results.parent / "said"
    drawn = fresh or chance.random() < DRAWN
    process: Started = (
        start(trial.suite, results, *FLAGS) if fresh else Forked(trial.suite, results, said_to, None, drawn)
    )
    _wait_for_moment(process, trial, longest=trial.whole_s * (1 + drawn) + 3 * fresh, at_event=at_event)
    number = chance.choice(SIGNALS)
    children = descendants(process.pid)
    if of_a_worker and children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(children), number)
    else:
        process.send_signal(number)
    twice = number in INTERRUPTIONS and chance.random() < TWICE
    if twice:
        time.sleep(chance.uniform(0.0, 0.1))
        process.send_signal(number)
    code, said = _finished(process)
    whom = " of a worker" if of_a_worker and children else ""
    name = f"kill{whom}, {'event' if at_event else 'random'}, {number.name}{' twice' if twice else ''}"
    outcomes = {file: file.read_bytes() for file in results.glob(f"*/*/jobs/*/{layout.OUTCOME}")}
    return name, _failure(results, code, said, kept, outcomes, children, of_a_worker=bool(whom)), outcomes


def _wait_for_moment(process: Started, trial: Trial, *, longest: float, at_event: bool) -> None:
    if not at_event:
        time.sleep(trial.chance.uniform(0.0, longest))
        return
    pattern = trial.chance.choice(EVENTS)
    before, limit = _count(trial.results, pattern), time.monotonic() + 2 * longest
    while _count(trial.results, pattern) <= before and time.monotonic() < limit and process.poll() is None:
        time.sleep(0.003)


def _failure(
    results: Path,
    code: int,
    said: str,
    kept: dict[Path, bytes],
    outcomes: dict[Path, bytes],
    children: list[int],
    *,
    of_a_worker: bool,
) -> str | None:
    """What is wrong after a kill; None if nothing is."""
    if "Traceback" in said and "bench/cli/main.py" in said:
        return f"traceback: {said[-300:]}"
    if code > 0 and code not in (0, 1, 130, *EXPECTED_OF_A_WORKER * of_a_worker):
        return f"exit code {code}: {said[-300:]}"
    superseded = [file.parent.name.rpartition(".")[0] for file in results.glob(f"*/*/superseded/*/{layout.OUTCOME}")]
    if lost := [file for file in kept if file not in outcomes and file.parent.name not in superseded]:
        return f"lost {lost}"
    try:
        alive = [pid for pid in children if not gone(pid)]
        view = [case.damages for run in runs(results) for case in read_run(run).cases if case.damages]
    except Exception as error:
        return f"the run cannot be read: {type(error).__name__}: {error}"
    return f"left {alive}" if alive else f"damaged {view}" if view else None


def _count(results: Path, pattern: str) -> int:
    return sum(1 for _ in results.glob(f"*/*/{pattern}"))


def _finished(process: Started) -> tuple[int, str]:
    for _ in range(2):  # the campaign itself may have been stopped meanwhile
        with contextlib.suppress(subprocess.TimeoutExpired):
            _, said = process.communicate(timeout=300)
            return process.returncode if process.returncode is not None else -1, said
    os.kill(process.pid, signal.SIGKILL)
    return 99, "it still runs after ten minutes"
