from __future__ import annotations

import numpy as np
import pytest

from adapters._torch.training.batches import DecodedSplit, as_batch, class_pixels, load_batch
from adapters._torch.training.order import Chosen
from bench.records import Size
from tests.adapters.rectangles import Rectangles

GREY = (0.5, 0.5, 0.5)


def batch_of(split, *, size=None, mirrored=()):
    count = len(split)
    chosen = Chosen(tuple(range(count)), tuple(i in mirrored for i in range(count)), ((0,),) * count)
    return as_batch(load_batch(DecodedSplit(split, size), chosen, None), GREY)


def test_mirrored_images_bring_mirrored_labels():
    split = Rectangles(3, seed=0)
    pixels, labels = batch_of(split, mirrored={1})
    for index, (image, ground_truth) in enumerate(split.pairs):
        turn = np.s_[:, ::-1] if index == 1 else np.s_[:]
        assert np.array_equal(pixels[index], image[turn])
        assert np.array_equal(labels[index], ground_truth[turn])


def test_what_changes_an_image_is_given_the_seed_of_its_place():
    heard = []

    def note(image, labels, *, seed):
        heard.append(seed)
        return image, labels

    chosen = Chosen((1, 0), (False, True), ((5, 0), (5, 1)))
    load_batch(DecodedSplit(Rectangles(2, seed=0), None), chosen, note)
    assert heard == [(5, 0), (5, 1)]


def test_images_and_labels_come_at_the_training_size():
    pixels, labels = batch_of(Rectangles(4, seed=0), size=Size(12, 20))
    assert pixels.shape == (4, 12, 20, 3)
    assert labels.shape == (4, 12, 20)


def test_images_of_different_sizes_are_padded_with_void():
    split = Rectangles(2, seed=0)
    split.pairs[1] = tuple(a[:10, :12] for a in split.pairs[1])
    pixels, labels = batch_of(split)
    assert pixels.shape == (2, 24, 32, 3)
    assert np.array_equal(labels[1, :10, :12], split.pairs[1][1])
    assert (labels[1, :, 12:] == 255).all()
    assert (labels[1, 10:] == 255).all()


@pytest.mark.parametrize(("cache_bytes", "decoded"), [(10**9, 5), (2 * 24 * 32 * 4, 5 + 3), (0, 5 + 5)])
def test_images_are_decoded_once_as_far_as_memory_allows(cache_bytes, decoded):
    split = Rectangles(5, seed=0)
    kept = DecodedSplit(split, None, cache_bytes=cache_bytes)
    for _ in range(2 if cache_bytes < 10**9 else 4):
        pairs = [kept[i] for i in range(len(kept))]
    assert all(np.array_equal(image, split.pairs[i][0]) for i, (image, _labels) in enumerate(pairs))
    assert split.decoded == decoded


def test_pixels_of_classes_are_those_of_a_loop():
    masks = [labels for _, labels in Rectangles(4, seed=0).pairs]
    found = class_pixels(masks, 3)
    assert found.tolist() == [[sum(1 for v in labels.flat if v == c) for c in range(3)] for labels in masks]
    assert class_pixels([], 3).shape == (0, 3)
