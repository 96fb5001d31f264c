"""Small valid records for tests; every field can be replaced."""

from __future__ import annotations

from pathlib import Path

from bench.records import (
    Budget,
    Case,
    CaseScores,
    ClassSpec,
    DatasetSpec,
    Job,
    Measurement,
    ModelSpec,
    Recipe,
    Target,
    TaskSpec,
    Timeouts,
)
from bench.records.store.layout import RunFolder
from bench.records.store.runs import read_scores
from bench.records.store.views import Plan, PlannedCase
from bench.score.runs import scoring_of

CLASSES = (ClassSpec(name="sky", colour=(0, 0, 255)), ClassSpec(name="disc", is_thing=True, colour=(255, 0, 0)))


def make_model(**changes) -> ModelSpec:
    fields = {"name": "fake/perfect", "label": "fake/perfect", "adapter": "fake", "task": "semantic", "description": ""}
    return ModelSpec(**{**fields, **changes})


def make_case(**changes) -> Case:
    fields = {
        "id": "fake/perfect@shapes@cpu fp32 b1",
        "model": make_model(),
        "dataset": DatasetSpec(name="shapes", label="shapes"),
        "target": Target(),
        "recipe": None,
        "measurement": Measurement(),
        "timeouts": Timeouts(),
    }
    return Case(**{**fields, **changes})


def make_job(**changes) -> Job:
    case = make_case()
    fields = {
        "kind": "predict",
        "key": "0" * 64,
        "key_parts": {},
        "case_id": case.id,
        "model": case.model,
        "dataset": case.dataset,
        "task": TaskSpec(kind="semantic", classes=CLASSES),
        "target": case.target,
        "dataset_fingerprint": "f",
        "harness_root": "/nowhere",
        "adapters_root": "/nowhere/adapters",
    }
    return Job(**{**fields, **changes})


def make_recipe(**changes) -> Recipe:
    return Recipe(**{"budget": Budget(steps=1), "device": "cpu", **changes})


def score_planned_case(
    run: RunFolder, plan: Plan, planned: PlannedCase, predictions: Path, *, again: bool = False
) -> CaseScores:
    """Score one case of a run from its stored predictions, unless its scores are up to date."""
    scoring = scoring_of(run, plan, planned, predictions, again=again)
    if scoring is not None:
        scoring.compute()
        scoring.record()
    scores = read_scores(run, planned.case.id).scores
    assert scores is not None
    return scores
