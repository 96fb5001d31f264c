"""Carries out the jobs of trials: follows their trainings, and answers each of its validations with whether it goes on.

The training waits for the answer (`bench.run.worker.training_log`), so that it always ends at the validation that was
decided on, on a busy machine too. Nothing of this runs beside a measurement of time.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Container, Iterable
from pathlib import Path

from bench.measure.devices import Machine
from bench.records import Job
from bench.records.store import layout
from bench.records.store.files import write_atomically
from bench.records.store.training_log import read_training_log
from bench.run.executor import Ended, Event, Executor, Helpers, PythonOf, Started, Task

LOOK_EVERY_S = 0.05

Judge = Callable[[int, float | None], str | None]
"""Number of a validation, from 0, and its value -> why the training ends there, or None."""


class TrialExecutor:
    """Carries out the jobs of trials by another executor, which outlives it, and has their trainings judged.

    It was told of all trials before, so that a parent of workers that has imported pays.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._judges: dict[str, Judge] = {}
        self._followed: dict[str, PruningWatcher] = {}
        self._began: dict[str, float | None] = {}
        self._case_of: dict[str, str] = {}
        self._spent_s: dict[str, float] = {}
        self._most_here: float = math.inf

    @property
    def machine(self) -> Machine:
        """Return the machine that measures."""
        return self._executor.machine

    @property
    def is_here(self) -> bool:
        """Return whether jobs are carried out on the machine of the command."""
        return self._executor.is_here

    def jobs_of(self, case_ids: Container[str]) -> int:
        """Return how many jobs of some trials are in flight."""
        return sum(self._case_of[key] in case_ids for key in self._began)

    def seconds(self, case_id: str) -> float:
        """Return how long the jobs of a trial have run so far, without the time that they waited for a place."""
        now = time.monotonic()
        running = (now - began for key, began in self._began.items() if began and self._case_of[key] == case_id)
        return self._spent_s.get(case_id, 0.0) + sum(running)

    def judge(self, job: Job, judge: Judge) -> None:
        """Have a training judged that is going to be submitted."""
        self._judges[job.key] = judge

    def helpers(self) -> Helpers | None:
        """Return processes that do work of the command."""
        return self._executor.helpers()

    def expect(self, jobs: Iterable[Job], python_of: PythonOf | None = None) -> None:
        """Nothing more is prepared."""

    def at_once(self, job: Job) -> int:
        """Return how many jobs of this kind can be done at the same time."""
        return self._executor.at_once(job)

    def hungry(self) -> bool:
        """Return whether another job would begin soon: none is proposed while one waits, to learn as much as can be."""
        # Where predictions run beside each other, a trial's training would begin before another's result is known.
        here = not self.is_here or len(self._began) < self._most_here
        return here and all(self._began.values()) and self._executor.hungry()

    def submit(self, task: Task) -> None:
        """Do a job; a training finds that it is judged when it begins."""
        job = task.job
        if job.kind == "train" and (judge := self._judges.get(job.key)) is not None:
            task.folder.mkdir(parents=True, exist_ok=True)
            self._followed[job.key] = PruningWatcher(task.folder, judge)
        self._began[job.key], self._case_of[job.key] = None, job.case_id
        self._most_here = min(self._most_here, self.at_once(job))
        self._executor.submit(task)

    def wait(self) -> Event:
        """Return the next that happens."""
        event = self._executor.wait()
        if isinstance(event, Started):
            self._began[event.task.job.key] = time.monotonic()
        elif isinstance(event, Ended):
            job = event.task.job
            if (began := self._began.pop(job.key)) is not None:
                self._spent_s[job.case_id] = self._spent_s.get(job.case_id, 0.0) + time.monotonic() - began
            if job.key in self._followed:
                self._followed.pop(job.key).end()
        return event

    def cancel(self) -> None:
        """End the jobs in flight."""
        self._executor.cancel()

    def close(self) -> None:
        """Follow nothing any more, and end what is in flight; the executor stays for what comes after the search."""
        if self._began:
            self._executor.cancel()
        for one in self._followed.values():
            one.end()
        self._followed.clear()


class PruningWatcher:
    """Judges the validations of a training from another thread; what a checkpoint already knew is judged first."""

    def __init__(self, folder: Path, judge: Judge) -> None:
        """Begin, before the training does."""
        self._log, self._answers, self._judge = folder / layout.TRAINING_LOG, folder / layout.PRUNING, judge
        write_atomically(self._answers, json.dumps({"step": -1, "stop": None}))
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Judge nothing more."""
        self._done.set()
        self._thread.join()

    def _follow(self) -> None:
        size, seen = -1, 0
        while not self._done.wait(LOOK_EVERY_S):
            now = self._log.stat().st_size if self._log.is_file() else 0
            if now == size:
                continue
            size, course = now, read_training_log(self._log)
            if course is None or not course.validations:
                continue
            name, stop = course.validated_by, None
            for number, one in enumerate(course.validations):
                if number >= seen:
                    stop = stop or self._judge(number, one.values.get(name) if name is not None else None)
            seen = len(course.validations)
            answer = {"step": course.validations[-1].step, "stop": stop}
            write_atomically(self._answers, json.dumps(answer))
