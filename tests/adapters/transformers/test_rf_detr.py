"""RF-DETR beside its own image processor, and its losses beside those of transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adapters.transformers.rf_detr import centred_boxes
from bench.adapter import load_adapter, predict
from bench.records import Size, Target
from bench.suite.model_configs import resolve_model
from tests.adapters.parity_pictures import picture
from tests.adapters.rectangles import INSTANCES, Recorder, Rectangles, TrainingData, short_recipe

SMALL = {"queries": 8, "encoder_layers": 2, "decoder_layers": 1, "canvas": 48, "score_threshold": 0.3}
SIZES = [Size(75, 100), Size(48, 48), Size(31, 45)]


def built(**options):
    adapter = load_adapter("transformers")
    model = resolve_model("transformers/rf_detr_instance", options={**SMALL, **options})
    adapter.build(model, INSTANCES, Target(threads=1), None)
    return adapter


def network_of(adapter):
    return adapter._chosen._network.module.module


@torch.no_grad()
def lively(module):
    """Masks that differ from place to place, and scores on both sides of a threshold."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        if "class_embed" in name or "query_feat" in name or "segmentation_bias" in name:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0 if "bias" in name else 1))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_masks_classes_and_scores_are_those_of_the_frameworks_own_processor(size):
    from transformers import RfDetrImageProcessor

    adapter, image = built(), picture(size)
    module = network_of(adapter)
    lively(module)
    (found,) = predict(adapter, [image])
    reader = RfDetrImageProcessor(size={"height": 48, "width": 48}, do_pad=False)
    with torch.inference_mode():
        outputs = module(reader(images=image, return_tensors="pt")["pixel_values"])
    (theirs,) = reader.post_process_instance_segmentation(
        outputs, threshold=0.3, target_sizes=[tuple(size)], return_binary_maps=True, top_k=100
    )
    scores = [segment["score"] for segment in theirs["segments_info"]]
    assert len(scores) >= 2
    assert found.scores == pytest.approx(scores, abs=1e-4)
    assert found.class_ids.tolist() == [
        segment["label_id"] + 1 for segment in theirs["segments_info"]
    ]  # things of the task
    assert (found.masks != theirs["segmentation"].numpy()).mean() <= 1e-4


def test_boxes_are_the_edges_of_masks_by_a_loop():
    random = np.random.default_rng(0)
    masks = np.zeros((20, 13, 17), dtype=np.float32)
    for mask in masks:
        top, left = random.integers(0, 12), random.integers(0, 16)
        mask[top : top + random.integers(1, 13), left : left + random.integers(1, 17)] = 1
    expected = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        x0, x1, y0, y1 = columns.min() / 17, (columns.max() + 1) / 17, rows.min() / 13, (rows.max() + 1) / 13
        expected.append([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0])
    assert centred_boxes(torch.from_numpy(masks)).numpy() == pytest.approx(np.array(expected), abs=1e-6)


def test_images_without_objects_can_be_trained_on(tmp_path):
    empty = Rectangles(4, seed=0, classes=1, kind="instance")
    data = TrainingData(train=empty, val=empty, task=INSTANCES)
    recorder = Recorder()
    result = built().train(data, short_recipe(budget={"steps": 2}), tmp_path, recorder)
    assert result.steps == 2
    assert 0 < recorder.steps[-1]["loss"] < 100


def test_it_trains_in_mixed_precision_although_its_matching_has_none(tmp_path):
    task = Rectangles(4, seed=0, kind="instance")
    data = TrainingData(train=task, val=task, task=INSTANCES)
    result = built(groups=2).train(data, short_recipe(budget={"steps": 1}, precision="bf16"), tmp_path, Recorder())
    assert result.steps == 1
