from __future__ import annotations

import numpy as np
import pytest

from adapters._torch.data import DecodedSplit, TrainingBatches
from bench.records import Size
from tests.adapters.rectangles import Rectangles

GREY = (0.5, 0.5, 0.5)


def batches(split, *, size=None, batch_size=4, seed=0, flip=False, **more):
    return TrainingBatches(DecodedSplit(split, size), batch_size=batch_size, seed=seed, flip=flip, fill=GREY, **more)


def indices(split, pixels):
    """Which images of a split a batch holds, and which of them mirrored."""
    found = []
    for image in pixels.numpy():
        for index, (original, _labels) in enumerate(split.pairs):
            if np.array_equal(image, original):
                found.append((index, False))
            elif np.array_equal(image, original[:, ::-1]):
                found.append((index, True))
    return found


def test_an_epoch_shows_every_image_at_most_once_in_a_new_order():
    split = Rectangles(10, seed=0)
    source = batches(split)  # 10 images in batches of 4: two steps, two images left over
    epochs = [
        [index for step in (2 * e, 2 * e + 1) for index, _ in indices(split, source.batch(step)[0])] for e in range(3)
    ]
    assert source.steps_per_epoch == 2
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_a_batch_depends_on_the_step_alone():
    split = Rectangles(9, seed=0)
    first = [pixels for _, (pixels, _labels) in zip(range(7), batches(split, flip=True), strict=False)]
    later = next(iter(batches(split, flip=True, first_step=6)))[0]
    assert np.array_equal(first[6], later)


def test_another_seed_gives_another_order():
    split = Rectangles(9, seed=0)
    assert indices(split, batches(split, seed=0).batch(0)[0]) != indices(split, batches(split, seed=1).batch(0)[0])


def test_about_half_of_the_images_are_mirrored_and_their_labels_with_them():
    split = Rectangles(20, seed=0)
    mirrored = 0
    for step in range(20):
        pixels, labels = batches(split, flip=True).batch(step)
        for (index, flipped), found in zip(indices(split, pixels), labels.numpy(), strict=True):
            original = split.pairs[index][1]
            assert np.array_equal(found, original[:, ::-1] if flipped else original)
            mirrored += flipped
    assert 20 <= mirrored <= 60  # of 80; five standard deviations of a fair coin are 22


def test_a_split_smaller_than_a_batch_is_one_batch():
    source = batches(Rectangles(3, seed=0), batch_size=8)
    assert source.steps_per_epoch == 1
    assert len(source.batch(5)[0]) == 3


def test_images_and_labels_come_at_the_training_size():
    pixels, labels = batches(Rectangles(4, seed=0), size=Size(12, 20)).batch(0)
    assert pixels.shape == (4, 12, 20, 3)
    assert labels.shape == (4, 12, 20)


def test_images_of_different_sizes_are_padded_with_void():
    split = Rectangles(2, seed=0)
    split.pairs[1] = tuple(a[:10, :12] for a in split.pairs[1])
    pixels, labels = batches(split, batch_size=2).batch(0)
    small = next(i for i in range(2) if (labels[i, 10:] == 255).all())
    assert pixels.shape == (2, 24, 32, 3)
    assert np.array_equal(labels[small, :10, :12], split.pairs[1][1])
    assert (labels[small, :, 12:] == 255).all()


@pytest.mark.parametrize(("cache_bytes", "decoded"), [(10**9, 5), (2 * 24 * 32 * 4, 5 + 3), (0, 5 + 5)])
def test_images_are_decoded_once_as_far_as_memory_allows(cache_bytes, decoded):
    split = Rectangles(5, seed=0)
    kept = DecodedSplit(split, None, cache_bytes=cache_bytes)
    for _ in range(2 if cache_bytes < 10**9 else 4):
        pairs = [kept[i] for i in range(len(kept))]
    assert all(np.array_equal(image, split.pairs[i][0]) for i, (image, _labels) in enumerate(pairs))
    assert split.decoded == decoded
