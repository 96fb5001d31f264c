"""Asks adapters, metrics and loggers about a suite before anything is trained; imports no framework."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from bench.adapter import load_light, load_loss_grammar
from bench.errors import did_you_mean
from bench.logger import load_logger, logger_names
from bench.metric import load_metric, metric_error
from bench.records import Case, ModelSpec
from bench.records.abilities import Abilities
from bench.run.planning.checking import Checking
from bench.score.reduce import reaches
from bench.suite.expand import target_label

TOLD = 3
"""Targets that a note names at most; the others are counted."""


def check_options(check: Checking) -> None:
    """Note every wrong option of a model config and every loss that no trainer knows.

    An adapter takes part by a file `options.py` without imports of its framework that has
    `usage_errors(model) -> list[str]`; one without that file is asked when its first job starts.
    """
    note, lines = check.usage_errors.note, check.lines
    cases = (*check.cases, *check.probes)
    models = {case.model.label: case.model for case in cases}.values()
    for model in {(model.name, str(model.options)): model for model in models}.values():
        light = load_light(model.adapter, "options")
        if light is not None and hasattr(light, "usage_errors"):
            for sentence in light.usage_errors(model):
                note(f"{check.source}{lines.of_model(model.label)}: {sentence}")
    line = lines.at("recipe", "loss") or lines.at("recipe")
    for loss in {case.recipe.loss: None for case in cases if case.recipe is not None}:
        for sentence in load_loss_grammar().loss_errors(loss):
            note(f"{check.source}: recipe{line}: {sentence}")


def check_loggers(check: Checking) -> None:
    """Note loggers that are unknown or not installed, with the nearest name or the command that installs them."""
    known = logger_names()
    for index, name in enumerate(check.suite.loggers):
        if name not in known:
            told = f"no logger named {name!r}.{did_you_mean(name, known)} There are: {', '.join(known)}."
            check.wrong(("loggers", index), told)
            continue
        missing = [package for package, module in load_logger(name).packages.items() if find_spec(module) is None]
        if missing:
            check.wrong(
                ("loggers", index),
                f"{name} needs {' and '.join(missing)}, which {sys.executable} does not have. Install it with: "
                f"{sys.executable} -m pip install {' '.join(missing)}   (or leave it out of 'loggers': curves and "
                "scores are always in the run's own files)",
            )


def check_metrics(check: Checking) -> None:
    """Note metrics that can score no model of the suite, or whose packages are not installed."""
    kinds = {case.model.task for case in check.cases}
    for index, name in enumerate(check.suite.metrics):
        if not kinds or metric_error(name) is not None:
            continue
        metric = load_metric(name)
        for module, extra in getattr(metric, "needs", {}).items():
            if find_spec(module) is None:
                check.wrong(
                    ("metrics", index),
                    f"{name} needs the package {module}, which {sys.executable} does not have. Install it with: "
                    f"pip install 'segbench[{extra}]'",
                )
        if not any(reaches(kind, task) for kind in kinds for task in metric.tasks):
            check.wrong(
                ("metrics", index),
                f"{name} scores {' and '.join(metric.tasks)} predictions; the models of this suite make "
                f"{' and '.join(sorted(kinds))} ones. Remove it, or choose other models.",
            )


def check_abilities(check: Checking) -> list[str]:
    """Note what cannot be trained, and models that no target can run; return what else will not be as asked.

    A case that cannot be run is a row of the table, `unsupported`, and the others are measured: comparing targets
    is what suites are for. Where no case of a model can be run, nothing of it would be measured.

    Returns:
        Sentences on cases that will be `unsupported`, on fields of recipes that a trainer passes over, and on threads.
    """
    notes, kinds = [], set[str]()
    by_model: dict[str, list[Case]] = {}
    for case in (*check.cases, *check.probes):
        by_model.setdefault(case.model.label, []).append(case)
    for label, of_model in by_model.items():
        able = abilities_of(of_model[0].model)
        if able is None:
            continue
        kinds |= {case.target.device.partition(":")[0] for case in of_model}
        recipes = [case.recipe for case in of_model if case.recipe is not None]
        for clause in (clause for recipe in recipes for clause in able.training_refusals(recipe)):
            check.wrong_model(label, f"recipe: {clause}")
        refused = {target_label(case.target): able.refusals(case.target) for case in of_model}
        unable = {target: why for target, why in refused.items() if why}
        if len(unable) == len(refused):
            for clause in (clause for why in unable.values() for clause in why):
                check.wrong_model(label, f"no target of the suite can run it: {clause}")
        else:
            by_reason: dict[str, list[str]] = {}
            for target, why in unable.items():
                by_reason.setdefault("; ".join(why), []).append(target)
            notes += [f"{label} will be 'unsupported' on {_listed(on)}: {why}" for why, on in by_reason.items()]
        passed_over = able.passed_over(recipes[0]) if recipes else {}
        notes += [f"{label}: recipe: '{name}' is not honoured: {why}" for name, why in passed_over.items()]
    return [*notes, *_not_here(kinds, check)]


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


def _not_here(kinds: set[str], check: Checking) -> list[str]:
    """Devices and cores that the machine does not have; a suite may be checked on one and run on another."""
    machine = check.machine
    here = {"cpu", machine.device, *(["mps"] if sys.platform == "darwin" else [])}
    notes = [
        f"targets: there is no {kind} device here; its cases will be 'unsupported' on this machine"
        for kind in sorted(kinds - here)
    ]
    most = max((case.target.threads or 0 for case in (*check.cases, *check.probes)), default=0)
    if most > machine.cores:
        notes.append(f"targets: {most} threads are more than the {machine.cores} cores that are allowed here")
    return notes


def _listed(targets: Sequence[str]) -> str:
    more = f" and {len(targets) - TOLD} further targets" if len(targets) > TOLD else ""
    return ", ".join(targets[:TOLD]) + more
