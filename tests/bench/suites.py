"""Small suites of fakes, and running them: what the tests of runner, worker and command line share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from bench.records import Job, JobKind, Outcome
from bench.records.store.layout import RunFolder
from bench.records.store.runs import read_job
from bench.run.console import RunConsole
from bench.run.environments.interpreters import Interpreters
from bench.run.executor import Executor
from bench.run.executors.local import LocalExecutor
from bench.run.planning.prepare import prepare
from bench.run.runner import Runner, Summary, wanted_jobs
from bench.run.session import run_cases
from bench.run.workers import FreshInterpreters, Workers
from bench.suite.jobs import CasePlan

SHAPES = {"name": "shapes", "options": {"preset": "easy", "size": [32, 32], "train": 4, "val": 2, "test": 4}}
BRIEF = {
    "quick": True,
    "warmup_min_s_cpu": 0.0,
    "warmup_min_iterations": 4,
    "warmup_window": 2,
    "warmup_tolerance": 10.0,
    "min_s": 0.0,
    "min_samples": 12,
    "percentiles": [50.0],
    "median_half_width": 10.0,
    "max_s": 0.5,
    "block_s": 0.05,
    "pipelined_s": 0.0,
}


def perfect(**more: Any) -> dict[str, Any]:
    """The fake that knows the ground truth of `SHAPES`."""
    return {"name": "fake/perfect", "options": {"dataset": SHAPES["options"]}, **more}


def write_suite(folder: Path, models: list[Any], name: str = "suite", **changes: Any) -> Path:
    """Write a suite of these models on four tiny images, with brief timing."""
    suite = {
        "models": models,
        "datasets": [SHAPES],
        "targets": [{"device": "cpu", "threads": 1}],
        "metrics": ["mean_iou", "pixel_accuracy"],
        "measurement": BRIEF,
        **changes,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    return path


class Listener(RunConsole):
    """Keeps what a run said instead of showing it."""

    def __init__(self) -> None:
        super().__init__(_console(), 0)
        self.ends: list[tuple[Job, Outcome]] = []
        self.notes: list[str] = []

    def ended(self, job: Job, outcome: Outcome) -> None:
        self.ends.append((job, outcome))

    def note(self, line: str) -> None:
        self.notes.append(line)


def _console() -> Any:
    import io

    from rich.console import Console

    return Console(file=io.StringIO())


class Ran:
    """What a run came to."""

    def __init__(self, summary: Summary, listener: Listener, scored: list[str]) -> None:
        self.summary, self.listener, self.scored = summary, listener, scored

    @property
    def did(self) -> list[tuple[JobKind, str]]:
        """(kind, model label) of each job that was carried out, in order."""
        return [(job.kind, job.model.label) for job, _ in self.listener.ends]

    def outcome(self, kind: JobKind, label: str) -> Outcome:
        return next(o for job, o in self.listener.ends if (job.kind, job.model.label) == (kind, label))


def run_suite(
    suite: Path,
    run: RunFolder,
    results: Path,
    *,
    only: str | None = None,
    kinds: tuple[JobKind, ...] = (),
    score: Callable[[CasePlan, Path], None] | None = None,
    interpreters: Interpreters | None = None,
    workers: Workers | None = None,
    executor: Executor | None = None,
) -> Ran:
    """Carry out a suite in a run folder, in real workers, without scoring or reports."""
    listener, scores = Listener(), Scores(score)
    executor = executor or LocalExecutor(lambda _: workers or FreshInterpreters())
    prepared = prepare(suite, interpreters or Interpreters(), executor.machine)
    wanted = wanted_jobs(only, kinds, prepared.cases)
    runner = Runner(prepared.cases, prepared.interpreters, run, results, lambda _: listener, wanted, executor)
    return Ran(run_cases(runner, scores), listener, scores.scored)


class Scores:
    """Records nothing of a run but which cases were to be scored."""

    def __init__(self, score: Callable[[CasePlan, Path], None] | None) -> None:
        self._score = score
        self.scored: list[str] = []

    def write_plan(self) -> None:
        pass

    def score(self, case: CasePlan, predictions: Path) -> None:
        self.scored.append(case.case.model.label)
        if self._score is not None:
            self._score(case, predictions)

    def log(self, case: CasePlan) -> None:
        pass

    def report(self) -> None:
        pass


def job_folders(run: RunFolder, kind: JobKind) -> list[Path]:
    """Folders of all jobs of a kind that are written, by name."""
    return sorted(folder for folder in run.jobs.glob(f"{kind}-*") if read_job(folder) is not None)
