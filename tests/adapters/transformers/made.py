"""Networks small enough for a test, and how they are built."""

from __future__ import annotations

from adapters.transformers.adapter import Adapter
from bench.records import ModelSpec, Target
from tests.adapters.rectangles import INSTANCES, PANOPTIC, THREE_CLASSES

TASKS = {"semantic": THREE_CLASSES, "instance": INSTANCES, "panoptic": PANOPTIC}
NARROW = {"queries": 5, "encoder_layers": 1, "decoder_layers": 1, "train_points": 64}


def small_model(architecture, kind="semantic", **options) -> ModelSpec:
    return ModelSpec(
        name=f"transformers/{architecture}",
        label="transformers/test",
        adapter="transformers",
        task=kind,
        description="",
        options={"architecture": architecture, **NARROW, **options},
    )


def built(
    architecture, kind="semantic", *, weights=None, target=None, task=None, training_follows=False, **options
) -> Adapter:
    adapter = Adapter()
    adapter.training_follows = training_follows
    model = small_model(architecture, kind, **options)
    adapter.build(model, task or TASKS[kind], target or Target(threads=1), weights)
    return adapter
