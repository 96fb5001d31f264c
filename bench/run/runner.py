"""Run the jobs of a plan that are not done, one at a time, so that none is lost and none is run twice.

In which order they are asked for stands in `session.py`. A job that fails is a row of the report and
never stops the suite. Only Ctrl-C does, and the next run resumes there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from bench.errors import BenchError
from bench.records import Flag, Job, JobKind, Outcome
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import fact_states, facts_of_job, record_facts, withdraw_facts
from bench.records.store.runs import set_aside, utc_now
from bench.records.store.views import JobView
from bench.run.console import RunConsole
from bench.run.environments.interpreters import Interpreters
from bench.run.environments.provenance import provenance_now
from bench.run.expected import Expectation
from bench.run.orphans import end_orphans, results_of
from bench.run.outcome import flagged, settle
from bench.run.planning.code_keys import refuse_changed_code
from bench.run.planning.prepare import pinned_cores
from bench.run.state import JobState, job_state
from bench.run.worker.confinement import temporary_of
from bench.run.workers import FreshInterpreters, Workers
from bench.suite.jobs import CasePlan

Wanted = Callable[[Job], bool]


@dataclass(frozen=True)
class Summary:
    """Hold what a run came to.

    Attributes:
        done: Jobs that were carried out now.
        skipped: Jobs that were asked for and done already.
        failed: Cases of which a job that was asked for did not end well (`unsupported` is not a failure).
    """

    done: int
    skipped: int
    failed: tuple[str, ...]


class Work(Protocol):
    """Hold what is to be carried out: a suite that was prepared, or cases of an earlier run once more."""

    @property
    def cases(self) -> tuple[CasePlan, ...]:
        """Return the plans in the order in which they run."""
        ...

    @property
    def interpreters(self) -> Interpreters:
        """Return which Python runs which adapter."""
        ...


class Runner:
    """Carries out one plan in one run folder."""

    def __init__(
        self,
        prepared: Work,
        run: RunFolder,
        results: Path,
        console_for: Callable[[int], RunConsole],
        wanted: Wanted,
        workers: Workers | None = None,
    ) -> None:
        """Take a plan; nothing runs before one of its jobs is asked for.

        Args:
            prepared: The plan.
            run: Where its jobs leave their files.
            results: Where finished trainings of other runs are looked for.
            console_for: Makes the console, given the number of jobs to do.
            wanted: Jobs to do; the others are left as they are.
            workers: Starts the workers; None = a fresh interpreter for each.
        """
        self._prepared = prepared
        self._run = run
        self._results = results
        self._wanted = wanted
        self._plan_of = {plan.case.id: plan for plan in prepared.cases}
        jobs = [job for plan in prepared.cases for job in plan.jobs]
        asked = {job.key: job for job in jobs if wanted(job)}
        pending = [job for job in asked.values() if self._state(job).name != "done"]
        self._workers = workers or FreshInterpreters()
        self._workers.expect(pending)
        self._pending = pending
        self._console = console_for(len(pending))
        self._skipped = len(asked) - len(pending)
        self._carried_out = 0
        self._failed: dict[str, None] = {}
        self._tried: set[str] = set()

    def __enter__(self) -> Runner:
        """Say how long what is ahead will take; nothing runs yet, and nothing of an earlier run does any more."""
        if orphans := end_orphans(results_of(self._run.jobs / "any")):
            self._console.note(f"ended {len(orphans)} processes that an earlier bench left behind when it was killed")
        self._console.expect(Expectation(self._pending, self._results))
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process behind."""
        self._workers.close()

    @property
    def cases(self) -> tuple[CasePlan, ...]:
        """The cases, in the order in which they run."""
        return self._prepared.cases

    def train(self, plan: CasePlan) -> bool:
        """Train a case that has a recipe; returns whether there is nothing against going on with it."""
        if plan.train is None:
            return True
        return self._needed(plan.train, plan, plan.case.model.weights)

    def export(self, plan: CasePlan) -> bool:
        """Export a case whose runtime runs an exported model; returns whether there is nothing against going on."""
        if plan.export is None:
            return True
        return self._needed(plan.export, plan, self._weights(plan, plan.export))

    def _needed(self, job: Job, plan: CasePlan, weights: str | None) -> bool:
        view = self._ensure(job, plan, weights)
        if view is not None and view.ok:
            return True
        self._tell_if_blocked(plan.predict, job)
        return False

    def predict(self, plan: CasePlan) -> bool:
        """Predict a case's test images; returns whether its predictions are there."""
        view = self._ensure(plan.predict, plan, self._weights(plan, plan.predict))
        return view is not None and view.ok

    def score(self, plan: CasePlan, score: Callable[[CasePlan, Path], None], log: Callable[[CasePlan], None]) -> None:
        """Score a predicted case and log it; one that cannot be scored has failed, and the next one is tried."""
        predicted = self._state(plan.predict).view
        assert predicted is not None
        try:
            score(plan, predicted.folder / layout.PREDICTIONS)
            log(plan)
        except BenchError as error:
            self._failed[plan.case.id] = None
            self._console.note(f"{plan.case.id} could not be scored: {error}")

    def measure(self, job: Job) -> None:
        """Time or profile a case, or put it under load, provided that its predictions are there."""
        plan = self._plan_of[job.case_id]
        predicted = self._state(plan.predict).view
        if predicted is not None and predicted.ok:
            self._ensure(job, plan, self._weights(plan, job))
        elif job.replicate == 0:
            self._tell_if_blocked(job, plan.predict)

    def summary(self) -> Summary:
        """Return what the run came to so far."""
        return Summary(self._carried_out, self._skipped, tuple(self._failed))

    def _tell_if_blocked(self, job: Job, needed: Job) -> None:
        """Say that a job was asked for without the one it needs, which is not done."""
        blocked = self._wanted(job) and not self._wanted(needed) and self._state(needed).name != "done"
        if blocked and self._state(job).name != "done":
            self._failed[job.case_id] = None
            self._console.note(
                f"{job.case_id}: {job.kind} needs the {needed.kind} job, which is not done; leave out --kind, or add "
                f"--kind {needed.kind}"
            )

    def _ensure(self, job: Job, plan: CasePlan, weights: str | None) -> JobView | None:
        """Return the job's folder, running it first if it is wanted and not done."""
        state = self._state(job)
        if state.name != "done" and self._wanted(job) and job.key not in self._tried:
            # Cases may share a training; one that fails is not tried again for each of them.
            self._tried.add(job.key)
            self._carry_out(job, plan, state, weights)
            state = self._state(job)
        if self._wanted(job) and state.name != "done":
            self._failed[plan.case.id] = None
        return state.view

    def _carry_out(self, job: Job, plan: CasePlan, state: JobState, weights: str | None) -> None:
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
        folder.mkdir(parents=True, exist_ok=True)
        withdraw_facts(self._run, folder)
        complete = job.model_copy(
            update={
                "weights": weights,
                "weights_sha256": self._weights_sha256(plan, job),
                "cpu_affinity": pinned_cores(job.target.threads),
                "provenance": provenance_now(self._run),
            }
        )
        write_record(folder / layout.JOB, complete)
        with self._console.watching(job, folder):
            outcome = self._run_worker(complete, folder, plan.case.timeouts.of(job.kind))
        self._carried_out += 1
        self._console.ended(job, outcome)

    def _run_worker(self, job: Job, folder: Path, timeout_s: float) -> Outcome:
        python = self._prepared.interpreters.python(job.model.adapter)
        started_at, before = utc_now(), fact_states(self._run)
        end = self._workers.run(
            job,
            python,
            folder=folder.resolve(),
            log=folder / layout.WORKER_LOG,
            timeout_s=timeout_s,
            tell=self._console.note,
        )
        shutil.rmtree(temporary_of(folder.resolve()), ignore_errors=True)
        outcome = settle(folder, end, started_at=started_at, timeout_s=timeout_s)
        after = fact_states(self._run)
        if elsewhere := [name for name, state in before.items() if after.get(name) != state]:
            outcome = flagged(folder, outcome, _wrote_elsewhere(elsewhere))
        record_facts(self._run, facts_of_job(folder))
        return outcome

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
        """Return what the weights of a job must be: those that were trained here, or the file that its key was made
        of.
        """
        if job.kind == "train" or plan.train is None:
            return job.weights_sha256
        trained = self._state(plan.train).view
        return trained.outcome.facts.weights_sha256 if trained is not None and trained.outcome is not None else None

    def _state(self, job: Job) -> JobState:
        return job_state(job, self._run, self._results)


def _wrote_elsewhere(files: list[str]) -> Flag:
    named = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return Flag(
        name="wrote_elsewhere",
        seen=f"while it ran, {named} outside of its folder changed, which is damaged now and made anew by the next run",
    )


def wanted_jobs(only: str | None, kinds: tuple[JobKind, ...]) -> Wanted:
    """Return which jobs `--case` and `--kind` ask for; a case id or label with `*` and `?`."""

    def wanted(job: Job) -> bool:
        named = only is None or any(name == only or fnmatchcase(name, only) for name in (job.case_id, job.model.label))
        return named and (not kinds or job.kind in kinds)

    return wanted
