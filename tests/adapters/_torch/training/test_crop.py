"""Random parts of training images at their full resolution, against the pixels of the images themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adapters._torch.training.augment import RandomCrop, augment_of
from adapters._torch.training.semantic import fit
from adapters.unet.adapter import make_unet
from bench.adapter import load_light
from bench.records import IGNORE_LABEL, Augmentation, Budget, Recipe, Size
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import THREE_CLASSES, Recorder, rectangles, short_recipe, small_unet

FILL = (0.5, 0.25, 0.0)
SEEDS = range(60)


def coordinates(height, width):
    """An image whose pixels say where they are: row, column and their sum; and labels of the same parity."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([rows, columns, rows ^ columns], axis=-1), ((rows + columns) % 2).astype(np.uint8)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_part_is_a_window_of_the_image_with_its_labels(seed):
    image, labels = coordinates(90, 120)
    part, ids = RandomCrop(Size(40, 50), None, fill=FILL)(image, labels, seed=[seed])
    top, left = (int(value) for value in part[0, 0, :2])
    assert np.array_equal(part, image[top : top + 40, left : left + 50])
    assert np.array_equal(ids, labels[top : top + 40, left : left + 50])


def test_parts_lie_everywhere_out_to_the_edges():
    image, labels = coordinates(44, 52)
    crop = RandomCrop(Size(40, 50), None, fill=FILL)
    corners = {tuple(crop(image, labels, seed=[seed])[0][0, 0, :2]) for seed in range(400)}
    assert corners == {(top, left) for top in range(5) for left in range(3)}


@pytest.mark.parametrize("seed", SEEDS)
def test_an_image_smaller_than_the_part_is_padded_and_void_there(seed):
    image, labels = coordinates(30, 120)
    part, ids = RandomCrop(Size(40, 50), None, fill=FILL)(image, labels, seed=[seed])
    beside = (part == np.round(np.array(FILL) * 255)).all(axis=-1) & (ids == IGNORE_LABEL)
    rows = ~beside.all(axis=1)
    assert rows.sum() == 30
    left = int(part[rows][0, 0, 1])
    assert np.array_equal(part[rows], image[:, left : left + 50])
    assert np.array_equal(ids[rows], labels[:, left : left + 50])


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_scale_changes_how_much_of_the_image_a_part_shows(factor):
    image, labels = coordinates(100, 200)
    for seed in SEEDS:
        part, ids = RandomCrop(Size(40, 40), (factor, factor), fill=FILL)(image, labels, seed=[seed])
        shown = part[..., 0].astype(int)
        assert part.shape == (40, 40, 3)
        assert (ids != IGNORE_LABEL).all()
        assert shown[-1].mean() - shown[0].mean() == pytest.approx(39 / factor, abs=1.5)


def test_scales_are_drawn_by_their_ratio_between_both_ends():
    image, labels = coordinates(200, 200)
    crop = RandomCrop(Size(40, 40), (0.5, 2.0), fill=FILL)
    spans = [np.ptp(crop(image, labels, seed=[seed])[0][..., 0].astype(int)) for seed in range(300)]
    assert min(spans) < 23
    assert max(spans) > 74
    assert np.median(spans) == pytest.approx(39, abs=5)


def test_further_changes_follow_the_crop_and_do_not_scale_again():
    image, labels = coordinates(90, 120)
    recipe = short_recipe(random_crop=(40, 50), augmentation=Augmentation(scale=(2.0, 2.0)))
    part, _ = augment_of(recipe, fill=FILL)(image, labels, seed=[3])
    alone, _ = RandomCrop(Size(40, 50), (2.0, 2.0), fill=FILL)(image, labels, seed=[3])
    assert np.array_equal(part, alone)


def test_a_recipe_that_changes_nothing_has_no_augmenter():
    assert augment_of(short_recipe(), fill=FILL) is None


def test_a_training_sees_parts_and_is_validated_on_whole_images(tmp_path):
    torch.manual_seed(0)
    network, shapes = make_unet(small_unet(), THREE_CLASSES), []
    network.module.register_forward_pre_hook(lambda module, inputs: shapes.append((module.training, inputs[0].shape)))
    recipe = short_recipe(budget=Budget(steps=2), random_crop=(16, 8), augmentation=Augmentation(scale=(0.5, 2.0)))
    fit(network, rectangles(), recipe, tmp_path, Recorder())
    trained = {tuple(shape[-2:]) for training, shape in shapes if training}
    validated = {tuple(shape[-2:]) for training, shape in shapes if not training}
    assert trained == {(16, 8)}
    assert validated == {(24, 32)}


@pytest.mark.parametrize("name", ["ultralytics/yolo11n_seg", "detectron2/mask_rcnn"])
def test_trainers_that_cannot_cut_refuse_before_anything_runs(name):
    model, recipe = resolve_model(name), Recipe(budget=Budget(steps=1), random_crop=Size(64, 64))
    (refusal,) = load_light(model.adapter, "options").abilities(model).training_refusals(recipe)
    assert "leave 'random_crop' out" in refusal


@pytest.mark.parametrize("name", ["unet/transposed", "torchvision/maskrcnn_small", "transformers/mask2former_panoptic"])
def test_trainers_that_can_cut_say_nothing(name):
    model, recipe = resolve_model(name), Recipe(budget=Budget(steps=1), random_crop=Size(64, 64))
    assert load_light(model.adapter, "options").abilities(model).training_refusals(recipe) == []
