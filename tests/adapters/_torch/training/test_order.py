from __future__ import annotations

from collections import Counter

import numpy as np

from adapters._torch.training.order import ImageOrder


def order(count, *, batch_size=4, seed=0, flip=False, **more):
    return ImageOrder(count, batch_size=batch_size, seed=seed, flip=flip, **more)


def test_an_epoch_shows_every_image_at_most_once_in_a_new_order():
    made = order(10)  # 10 images in batches of 4: two steps, two images left over
    epochs = [[i for step in (2 * e, 2 * e + 1) for i in made.batch(step).images] for e in range(3)]
    assert made.steps_per_epoch == 2
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_a_batch_depends_on_the_seed_and_its_place_alone():
    forward = [order(9, flip=True).batch(step) for step in range(7)]
    made = order(9, flip=True)
    assert [made.batch(step) for step in reversed(range(7))] == forward[::-1]
    assert [order(9, flip=True, seed=1).batch(step) for step in range(7)] != forward


def test_about_half_of_the_images_are_mirrored_where_asked():
    flips = [flip for step in range(50) for flip in order(20, flip=True).batch(step).mirrored]
    assert 70 < sum(flips) < 130
    assert not any(flip for step in range(50) for flip in order(20).batch(step).mirrored)


def test_a_split_smaller_than_a_batch_is_one_batch():
    made = order(3, batch_size=8)
    assert (made.batch_size, made.steps_per_epoch, sorted(made.batch(5).images)) == (3, 1, [0, 1, 2])


def test_accumulated_batches_are_one_large_batch_in_parts():
    large, small = order(24, batch_size=8), order(24, batch_size=2, accumulate=4)
    assert small.steps_per_epoch == large.steps_per_epoch
    for step in range(7):
        parts = [image for part in range(4) for image in small.batch(step, part).images]
        assert tuple(parts) == large.batch(step).images == small.of_step(step)


def test_more_accumulation_than_an_epoch_has_batches_goes_round():
    made = order(5, batch_size=2, accumulate=3)
    assert made.steps_per_epoch == 1
    assert Counter(made.of_step(0)).most_common(1)[0][1] == 2


def test_the_shares_of_all_processes_are_the_batch():
    batch = order(20, batch_size=6, flip=True).batch(3)
    shares = [batch.share(rank, 3) for rank in range(3)]
    assert sorted(i for share in shares for i in share.images) == sorted(batch.images)
    of_image = dict(zip(batch.images, zip(batch.mirrored, batch.seeds, strict=True), strict=True))
    for share in shares:
        for image, flip, seed in zip(share.images, share.mirrored, share.seeds, strict=True):
            assert of_image[image] == (flip, seed)


def test_every_place_of_a_training_has_a_seed_of_its_own():
    made = order(8, accumulate=2, batch_size=2)
    seeds = [seed for step in range(10) for part in range(2) for seed in made.batch(step, part).seeds]
    assert len(set(seeds)) == len(seeds)


def test_balanced_drawing_shows_a_rare_class_as_often_as_a_frequent_one():
    present = np.zeros((100, 3), dtype=bool)
    present[:99, 0] = True  # a class of nearly all images
    present[99, 1] = True  # a class of one image; class 2 is nowhere
    drawn = Counter(i for step in range(250) for i in order(100, batch_size=8, present=present).batch(step).images)
    assert 0.45 < drawn[99] / drawn.total() < 0.55
    plain = Counter(i for step in range(250) for i in order(100, batch_size=8).batch(step).images)
    assert plain[99] / plain.total() < 0.02


def test_balanced_drawing_of_images_without_labels_takes_them_all_alike():
    present = np.zeros((4, 2), dtype=bool)
    drawn = Counter(i for step in range(100) for i in order(4, batch_size=4, present=present).batch(step).images)
    assert set(drawn) == {0, 1, 2, 3}
