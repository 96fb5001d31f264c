"""Small YOLO networks for the tests; modules that import this are skipped where the framework is not installed."""

from __future__ import annotations

import pytest

from adapters.ultralytics import environment
from adapters.ultralytics.adapter import Adapter
from bench.errors import Unsupported
from bench.records import ModelSpec, Target
from tests.adapters.rectangles import INSTANCES, THREE_CLASSES, Rectangles, rectangles, short_recipe

try:
    environment.import_framework()
except Unsupported as missing:
    pytest.skip(str(missing), allow_module_level=True)

# These import the framework, so only now.
from adapters._torch.training.checkpoints import CHECKPOINT  # noqa: F401
from adapters.ultralytics.training import EpochOrder  # noqa: F401

NETWORKS = {"instance": "yolo11n-seg", "semantic": "yolo26n-sem"}
TASKS = {"instance": INSTANCES, "semantic": THREE_CLASSES}
SEEN_BY_A_USER = 0.25


def spec(kind="instance", *, weights=None, **options) -> ModelSpec:
    return ModelSpec(
        name="ultralytics/test",
        label="ultralytics/test",
        adapter="ultralytics",
        task=kind,
        description="",
        options={"network": NETWORKS[kind], **options},
        weights=weights,
    )


def built(
    kind="instance", *, task=None, weights=None, target=None, named_weights=None, training_follows=False, **options
) -> Adapter:
    adapter = Adapter()
    adapter.training_follows = training_follows
    model = spec(kind, weights=named_weights, **options)
    adapter.build(model, task or TASKS[kind], target or Target(threads=1), weights)
    return adapter


def scenes(kind="instance", train=12, val=4):
    return rectangles(train, val, task=TASKS[kind])


def images(*sizes, seed=7):
    return [Rectangles(1, seed=seed + i, size=size).image(0) for i, size in enumerate(sizes)]


def recipe(steps=12, **changes):
    return short_recipe(**{"budget": {"steps": steps}, "learning_rate": 0.003, **changes})
