"""Run cases of a finished run again, from its record alone.

The cases come from `plan.json`, where they stand resolved; the suite's file may have changed since.
Trained cases take the weights that the run left, unless they are to be trained again. The repetition
is a run of its own, in `results/<suite>-repro/`, so that the suite's newest run stays what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.measure.devices import machine_identity
from bench.measure.environment import capture
from bench.metric import load_metric
from bench.records.names import harness_root
from bench.records.store import layout
from bench.records.store.files import content_sha256
from bench.records.store.runs import locked, new_run, utc_now
from bench.records.store.selection import with_cases
from bench.records.store.views import CaseView, PlannedCase, RunView
from bench.run.console import RunConsole
from bench.run.environments.create import Options, create
from bench.run.environments.environment import (
    Environment,
    all_environments,
    condition,
    environments_folder,
    with_environment,
)
from bench.run.environments.interpreters import Interpreters, lock_digest
from bench.run.environments.uv import Sources, Tell
from bench.run.executor import Executor
from bench.run.planning.fingerprints import Fingerprints
from bench.run.planning.prepare import plan_again
from bench.run.repro.differences import Difference, key_differences, machine_differences, once
from bench.run.runner import Runner
from bench.run.session import RunRecorder, run_cases
from bench.suite.jobs import CasePlan

SUFFIX = "-repro"
"""Repetitions of the runs of a suite lie in the folder of the suite's name with this."""


@dataclass(frozen=True)
class RepeatableCase:
    """A case of the record that can be run again: as recorded, as it would run now, and in the plan of the repetition.

    Without its training where it takes `weights`, in words, that are stored.
    """

    view: CaseView
    plan: CasePlan
    planned: PlannedCase
    weights: str
    retrained: bool


@dataclass(frozen=True)
class Repetition:
    """Hold what can be repeated of a run, what cannot (case id -> why), and what differs from this machine."""

    record: RunView
    again: tuple[RepeatableCase, ...]
    refused: dict[str, str]
    differences: tuple[Difference, ...]
    interpreters: Interpreters


def chosen_cases(record: RunView, wanted: str | None) -> tuple[CaseView, ...]:
    """Return the cases with this id or model label (`*` and `?` allowed), or all; raises `BenchError` if there is
    none.

    A case on shifted images comes with that on the images as they are where a metric has thresholds: these are chosen
    by the probabilities of that one.
    """
    chosen = with_cases(record, wanted).cases
    if not any(hasattr(load_metric(name), "chosen_at") for name in record.plan.metrics):
        return chosen
    ids = {view.case.id for view in chosen}
    needed = {view.case.shift.of for view in chosen if view.case.shift is not None} - ids
    return (*(view for view in record.cases if view.case.id in needed), *chosen)


def recorded_interpreters(
    record: RunView, views: Sequence[CaseView], interpreters: Interpreters, rebuild: Sources | None, tell: Tell
) -> tuple[Interpreters, list[Difference]]:
    """Find, or rebuild from these sources, the environments that the cases ran in; what a flag chose stays.

    Returns:
        The interpreters, and the environments that are not here.
    """
    folder = interpreters.environments or environments_folder(None)
    recorded = _recorded_environments(record)
    missing = []
    for adapter in sorted({view.case.model.adapter for view in views} - {*interpreters.chosen}):
        digest, shared = recorded.get(adapter, {}).get("lock_sha256"), bool(recorded.get(adapter, {}).get("shared"))
        if digest is None:
            continue
        environment = _environment_of(folder, adapter, digest)
        lock = record.folder.lock_of(adapter)
        if environment is None and rebuild is not None and lock.is_file():
            environment = Environment(folder / f"{adapter}@{digest[:12]}")
            create(environment, Options(sources=rebuild, share=shared, lock=lock), tell)
        if environment is not None:
            interpreters = with_environment(interpreters, adapter, environment)
            continue
        back = "bench repro --rebuild" if lock.is_file() else ""
        missing.append(
            Difference(
                subject=f"environment of adapter {adapter}",
                recorded=f"lock {digest[:12]}",
                here="the interpreter that runs bench",
                put_back=back,
            )
        )
    return interpreters, missing


def prepare_repetition(
    record: RunView, views: Sequence[CaseView], interpreters: Interpreters, *, retrain: bool, timing: bool
) -> Repetition:
    """Plan cases of a run as they would run now, and compare them with the record; runs nothing.

    With `retrain` they are trained again, instead of taking the weights that the run left; with `timing` what was timed
    is timed again, where the machine is of the same class.
    """
    fingerprints = Fingerprints()
    again: list[RepeatableCase] = []
    refused: dict[str, str] = {}
    here = capture(tree=harness_root())
    differences = [one for view in views for one in machine_differences(_environment_of_case(record, view), here)]
    for view in views:
        try:
            if view.predict is None or not view.predict.ok:
                raise BenchError("the record has no predictions of it")
            plan = plan_again(view.case, interpreters, fingerprints, seed=record.plan.seed)
            found = _of_keys(view, plan, retrain=retrain)
            differences += found
            if any(one.subject.startswith("data of ") for one in found):
                raise BenchError("its images or ground truth are not those of the record, so nothing can be compared")
            again.append(_again(view, plan, retrain=retrain, timing=timing))
        except BenchError as error:
            refused[view.case.id] = str(error)
    return Repetition(record, tuple(again), refused, once(differences), interpreters)


def repeat(
    repetition: Repetition,
    results: Path,
    console_for: Callable[[int], RunConsole],
    executor: Executor,
    flags: Sequence[str] = (),
) -> RunView:
    """Run what can be run, in a run of its own, which keeps the flags of the command line; returns that run."""
    record = repetition.record
    run = new_run(results, f"{record.plan.suite.removesuffix(SUFFIX)}{SUFFIX}")
    planned = {one.planned.case.id: one.planned for one in repetition.again}
    plan = record.plan.model_copy(
        update={"suite": run.suite, "cases": tuple(planned.values()), "planned_at": utc_now()}
    )
    suite = record.folder.path / layout.SUITE
    content = suite.read_bytes() if suite.is_file() else None
    recorder = RunRecorder(run, results, plan, content, repetition.interpreters, flags=tuple(flags))
    with locked(run):
        # Trainings of other runs are not looked for: whoever retrains wants a training.
        plans = [one.plan for one in repetition.again]
        runner = Runner(plans, repetition.interpreters, run, run.path, console_for, lambda _: True, executor)
        run_cases(runner, recorder)
        return recorder.view()


def _again(view: CaseView, plan: CasePlan, *, retrain: bool, timing: bool) -> RepeatableCase:
    """Return what runs of a case; raises `BenchError` if its weights are not there any more."""
    retrained = plan.train is not None and retrain
    weights = "trained again" if retrained else view.case.model.weights or "none"
    if plan.train is not None and not retrained:
        plan, weights = with_stored_weights(plan, view)
    same_machine = machine_of(view) == machine_identity()
    timed = timing and same_machine and any(job.ok for job in view.times)
    plan = replace(
        plan,
        times=plan.times if timed else (),
        profile=None,
        throughput=None,
    )
    planned = plan.planned(view.task).model_copy(update={"case": view.case})
    if plan.train is None and view.train is not None:
        planned = planned.model_copy(update={"train_key": view.train.job.key})
    return RepeatableCase(view, plan, planned, weights, retrained)


def _of_keys(view: CaseView, plan: CasePlan, *, retrain: bool) -> list[Difference]:
    """Return what the keys of the case's jobs are made of now, against the record."""
    pairs = [("predict", view.predict, plan.predict)]
    pairs += [("train", view.train, plan.train)] if retrain and plan.train is not None else []
    pairs += [("time", view.times[0], plan.times[0])] if view.times and plan.times else []
    # The key of a training stands for its weights, and what is repeated takes those of the record.
    but_for = ("weights",) if plan.train is not None else ()
    found = []
    for kind, recorded, here in pairs:
        if recorded is not None:
            found += key_differences(view, kind, recorded.job.key_parts, here.key_parts, but_for=but_for)
    return found


def with_stored_weights(plan: CasePlan, view: CaseView) -> tuple[CasePlan, str]:
    """Return the plan of a trained case without its training, and the weights that the run left, which it takes."""
    weights = _stored_weights(view)
    model = plan.case.model.model_copy(update={"weights": weights})
    return replace(plan, case=plan.case.model_copy(update={"model": model}), train=None), weights


def _stored_weights(view: CaseView) -> str:
    """Return absolute path of the weights that the run left; raises `BenchError` if they are not there any more."""
    facts = view.train.outcome.facts if view.train is not None and view.train.ok and view.train.outcome else None
    if view.train is None or facts is None or facts.weights_file is None:
        raise BenchError("the training that made its weights is not there any more; --retrain trains it again")
    path = (view.train.folder / facts.weights_file).resolve()
    if not path.exists():
        raise BenchError(f"its weights are not at {path} any more; --retrain trains it again")
    if facts.weights_sha256 is not None and content_sha256(path) != facts.weights_sha256:
        raise BenchError(f"{path} does not hold the weights of the record any more; --retrain trains it again")
    return str(path)


def machine_of(view: CaseView) -> str | None:
    """Return the class of the machine that timed a case; None if none did."""
    return next((job.job.key_parts.get("machine") for job in view.times), None)


def _environment_of_case(record: RunView, view: CaseView) -> Mapping[str, Any]:
    """Return where a case was predicted; the environment of the whole run where the job does not say."""
    where = view.predict.job.provenance if view.predict is not None else None
    return (record.environments.get(where.environment) if where is not None else None) or record.environment


def _recorded_environments(record: RunView) -> dict[str, dict[str, Any]]:
    """Return adapter -> what `environment.json` says of its interpreter; empty for runs of before it did."""
    found = record.environment.get("interpreters")
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}


def _environment_of(folder: Path, adapter: str, digest: str) -> Environment | None:
    """Return an environment of an adapter that holds exactly what a lock lists."""
    for environment in all_environments(folder):
        usable = environment.adapter == adapter and condition(environment).state in ("ready", "stale")
        if usable and lock_digest(environment.lock.read_text(encoding="utf-8")) == digest:
            return environment
    return None
