"""Carries a run from its plan to its report: the outline that `bench run` and `bench repro` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure.phases import during
from bench.records import Job
from bench.records.compiled import give_back_freed_memory
from bench.records.store import layout
from bench.records.store.files import write_atomically, write_record
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import record_facts
from bench.records.store.runs import read_run
from bench.records.store.views import Plan, RunView
from bench.run.environments.interpreters import Interpreters
from bench.run.environments.record import write_environment
from bench.run.loggers import export_case
from bench.run.runner import Runner, Steps, Summary
from bench.score.runs import Scoring, scoring_of
from bench.suite.jobs import CasePlan, timing_order


def run_cases(runner: Runner, recorder: RunRecorder) -> Summary:
    """Run what is not done yet: this is a run, from its first file to its last.

    A job that fails is a row of the report and never stops the run; only Ctrl-C does, and the next run resumes there.

    Raises:
        KeyboardInterrupt: After the jobs in flight have been ended.
    """
    recorder.write_plan()
    with runner:
        runner.carry_out(_scored(runner, recorder, case) for case in runner.cases)
        # Nothing is measured beside trainings, predictions or scores: their last has ended here.
        # Randomised blocks: all cases once, then all again in another order.
        runner.carry_out(runner.measure(job) for job in timing_order(runner.cases))
        runner.carry_out(runner.measure(job) for job in passes(runner.cases))
    give_back_freed_memory()
    recorder.report()
    return runner.summary()


def _scored(runner: Runner, recorder: RunRecorder, case: CasePlan) -> Steps:
    """Train, export and predict a case, and score it at once."""
    for step in (runner.train, runner.export, runner.predict):
        if not (yield from step(case)):
            return False
    runner.score(case, recorder.score, recorder.log)
    return True


def passes(cases: Sequence[CasePlan]) -> tuple[Job, ...]:
    """Return the jobs that measure memory and energy, and load, case by case."""
    return tuple(job for case in cases for job in (case.profile, case.throughput) if job is not None)


@dataclass(frozen=True)
class RunRecorder:
    """Writes the record of a run.

    There may be no content of the suite's file any more. `loggers` get a copy of each scored case, and `warn` a line
    where one could not be written to; the report prints `flags` in its commands.
    """

    run: RunFolder
    results: Path
    plan: Plan
    suite: bytes | None
    interpreters: Interpreters
    loggers: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    warn: Callable[[str], None] = lambda _: None
    write_report: Callable[[RunView], object] = lambda _: None

    def write_plan(self) -> None:
        """Write the plan, the suite, and the environment in which they are run."""
        write_record(self.run.path / layout.PLAN, self.plan)
        if self.suite is not None:
            write_atomically(self.run.path / layout.SUITE, self.suite)
        adapters = {planned.case.model.adapter for planned in self.plan.cases}
        write_environment(self.run, self.interpreters, adapters, self.flags)
        record_facts(self.run, [self.run.path / layout.PLAN, self.run.path / layout.ENVIRONMENT])

    def score(self, case: CasePlan, predictions: Path) -> Scoring | None:
        """Return what is to be computed of a case; None where its scores are up to date."""
        return scoring_of(self.run, self.plan, self.plan.by_id[case.case.id], predictions)

    def log(self, case: CasePlan) -> None:
        """Copy a scored case to the experiment trackers; one that fails is a warning.

        Cases of shifted images are no further models: they stand in the report alone.
        """
        if case.case.shift is not None:
            return
        for trouble in export_case(self.run, self.results, case.case.id, self.loggers):
            self.warn(trouble)

    @during("report")
    def report(self) -> None:
        """Write the report of what has been run so far."""
        self.write_report(self.view())

    def view(self) -> RunView:
        """Return the run as it lies on disk."""
        return read_run(self.run, self.results)
