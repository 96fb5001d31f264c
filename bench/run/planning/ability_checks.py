"""Asks adapters about a suite's targets and recipes before anything is trained; imports no framework."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from bench.adapter import load_light
from bench.errors import UsageErrors
from bench.measure.devices import Machine
from bench.metric import load_metric, metric_error
from bench.records import Case, ModelSpec
from bench.records.abilities import Abilities
from bench.score.reduce import reaches
from bench.suite.expand import target_label
from bench.suite.lines import SuiteLines

TOLD = 3
"""Targets that a note names at most; the others are counted."""


def check_abilities(
    cases: Sequence[Case], source: Path, lines: SuiteLines, usage_errors: UsageErrors, machine: Machine
) -> list[str]:
    """Note what cannot be trained, and models that no target can run; return what else will not be as asked.

    A case that cannot be run is a row of the table, `unsupported`, and the others are measured: comparing targets
    is what suites are for. Where no case of a model can be run, nothing of it would be measured.

    Returns:
        Sentences on cases that will be `unsupported`, on fields of recipes that a trainer passes over, and on threads.
    """
    notes, kinds = [], set[str]()
    for label, of_model in _by_model(cases).items():
        able = abilities_of(of_model[0].model)
        if able is None:
            continue
        kinds |= {case.target.device.partition(":")[0] for case in of_model}
        where = f"{source}: {label}{lines.of_model(label)}: "
        for sentence in _untrainable(of_model, able):
            usage_errors.note(where + sentence)
        refused = {target_label(case.target): able.refusals(case.target) for case in of_model}
        unable = {target: why for target, why in refused.items() if why}
        if len(unable) == len(refused):
            for clause in dict.fromkeys(clause for why in unable.values() for clause in why):
                usage_errors.note(f"{where}no target of the suite can run it: {clause}")
        else:
            notes += [f"{label} will be 'unsupported' on {_listed(on)}: {why}" for why, on in _by_reason(unable)]
        notes += _passed_over(label, of_model, able)
    return [*notes, *_devices(kinds, machine), *_threads(cases, machine)]


def check_metrics(
    cases: Sequence[Case], source: Path, names: Sequence[str], lines: SuiteLines, usage_errors: UsageErrors
) -> None:
    """Note metrics that can score no model of the suite."""
    kinds = {case.model.task for case in cases}
    for index, name in enumerate(names):
        if not kinds or metric_error(name) is not None:
            continue
        metric = load_metric(name)
        for module, extra in getattr(metric, "needs", {}).items():
            if find_spec(module) is None:
                usage_errors.note(
                    f"{source}: metrics[{index}]{lines.at('metrics', index)}: {name} needs the package {module}, which "
                    f"{sys.executable} does not have. Install it with: pip install 'segbench[{extra}]'"
                )
        tasks = metric.tasks
        if not any(reaches(kind, task) for kind in kinds for task in tasks):
            usage_errors.note(
                f"{source}: metrics[{index}]{lines.at('metrics', index)}: {name} scores {' and '.join(tasks)} "
                f"predictions; the models of this suite make {' and '.join(sorted(kinds))} ones. Remove it, or choose "
                "other models."
            )


def abilities_of(model: ModelSpec) -> Abilities | None:
    """Return what an adapter states about a model without its framework; None if nothing or its options are wrong."""
    light = load_light(model.adapter, "options")
    if (
        light is None
        or not hasattr(light, "abilities")
        or (hasattr(light, "usage_errors") and light.usage_errors(model))
    ):
        return None
    found: Abilities = light.abilities(model)
    return found


def _by_model(cases: Sequence[Case]) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.model.label, []).append(case)
    return found


def _untrainable(cases: Sequence[Case], able: Abilities) -> list[str]:
    recipes = [case.recipe for case in cases if case.recipe is not None]
    return list(dict.fromkeys(f"recipe: {clause}" for recipe in recipes for clause in able.training_refusals(recipe)))


def _passed_over(label: str, cases: Sequence[Case], able: Abilities) -> list[str]:
    recipe = next((case.recipe for case in cases if case.recipe is not None), None)
    fields = {} if recipe is None else able.passed_over(recipe)
    return [f"{label}: recipe: '{name}' is not honoured: {why}" for name, why in fields.items()]


def _devices(kinds: set[str], machine: Machine) -> list[str]:
    """Devices that the machine does not have; a suite may be checked on one machine and run on another."""
    here = {"cpu", machine.device, *(["mps"] if sys.platform == "darwin" else [])}
    missing = sorted(kinds - here)
    return [
        f"targets: there is no {kind} device here; its cases will be 'unsupported' on this machine" for kind in missing
    ]


def _threads(cases: Sequence[Case], machine: Machine) -> list[str]:
    most = max((case.target.threads or 0 for case in cases), default=0)
    return (
        [f"targets: {most} threads are more than the {machine.cores} cores that are allowed here"]
        if most > machine.cores
        else []
    )


def _by_reason(unable: dict[str, list[str]]) -> Iterable[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for target, why in unable.items():
        found.setdefault("; ".join(why), []).append(target)
    return found.items()


def _listed(targets: Sequence[str]) -> str:
    more = f" and {len(targets) - TOLD} further targets" if len(targets) > TOLD else ""
    return ", ".join(targets[:TOLD]) + more
