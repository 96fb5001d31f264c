from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("detectron2", reason="Detectron2 is not installed; make install")

from bench.adapter import TrainingData, predict
from bench.records import Size
from bench.records.predictions import check_prediction
from tests.adapters.detectron2.made import TASKS, built
from tests.adapters.rectangles import Recorder, Rectangles, short_recipe

ODD = Size(33, 47)


@pytest.mark.few(1)
@pytest.mark.parametrize("architecture", ["semantic_fpn", "deeplabv3plus", "mask_rcnn", "panoptic_fpn"])
def test_images_of_odd_size_are_trained_on_and_answered(architecture, tmp_path):
    adapter = built(architecture)
    kind = adapter._options.task
    train, val = (Rectangles(4, seed=seed, size=ODD, kind=kind) for seed in (1, 2))
    result = adapter.train(
        TrainingData(train, val, TASKS[kind]), short_recipe(budget={"steps": 1}), tmp_path, Recorder()
    )
    (found,) = predict(built(architecture, weights=result.weights), [val.image(0)])
    check_prediction(found, kind=kind, num_classes=3, size=ODD, image_id="drawn", model="tested")


def test_deeplabs_loss_at_odd_sizes_is_that_of_the_pixels_the_image_has():
    head = built("deeplabv3plus")._network.module.sem_seg_head
    drawn = torch.Generator().manual_seed(0)
    logits = torch.rand(1, 3, 9, 12, generator=drawn)
    targets = torch.randint(0, 3, (1, *ODD), generator=drawn)
    targets[:, :5] = 255
    # Targets of the logits' size, void where the image ends, are what the framework's own loss takes.
    padded = F.pad(targets, (0, 1, 0, 3), value=255)
    own = super(type(head), head).losses(logits, padded)["loss_sem_seg"]
    torch.testing.assert_close(head.losses(logits, targets)["loss_sem_seg"], own)
