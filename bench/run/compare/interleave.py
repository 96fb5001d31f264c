"""Both sides timed again, on this machine, in alternating processes.

Two runs of different hours on a shared machine differ by more than most regressions; processes that take turns see the
same machine. All sides become the cases of one new run, in whose randomised blocks each is timed once, in random
order. It is made with the code that is installed now: what is compared is models, weights, options and targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import BenchError
from bench.records import Job, as_json_dict, digest
from bench.records.store.runs import locked, new_run, utc_now
from bench.records.store.views import CaseView, PlannedCase, RunView
from bench.run.compare.sides import Side, side_of
from bench.run.console import RunConsole
from bench.run.environments.interpreters import Interpreters
from bench.run.executor import Executor
from bench.run.planning.fingerprints import Fingerprints
from bench.run.planning.prepare import plan_again
from bench.run.repro.repeat import with_stored_weights
from bench.run.runner import Runner
from bench.run.session import RunRecorder, run_cases
from bench.suite.jobs import CasePlan

SUITE = "interleaved"


def timed_again(
    sides: Sequence[Side],
    results: Path,
    interpreters: Interpreters,
    console_for: Callable[[int], RunConsole],
    *,
    executor: Executor,
    replicates: int | None = None,
) -> list[Side]:
    """Predict and time all cases of all sides in one new run, each in `replicates` processes, or as many as in its run.

    Returns:
        The sides with their new samples, under their names.

    Raises:
        BenchError: If a side cannot be run.
    """
    fingerprints = Fingerprints()
    cases: list[tuple[CasePlan, PlannedCase]] = []
    first: RunView | None = None
    for number, side in enumerate(sides):
        if side.origin is None:
            raise BenchError(
                f"--interleave: {side.name} is a baseline file, which has no model to time; name a run or RUN:CASE"
            )
        run, views = side.origin
        first = first or run
        if run.plan.metrics != first.plan.metrics or run.plan.seed != first.plan.seed:
            raise BenchError(f"--interleave: {side.name} and {sides[0].name} have other metrics or another seed")
        for view in views:
            cases.append(_case(number, run, view, interpreters, fingerprints, replicates))
    assert first is not None
    folder = new_run(results, SUITE)
    planned = tuple(one for _, one in cases)
    record = first.plan.model_copy(update={"suite": folder.suite, "cases": planned, "planned_at": utc_now()})
    recorder = RunRecorder(folder, results, record, None, interpreters)
    with locked(folder):
        plans = [plan for plan, _ in cases]
        run_cases(Runner(plans, interpreters, folder, folder.path, console_for, lambda _: True, executor), recorder)
        made = recorder.view()
    return [_side_of(made, number, side) for number, side in enumerate(sides)]


def _mark(number: int) -> str:
    """Return what the ids of a side's cases begin with: A, B, C …"""
    return f"{chr(ord('A') + number)} "


def _side_of(run: RunView, number: int, side: Side) -> Side:
    own = [view for view in run.cases if view.case.id.startswith(_mark(number))]
    for view in own:
        for job in view.failures:
            reason = job.outcome.reason if job.outcome is not None else job.damage
            raise BenchError(
                f"--interleave: the {job.job.kind} job of {view.case.id} failed: {reason}; see {job.folder}"
            )
    return replace(side_of(replace(run, cases=tuple(own)), side.name), chosen=side.chosen)


def _case(
    number: int,
    run: RunView,
    view: CaseView,
    interpreters: Interpreters,
    fingerprints: Fingerprints,
    replicates: int | None,
) -> tuple[CasePlan, PlannedCase]:
    """A case of a side as it runs now, with ids and keys of its own: both sides may hold the same case."""
    measurement = view.case.measurement
    if replicates is not None:
        measurement = measurement.model_copy(update={"replicates": replicates})
    plan = plan_again(
        view.case.model_copy(update={"measurement": measurement}), interpreters, fingerprints, seed=run.plan.seed
    )
    if plan.train is not None:
        plan, _ = with_stored_weights(plan, view)
    case = plan.case.model_copy(update={"id": f"{_mark(number)}{plan.case.id}"})

    def own(job: Job) -> Job:
        key = digest({"side": number, "key": job.key, "case": as_json_dict(case.model)})
        return job.model_copy(update={"key": key, "case_id": case.id})

    plan = replace(
        plan,
        case=case,
        export=None if plan.export is None else own(plan.export),
        predict=own(plan.predict),
        times=tuple(map(own, plan.times)),
        profile=None,
        throughput=None,
    )
    return plan, plan.planned(view.task)
