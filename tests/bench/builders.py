"""Small valid records for tests; every field can be replaced."""

from __future__ import annotations

from bench.records import (
    Budget,
    Case,
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
