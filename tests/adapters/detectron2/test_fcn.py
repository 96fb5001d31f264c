from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("detectron2", reason="Detectron2 is not installed; make install")

import numpy as np

from adapters.detectron2.heads import bilinear_deconvolution
from bench.adapter import TrainingData, predict
from bench.records import Size, Target
from tests.adapters.detectron2.made import built
from tests.adapters.rectangles import THREE_CLASSES, Recorder, Rectangles, short_recipe

ODD = Size(33, 47)


def module_of(adapter):
    return adapter._network.module


@pytest.mark.parametrize(
    ("stride", "features"), [(32, ["res5"]), (16, ["res5", "res4"]), (8, ["res5", "res4", "res3"])]
)
def test_the_stride_decides_which_depths_are_scored_from_coarse_to_fine(stride, features):
    head = module_of(built("fcn", stride=stride)).sem_seg_head
    assert head.in_features == features
    assert head.common_stride == stride
    assert [score.in_channels for score in head.scores] == [8, 256, 128][: len(features)]
    assert len(head.upsampling) == len(features) - 1


@pytest.mark.parametrize("stride", [32, 16, 8])
def test_every_depth_that_is_scored_reaches_the_logits(stride):
    head = module_of(built("fcn", stride=stride)).sem_seg_head
    channels = {"res5": 512, "res4": 256, "res3": 128}
    sides = {"res5": 2, "res4": 4, "res3": 8}
    drawn = torch.Generator().manual_seed(0)
    features = {
        name: torch.rand(1, channels[name], sides[name], sides[name], generator=drawn, requires_grad=True)
        for name in head.in_features
    }
    logits = head.layers(features)
    assert logits.shape == (1, 3, 64 // stride, 64 // stride)
    logits.square().sum().backward()
    assert all(feature.grad.abs().sum() > 0 for feature in features.values())


def test_logits_are_the_sum_of_the_depths_each_brought_up_bilinearly():
    head = module_of(built("fcn", stride=8)).sem_seg_head
    drawn = torch.Generator().manual_seed(0)
    coarse, middle, fine = (
        torch.rand(1, channels, side, side, generator=drawn) for channels, side in ((512, 4), (256, 8), (128, 16))
    )
    with torch.no_grad():
        found = head.layers({"res5": coarse, "res4": middle, "res3": fine})
        maps = [head.scores[0](head.classifier(coarse)), head.scores[1](middle), head.scores[2](fine)]
    twice = F.interpolate(maps[0], scale_factor=2, mode="bilinear")
    expected = F.interpolate(twice + maps[1], scale_factor=2, mode="bilinear") + maps[2]
    # The border differs: transposed convolution takes zero beyond it, interpolation the nearest value.
    torch.testing.assert_close(found[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4])


@pytest.mark.few(1)
@pytest.mark.parametrize("stride", [32, 16, 8])
def test_images_of_odd_size_are_trained_on_and_answered(stride, tmp_path):
    data = TrainingData(Rectangles(4, seed=1, size=ODD), Rectangles(2, seed=2, size=ODD), THREE_CLASSES)
    result = built("fcn", stride=stride).train(data, short_recipe(budget={"steps": 2}), tmp_path, Recorder())
    assert 0 <= result.self_reported["val_mean_iou"] <= 1
    adapter = built("fcn", stride=stride, weights=result.weights)
    (found,) = predict(adapter, [data.val.image(0)])
    assert found.labels.shape == tuple(ODD)


def test_odd_images_are_labelled_where_the_network_sees_them():
    """An edge of scores at a known column stays at that column of the image."""
    adapter = built("fcn", stride=8, target=Target(threads=1))
    head = module_of(adapter).sem_seg_head
    steps = torch.zeros(1, 3, 5, 6)  # 33 x 47 at stride 8, rounded up
    steps[:, 1, :, 3:] = 1
    steps[:, 0] = 0.5
    batch = adapter.preprocess([np.zeros((*ODD, 3), dtype=np.uint8)])
    (found,) = adapter.postprocess((batch, head._to_input_size(steps)), [ODD])
    assert (found.labels[:, :24] == 0).all()
    assert (found.labels[:, 24:] == 1).all()


def test_a_constant_map_stays_constant_inside():
    with torch.no_grad():
        found = bilinear_deconvolution(2)(torch.full((1, 2, 5, 7), 3.0))
    assert found.shape == (1, 2, 10, 14)
    torch.testing.assert_close(found[..., 1:-1, 1:-1], torch.full((1, 2, 8, 12), 3.0))


def test_the_up_sampling_starts_as_bilinear_interpolation_of_each_channel_alone():
    maps = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = bilinear_deconvolution(3)(maps)
    expected = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_void_pixels_have_no_part_in_the_loss():
    head = module_of(built("fcn", stride=8)).sem_seg_head
    logits = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    targets = torch.full((1, 13, 16), 255)
    targets[0, 2, 3], targets[0, 12, 15] = 1, 2
    at_input = F.interpolate(logits, scale_factor=8, mode="bilinear").log_softmax(dim=1)
    expected = -(at_input[0, 1, 2, 3] + at_input[0, 2, 12, 15]) / 2
    torch.testing.assert_close(head.losses(logits, targets)["loss_sem_seg"], expected)
