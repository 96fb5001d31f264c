"""Networks small enough for a test, and how they are built."""

from __future__ import annotations

from adapters.detectron2.adapter import Adapter
from adapters.detectron2.options import ARCHITECTURES
from bench.records import ModelSpec, Target
from tests.adapters.rectangles import INSTANCES, PANOPTIC, THREE_CLASSES

TASKS = {"semantic": THREE_CLASSES, "instance": INSTANCES, "panoptic": PANOPTIC}

NARROW = {
    "fcn": {"head_channels": 8},
    "semantic_fpn": {"fpn_channels": 16, "head_channels": 16, "norm": "BN"},
    "deeplabv3plus": {"aspp_channels": 8, "head_channels": 8},
    "mask_rcnn": {"fpn_channels": 16, "box_head_channels": 32, "mask_head_channels": 8},
    "panoptic_deeplab": {"aspp_channels": 8, "head_channels": 8},
    "panoptic_fpn": {"fpn_channels": 16, "head_channels": 16, "box_head_channels": 32, "mask_head_channels": 8},
}


def small_model(architecture, **options) -> ModelSpec:
    return ModelSpec(
        name=f"detectron2/{architecture}",
        label="detectron2/test",
        adapter="detectron2",
        task=ARCHITECTURES[architecture],
        description="",
        options={"architecture": architecture, **NARROW[architecture], **options},
    )


def built(architecture, *, weights=None, target=None, task=None, **options) -> Adapter:
    adapter, model = Adapter(), small_model(architecture, **options)
    adapter.build(model, task or TASKS[model.task], target or Target(threads=1), weights)
    return adapter
