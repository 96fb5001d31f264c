"""Suites that search a recipe, and what came of a search: shared by the tests of searches and of executors."""

from __future__ import annotations

from pathlib import Path

from bench.records.store.runs import newest_run
from bench.records.store.studies import StudyView, read_studies
from tests.bench.suites import SHAPES, write_suite

TUNE = {
    "space": {"learning_rate": {"low": 1e-4, "high": 1.0, "log": True}, "loss": ["cross_entropy", "dice"]},
    "trials": 6,
    "startup_trials": 2,
    "seed": 11,
}
MODEL = {"name": "fake/learns", "options": {"dataset": SHAPES["options"], "diverges_above": 0.5}}


def searched_suite(folder: Path, name: str = "searched", model=MODEL, dataset=SHAPES, more=(), **tune) -> Path:
    """Write a suite that searches the recipe of a model whose best learning rate is 0.01, by dice."""
    return write_suite(
        folder,
        [model, *more],
        name=name,
        datasets=[dataset],
        recipe={"budget": {"steps": 8}, "device": "cpu"},
        seeds=[1, 2],
        tune={**TUNE, **tune},
        measurement="none",
    )


def study_of(results: Path) -> StudyView:
    [view] = read_studies(newest_run(results))
    return view


def what_it_did(view: StudyView) -> list[tuple]:
    """Return what a search did, but for times."""
    return [(one.trial.params, one.state, one.value, one.validations) for one in view.trials]
