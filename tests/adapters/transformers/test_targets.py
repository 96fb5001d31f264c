"""Ground truth as masks with classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="transformers is not installed; make install")

from adapters._torch.training.order import Chosen
from adapters.transformers.classes import Classes
from adapters.transformers.targets import DecodedMasks, Layers, changed, layers_of
from bench.records import Size
from bench.records.predictions import Instances, Panoptic, Segment, SemanticMap
from tests.adapters.rectangles import INSTANCES, PANOPTIC, THREE_CLASSES, Rectangles

SEMANTIC, THINGS, ALL = (Classes.of(task, "tested") for task in (THREE_CLASSES, INSTANCES, PANOPTIC))
SIZE = Size(6, 8)


def overlapping(count, seed):
    random = np.random.default_rng(seed)
    return random.random((count, *SIZE)) < 0.4


def as_pairs(layers, size=SIZE):
    masks, numbers = layers.masks(size)
    return sorted((int(n), m.numpy().tobytes()) for n, m in zip(numbers, masks, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_masks_that_overlap_come_back_as_they_were(seed):
    masks, numbers = overlapping(5, seed), [0, 1, 0, 2, 1]
    layers = Layers.of(masks, numbers, SIZE)
    assert len(layers.maps) > 1
    assert as_pairs(layers) == sorted((n, m.tobytes()) for n, m in zip(numbers, masks, strict=True))


def test_masks_that_do_not_overlap_share_a_layer():
    masks = np.zeros((3, *SIZE), dtype=bool)
    for row in range(3):
        masks[row, row] = True
    assert len(Layers.of(masks, [0, 0, 1], SIZE).maps) == 1


def test_a_label_map_has_a_mask_for_each_class_and_none_for_void():
    labels = np.array([[0, 0, 2], [255, 2, 0]], dtype=np.uint8)
    masks, numbers = layers_of(SemanticMap(labels), SEMANTIC).masks(Size(2, 3))
    assert numbers.tolist() == [0, 2]
    assert torch.equal(masks, torch.from_numpy(np.stack([labels == 0, labels == 2])))


def test_crowds_are_left_out_and_things_have_the_numbers_of_the_network():
    ground_truth = Instances(
        masks=np.ones((3, *SIZE), dtype=bool),
        class_ids=np.array([2, 1, 1]),
        scores=np.ones(3),
        crowd=np.array([False, True, False]),
    )
    assert layers_of(ground_truth, THINGS).masks(SIZE)[1].tolist() == [1, 0]  # class 1 is the first thing
    ids = np.arange(6).reshape(2, 3).astype(np.int32)
    segments = tuple(Segment(i, i % 3, crowd=i == 4) for i in range(1, 6))
    _, numbers = layers_of(Panoptic(ids, segments), ALL).masks(Size(2, 3))
    assert numbers.tolist() == [1, 2, 0, 2]


def test_an_image_without_objects_has_no_masks():
    nothing = Instances(np.zeros((0, *SIZE), dtype=bool), np.zeros(0, dtype=int), np.zeros(0), np.zeros(0, dtype=bool))
    masks, numbers = layers_of(nothing, THINGS).masks(Size(7, 9))
    assert masks.shape == (0, 7, 9)
    assert numbers.shape == (0,)


def test_every_layer_follows_its_image_through_mirroring_and_augmentation():
    masks = overlapping(4, 7)
    image = np.repeat(masks.sum(axis=0).astype(np.uint8)[..., None], 3, axis=2)  # how many masks have each pixel

    def roll(image, labels, *, seed):
        return np.roll(image, seed[0], axis=0), np.roll(labels, seed[0], axis=-2)

    turned, layers = changed(image, Layers.of(masks, [0] * 4, SIZE), mirrored=True, augment=roll, seed=(2,))
    found, _ = layers.masks(SIZE)
    assert np.array_equal(found.sum(dim=0).numpy(), turned[..., 0])
    assert np.array_equal(turned, np.roll(image[:, ::-1], 2, axis=0))


@pytest.mark.parametrize("cache_bytes", [0, 10**9])
def test_images_and_masks_have_the_training_size_and_are_decoded_once_where_they_fit(cache_bytes):
    split = Rectangles(3, seed=0, kind="instance")
    decoded = DecodedMasks(split, THINGS, lambda _: Size(12, 16), cache_bytes=cache_bytes)
    before = split.decoded
    chosen = Chosen(images=(2, 0), mirrored=(False, True), seeds=((0,), (1,)))
    (image, layers), (_, _) = decoded.batch(chosen, None)
    assert split.decoded - before == (0 if cache_bytes else 2)
    masks, numbers = layers.masks(Size(12, 16))
    assert image.shape == (12, 16, 3)
    assert masks.shape == (2, 12, 16)
    for mask, number in zip(masks, numbers.tolist(), strict=True):
        inside = image[mask.numpy()].mean(axis=0)
        assert inside[number] > 150  # red is the first thing, green the second
