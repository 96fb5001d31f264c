"""Tests that what `bench check` learns of a model without its framework is what its adapter refuses when built."""

from __future__ import annotations

import pytest

from bench.adapter import load_adapter, load_light
from bench.errors import Unsupported
from bench.records import ClassSpec, Size, SlidingWindow, Target, TaskSpec
from bench.suite.model_configs import resolve_model

CLASSES = (ClassSpec(name="background", colour=(0, 0, 0)), ClassSpec(name="cat", colour=(255, 0, 0), is_thing=True))
WINDOW = SlidingWindow(size=Size(32, 32))
REFUSED = [
    ("torchvision/maskrcnn_small", Target(runtime="onnxruntime")),
    ("torchvision/maskrcnn_small", Target(precision="bf16")),
    ("torchvision/maskrcnn_small", Target(window=WINDOW)),
    ("detectron2/mask_rcnn", Target(window=WINDOW)),
    ("transformers/mask2former_instance", Target(window=WINDOW)),
    ("sam/sam_vit_b", Target(image_size=Size(64, 64))),
    ("sam/sam_vit_b", Target(window=WINDOW)),
    ("unet/classic", Target(precision="fp16")),
    ("unet/classic", Target(precision="int8")),
    ("unet/classic", Target(runtime="cuda_graphs")),
    ("unet/classic", Target(runtime="openvino", channels_last=True)),
    ("onnxruntime/file", Target(channels_last=True)),
    ("onnxruntime/file", Target(device="cuda")),
    ("onnxruntime/file", Target(precision="bf16")),
]


@pytest.mark.parametrize(("name", "target"), REFUSED, ids=[f"{name}-{i}" for i, (name, _) in enumerate(REFUSED)])
def test_what_the_light_abilities_refuse_is_refused_when_the_model_is_built(name, target):
    model = resolve_model(name)
    light = load_light(model.adapter, "options")
    assert light.abilities(model).refusals(target)
    assert not light.abilities(model).refusals(Target())
    adapter = load_adapter(model.adapter)
    with pytest.raises(Unsupported):
        adapter.build(model, TaskSpec(kind=model.task, classes=CLASSES), target, None)


@pytest.mark.parametrize("name", sorted({name for name, _ in REFUSED}))
def test_the_light_abilities_offer_no_runtime_that_the_adapter_has_not(name):
    model = resolve_model(name)
    assert set(load_light(model.adapter, "options").abilities(model).runtimes) <= set(
        load_adapter(model.adapter).runtimes
    )


@pytest.mark.parametrize("adapter", ["onnxruntime", "litert"])
def test_a_file_that_is_run_as_it_is_plans_no_export(adapter):
    assert load_light(adapter, "options").EXPORTS is False
