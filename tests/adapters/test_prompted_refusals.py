"""Models that find things themselves have no prompted prediction: a row of the table, not a crash."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from bench.adapter import load_adapter
from bench.errors import Unsupported
from bench.records import Target, TaskSpec
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import THREE_CLASSES

PROMPTED = TaskSpec(kind="prompted", classes=THREE_CLASSES.classes)
MODEL_CONFIGS = {
    "fake/noisy": "numpy",
    "unet/transposed": "torch",
    "unet/components_instances": "torch",
    "smp/unet_mobilenet_v2": "segmentation_models_pytorch",
    "torchvision/lraspp_mobilenet_v3_large": "torchvision",
    "transformers/segformer_b0": "transformers",
    "detectron2/mask_rcnn": "detectron2",
    "detectron2/panoptic_fpn": "detectron2",
    "ultralytics/yolo11n_seg": "ultralytics",
}
"""Model config -> the module it needs; without it the model config is skipped."""


def refused(model):
    with pytest.raises(Unsupported, match="no prompted prediction"):
        load_adapter(model.adapter).build(model, PROMPTED, Target(threads=1), None)


@pytest.mark.parametrize("model_config", MODEL_CONFIGS)
def test_an_adapter_without_prompts_refuses_the_task_by_name(model_config):
    if find_spec(MODEL_CONFIGS[model_config]) is None:
        pytest.skip(f"{MODEL_CONFIGS[model_config]} is not installed; make install")
    refused(resolve_model(model_config))


@pytest.mark.parametrize("model_config", ["unet/transposed", "detectron2/mask_rcnn"])
def test_a_model_config_that_claims_the_task_changes_nothing(model_config):
    if find_spec(MODEL_CONFIGS[model_config]) is None:
        pytest.skip(f"{MODEL_CONFIGS[model_config]} is not installed; make install")
    refused(resolve_model(model_config).model_copy(update={"task": "prompted"}))
