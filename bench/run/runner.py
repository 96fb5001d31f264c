"""Run the jobs of a plan that are not done, so that none is lost and none is run twice.

In which order they are asked for stands in `session.py`, where they are carried out behind `executor.py`. A job that
fails is a row of the report and never stops the suite. Only Ctrl-C does, and the next run resumes there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.errors import BenchError
from bench.measure.phases import PHASES, Covered, during
from bench.records import Job, JobKind, Outcome, Status
from bench.records.store import layout
from bench.records.store.job_folders import JobFolders
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import withdraw_facts
from bench.records.store.runs import set_aside
from bench.records.store.selection import named_cases
from bench.records.store.views import JobView
from bench.run.console import RunConsole
from bench.run.environments.interpreters import Interpreters
from bench.run.executor import Ended, Executor, Notice, Started, Task
from bench.run.expected import Expectation
from bench.run.orphans import end_orphans, results_of
from bench.run.planning.code_keys import refuse_changed_code
from bench.run.scorer import Scorer
from bench.run.settling import WROTE_ELSEWHERE, Settling
from bench.run.state import JobState, job_state
from bench.score.runs import Scoring
from bench.suite.jobs import CasePlan

Wanted = Callable[[Job], bool]

Steps = Generator[Task | str, None, bool]
"""Steps of a case, one job after the other: yields a job to be carried out, or the key of one that somebody else
has asked for, and goes on when it has ended. Returns whether there is nothing against going on.
"""

AGAIN_ALONE = (Status.OOM_HOST, Status.TIMEOUT)
"""Ends of jobs that ran beside others and may end otherwise alone."""
MOST_TRIES = 3
"""Number of nodes that a job may lose before it has failed."""


@dataclass(frozen=True)
class Summary:
    """Hold what a run came to.

    Attributes:
        done: Jobs that were carried out now.
        skipped: Jobs that were asked for and done already.
        failed: Cases of which a job that was asked for did not end well (`unsupported` is not a failure).
        counted_s: Folder of each job that ran beside others -> seconds of it in which no job that ended before it ran.
    """

    done: int
    skipped: int
    failed: tuple[str, ...]
    counted_s: dict[str, float] = field(default_factory=dict)


class Runner:
    """Carries out one plan in one run folder."""

    def __init__(
        self,
        cases: Sequence[CasePlan],
        interpreters: Interpreters,
        run: RunFolder,
        results: Path,
        console_for: Callable[[int], RunConsole],
        wanted: Wanted,
        executor: Executor,
    ) -> None:
        """Take a plan; nothing runs before one of its jobs is asked for.

        Args:
            cases: The plans, in the order in which they run.
            interpreters: Pythons that run the adapters.
            run: Folder of the run, which gets its jobs' files.
            results: Folder in which finished trainings of other runs are looked for.
            console_for: Makes the console, given the number of jobs to do.
            wanted: Jobs to do; the others are left as they are.
            executor: Carries the jobs out.

        Raises:
            BenchError: If the executor has no place for one of them.
        """
        self.cases, self._interpreters = tuple(cases), interpreters
        self._run = run
        self._results = results
        self._wanted = wanted
        self._folders = JobFolders(run)
        self._done: dict[str, JobState] = {}
        self._plan_of = {plan.case.id: plan for plan in cases}
        jobs = [job for plan in cases for job in plan.jobs]
        asked = {job.key: job for job in jobs if wanted(job)}
        pending = [job for job in asked.values() if self._state(job).name != "done"]
        self._executor = executor
        self._executor.expect(pending, interpreters.python)
        self._pending = pending
        self._console = console_for(len(pending))
        self._settling = Settling(run)
        self._scorer = Scorer(executor, len(cases), self._console.note)
        self._skipped = len(asked) - len(pending)
        self._carried_out = 0
        self._failed: dict[str, None] = {}
        self._tried: dict[str, int] = {}
        self._in_flight: dict[str, list[Steps]] = {}
        self._covered = Covered()
        self._counted_s: dict[str, float] = {}

    def __enter__(self) -> Runner:
        """Say how long what is ahead will take; nothing runs yet, and nothing of an earlier run does any more."""
        if orphans := end_orphans(results_of(self._run.jobs / "any")):
            self._console.note(f"ended {len(orphans)} processes that an earlier bench left behind when it was killed")
        self._settling.begin()
        self._console.expect(Expectation(self._pending, self._results, self._executor.at_once))
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process behind."""
        self._console.close()
        self._scorer.close()
        self._executor.close()

    def carry_out(self, work: Iterable[Steps]) -> None:
        """Do some work in its order, and as much of it at once as the executor has places for.

        Raises:
            KeyboardInterrupt: After the jobs in flight have been ended.
        """
        coming = iter(work)
        while True:
            while self._executor.hungry() and (steps := next(coming, None)) is not None:
                self._go_on(steps)
                self._scorer.collect()
            if not self._in_flight:
                self._scorer.drain()
                return
            self._take_note()
            self._scorer.collect()

    def train(self, plan: CasePlan) -> Steps:
        """Train a case that has a recipe; returns whether there is nothing against going on with it."""
        return (yield from self._needed(plan.train, plan))

    def export(self, plan: CasePlan) -> Steps:
        """Export a case whose runtime runs an exported model; returns whether there is nothing against going on."""
        return (yield from self._needed(plan.export, plan))

    def _needed(self, job: Job | None, plan: CasePlan) -> Steps:
        if job is None:
            return True
        view = yield from self._ensure(job, plan)
        if view is not None and view.ok:
            return True
        self._tell_if_blocked(plan.predict, job)
        return False

    def predict(self, plan: CasePlan) -> Steps:
        """Predict a case's test images; returns whether its predictions are there."""
        view = yield from self._ensure(plan.predict, plan)
        return view is not None and view.ok

    def score(
        self, plan: CasePlan, score: Callable[[CasePlan, Path], Scoring | None], log: Callable[[CasePlan], None]
    ) -> None:
        """Score a predicted case and log it; one that cannot be scored has failed, and the next one is tried.

        `score` returns what is to be computed of it, None where its scores are there; `log` copies it to the trackers.
        """
        predicted = self._state(plan.predict).view
        assert predicted is not None

        def then(error: BenchError | None) -> None:
            if error is None:
                log(plan)
                return
            self._done.pop(plan.predict.key, None)  # it may be marked as damaged now
            self._failed[plan.case.id] = None
            self._console.note(f"{plan.case.id} could not be scored: {error}")

        try:
            scoring = score(plan, predicted.folder / layout.PREDICTIONS)
        except BenchError as error:
            then(error)
            return
        if scoring is None:
            then(None)
        else:
            self._scorer.add(scoring, then)

    def finish_scores(self) -> None:
        """Have every case scored that was predicted."""
        self._scorer.drain()

    def measure(self, job: Job) -> Steps:
        """Time or profile a case, or put it under load, provided that its predictions are there."""
        plan = self._plan_of[job.case_id]
        predicted = self._state(plan.predict).view
        if predicted is not None and predicted.ok:
            yield from self._ensure(job, plan)
        elif job.replicate == 0:
            self._tell_if_blocked(job, plan.predict)
        return True

    def summary(self) -> Summary:
        """Return what the run came to so far."""
        return Summary(self._carried_out, self._skipped, tuple(self._failed), self._counted_s)

    def _tell_if_blocked(self, job: Job, needed: Job) -> None:
        """Say that a job was asked for without the one it needs, which is not done."""
        blocked = self._wanted(job) and not self._wanted(needed) and self._state(needed).name != "done"
        if blocked and self._state(job).name != "done":
            self._failed[job.case_id] = None
            self._console.note(
                f"{job.case_id}: {job.kind} needs the {needed.kind} job, which is not done; leave out --kind, or add "
                f"--kind {needed.kind}"
            )

    def _ensure(self, job: Job, plan: CasePlan) -> Generator[Task | str, None, JobView | None]:
        """Return the job's folder, having it carried out first if it is wanted and not done."""
        if job.key in self._in_flight:
            yield job.key
        state = self._state(job)
        if state.name != "done" and self._wanted(job) and job.key not in self._tried:
            # Cases may share a training; one that fails is not tried again for each of them.
            yield self._task(job, plan, state)
            state = self._state(job)
        if self._wanted(job) and state.name != "done":
            self._failed[plan.case.id] = None
        return state.view

    def _task(self, job: Job, plan: CasePlan, state: JobState) -> Task:
        weights = plan.case.model.weights if job.kind == "train" else self._weights(plan, job)
        refuse_changed_code(job)
        folder = self._run.job(job.kind, job.case_id, job.replicate, job.key)
        if state.name == "failed" and state.view is not None:
            set_aside(state.view.folder)
        elif state.name == "interrupted" and state.view is not None:
            # A training goes on from its checkpoint, in the folder of whichever case began it; half a set of
            # predictions or samples is worth nothing.
            if job.kind == "train":
                folder = state.view.folder
            else:
                shutil.rmtree(state.view.folder)
        elif state.view is None and folder.exists():
            set_aside(folder)  # its job.json cannot be read; what else lies there may be of any job
        withdraw_facts(self._run, folder)
        self._folders.add(folder)
        complete = job.model_copy(update={"weights": weights, "weights_sha256": self._weights_sha256(plan, job)})
        python = self._interpreters.python(job.model.adapter)
        return Task(complete, folder.resolve(), python, plan.case.timeouts.of(job.kind))

    def _go_on(self, steps: Steps) -> None:
        """Do what comes next in some steps, until that is a job, which is then in flight."""
        asked = next(steps, None)
        if isinstance(asked, str):
            self._in_flight[asked].append(steps)
        elif asked is not None:
            self._tried[asked.job.key] = 1
            self._in_flight[asked.job.key] = [steps]
            if self._executor.is_here:
                self._scorer.drain()
            self._executor.submit(asked)

    def _take_note(self) -> None:
        """Wait for the next that happens, and let those go on that have waited for it."""
        with during("start"):
            event = self._executor.wait()
        if isinstance(event, Notice):
            self._console.note(event.line)
        elif isinstance(event, Started):
            self._console.started(event.task.job, event.task.folder, event.place)
        elif event.end is None and self._tried[event.task.job.key] < MOST_TRIES:
            self._try_elsewhere(event)
        else:
            outcome = self._settling.settled(event)
            self._count_seconds(event, outcome)
            if event.beside and outcome.status in AGAIN_ALONE and self._tried[event.task.job.key] < MOST_TRIES:
                self._try_alone(event, outcome)
                return
            if any(flag.name == WROTE_ELSEWHERE for flag in outcome.facts.flags):
                self._done.clear()
            self._carried_out += 1
            self._console.ended(event.task.job, outcome)
            for steps in self._in_flight.pop(event.task.job.key):
                self._go_on(steps)

    def _count_seconds(self, event: Ended, outcome: Outcome) -> None:
        """Count the wall time of a job for jobs, each second once, however many of them ran in it."""
        now = time.monotonic()
        counted_s = PHASES.move(self._covered.add(now - outcome.wall_s, now), "start", "jobs")
        if event.beside:
            self._counted_s[event.task.folder.name] = counted_s
        else:
            self._counted_s.pop(event.task.folder.name, None)  # it ran beside others before

    def _try_alone(self, event: Ended, outcome: Outcome) -> None:
        """Do a job again, with its machine to itself, that had too little of it beside others."""
        job, folder = event.task.job, event.task.folder
        self._tried[job.key] += 1
        self._console.stopped(job)
        self._console.note(
            f"{job.case_id}: {job.kind} is done again alone, because beside another job: {outcome.reason}"
        )
        withdraw_facts(self._run, folder)
        shutil.rmtree(folder)
        self._executor.submit(replace(event.task, alone=True))

    def _try_elsewhere(self, event: Ended) -> None:
        """Do a job again whose node went away; a training goes on from its checkpoint."""
        job, folder = event.task.job, event.task.folder
        self._tried[job.key] += 1
        self._settling.lost(event)
        self._console.stopped(job)
        self._console.note(f"{job.case_id}: {job.kind} is done again elsewhere: {event.lost}")
        if job.kind != "train":
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder)
        self._executor.submit(event.task)

    def _weights(self, plan: CasePlan, job: Job) -> str | None:
        """Return where a job finds its weights, relative to its folder where both lie in this run."""
        if plan.train is None:
            return plan.case.model.weights
        trained = self._state(plan.train).view
        if trained is None or trained.outcome is None or trained.outcome.facts.weights_file is None:
            return None
        file = trained.folder / trained.outcome.facts.weights_file
        if trained.folder.parent.resolve() != self._run.jobs.resolve():
            return str(file.resolve())
        return os.path.relpath(file, self._run.job(job.kind, job.case_id, job.replicate, job.key))

    def _weights_sha256(self, plan: CasePlan, job: Job) -> str | None:
        """Return what a job's weights must be: those that were trained here, or the file its key was made of."""
        if job.kind == "train" or plan.train is None:
            return job.weights_sha256
        trained = self._state(plan.train).view
        return trained.outcome.facts.weights_sha256 if trained is not None and trained.outcome is not None else None

    def _state(self, job: Job) -> JobState:
        """Return the state of a job; what was done when it was looked at stays done while this run holds its lock."""
        state = self._done.get(job.key)
        if state is None:
            state = job_state(job, self._run, self._results, self._folders)
            if state.name == "done":
                self._done[job.key] = state
        return state


def wanted_jobs(only: str | None, kinds: tuple[JobKind, ...], cases: Iterable[CasePlan]) -> Wanted:
    """Return which jobs of some cases `--case` and `--kind` ask for; see `named_cases`."""
    named = None if only is None else named_cases((plan.case for plan in cases), only)
    return lambda job: (named is None or job.case_id in named) and (not kinds or job.kind in kinds)
