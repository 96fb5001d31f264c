"""Scenes never change by a pixel, their three ground truth are one, and every hard case occurs."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from bench.datasets.shapes import NAMES, SPLITS, Options, open_dataset
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, Size
from bench.records.predictions import check_prediction

PRESETS = ("easy", "standard", "hard")
CONVEX = [NAMES.index(name) for name in ("disc", "square", "triangle")]
RING, DUMBBELL, HEXAGON = (NAMES.index(name) for name in ("ring", "dumbbell", "hexagon"))

# SHA-256 of image, labels and segment ids. These are frozen: results of different years are only
# comparable while they hold. A changed scene needs a raised GENERATOR_VERSION and a changelog entry.
FROZEN = {
    ("easy", 128, 128, "shapes-train-00000"): "27c9aff7c1840431b42cc72c8cea187df4dc1396c05d655907de78e8ff5e2be8",
    ("easy", 128, 128, "shapes-test-00007"): "4bbb6c39240d292a53b5bb302083daf069e2f4a4f77f501821543b4b86b8195e",
    ("easy", 97, 61, "shapes-train-00000"): "177069eab34d5767330dd8e56ec062296d9f08a07aa956f7e0aa8bdb8eebd9dd",
    ("easy", 97, 61, "shapes-test-00007"): "8c9e6bb18b77781f814667fb0395315ec10aea4942b93f52593a3ac076446221",
    ("standard", 128, 128, "shapes-train-00000"): "3073ff263643219a90e1641ced29cbbec0e99b5626c725f5fc1aec2293bf23e0",
    ("standard", 128, 128, "shapes-test-00007"): "36ebf0fa7b234cdd201bc9f5729a5c9100924166d29e439ea8e217c7b977c513",
    ("standard", 97, 61, "shapes-train-00000"): "c71c56ef2c59cedaaeb4dbbed1bd5438cf1c13deb4590376840af502f4bd9e87",
    ("standard", 97, 61, "shapes-test-00007"): "6886493a0b01bace496c9c414e81c4c81bdbecfed6cde5af7559659144e1f3df",
    ("hard", 128, 128, "shapes-train-00000"): "f918b7399c823694cc92faba0f66ebe64f0f8d1d471ddb73b918a6e8f1b6938e",
    ("hard", 128, 128, "shapes-test-00007"): "2fd06e025a60887153cfec771881feb630ebce2dc48d3f126fd629f94dcd683c",
    ("hard", 97, 61, "shapes-train-00000"): "6ff3413d24e8504fb49d200aba8bdc518e25b4babb6aae834d9b5dea2753eae6",
    ("hard", 97, 61, "shapes-test-00007"): "37b73cafc96776de248646f0bfb01cdef6be5dbaff01b309b4fa73f87c6e91ab",
}  # fmt: skip


def scene_hash(dataset, image_id):
    ground_truth = dataset.target(image_id)
    parts = (dataset.image(image_id), ground_truth.semantic.labels, ground_truth.panoptic.segment_ids.astype("<i4"))
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def first_ground_truths(preset, count=100):
    dataset = open_dataset(Options(preset=preset))
    return [dataset.target(image_id) for image_id in dataset.ids("train")[:count]]


def things(ground_truths, class_ids):
    """Visible masks of the things of some classes, crowds left out, with their ground truth and segment id."""
    for ground_truth in ground_truths:
        for segment in ground_truth.panoptic.segments:
            if segment.class_id in class_ids and not segment.crowd:
                yield ground_truth.panoptic.segment_ids == segment.id, ground_truth, segment


def parts(mask):
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1


def holes(mask):
    # Components of the outside of a mask with a free margin: one is the outside proper.
    outside = np.pad(~mask, 1, constant_values=True)
    return parts(outside) - 1


def hull(mask):
    points = cv2.convexHull(np.argwhere(mask)[:, ::-1].astype(np.int32))
    return cv2.fillConvexPoly(np.zeros(mask.shape, np.uint8), points, 1).astype(bool)


@pytest.mark.parametrize(("preset", "height", "width", "image_id"), FROZEN)
def test_a_scene_never_changes_by_a_single_bit(preset, height, width, image_id):
    dataset = open_dataset(Options(preset=preset, size=Size(height, width)))
    assert scene_hash(dataset, image_id) == FROZEN[preset, height, width, image_id]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_three_ground_truths_agree_in_every_pixel(preset):
    for ground_truth in first_ground_truths(preset, 25):
        labels, ids = ground_truth.semantic.labels, ground_truth.panoptic.segment_ids
        class_of = {0: IGNORE_LABEL, **{s.id: s.class_id for s in ground_truth.panoptic.segments}}
        assert [[class_of[i] for i in row] for row in ids.tolist()] == labels.tolist()

        painted = np.full(labels.shape, -1)
        for mask, class_id in zip(ground_truth.instances.masks, ground_truth.instances.class_ids, strict=True):
            assert (painted[mask] == -1).all()  # visible masks do not overlap
            painted[mask] = class_id
        is_thing = (labels >= NAMES.index("disc")) & (labels != IGNORE_LABEL)
        assert np.array_equal(painted != -1, is_thing)
        assert np.array_equal(painted[is_thing], labels[is_thing])
        crowds = sum(s.crowd for s in ground_truth.panoptic.segments)
        assert ground_truth.instances.crowd.sum() == crowds


@pytest.mark.parametrize("preset", PRESETS)
def test_rings_with_holes_occur(preset):
    assert any(holes(mask) for mask, _, _ in things(first_ground_truths(preset), [RING]))


@pytest.mark.parametrize("preset", PRESETS)
def test_objects_in_two_parts_occur(preset):
    assert any(parts(mask) == 2 for mask, _, _ in things(first_ground_truths(preset), [DUMBBELL]))


@pytest.mark.parametrize("preset", PRESETS)
def test_objects_that_hide_others_occur(preset):
    # A convex object into whose hull a later one reaches is partly hidden by it.
    hidden = 0
    for mask, ground_truth, segment in things(first_ground_truths(preset), CONVEX):
        later = ground_truth.panoptic.segment_ids > segment.id
        hidden += bool((hull(mask) & later).sum() > 20)
    assert hidden > 10


@pytest.mark.parametrize("preset", PRESETS)
def test_crowds_and_void_and_scenes_without_either_occur(preset):
    ground_truths = first_ground_truths(preset)
    crowds = sum(bool(ground_truth.instances.crowd.any()) for ground_truth in ground_truths)
    voids = sum(bool((ground_truth.semantic.labels == IGNORE_LABEL).any()) for ground_truth in ground_truths)
    assert 0 < crowds < len(ground_truths)
    assert 0 < voids < len(ground_truths)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_hexagon_is_a_class_that_never_occurs(preset):
    dataset = open_dataset(Options(preset=preset, size=Size(32, 32)))
    assert dataset.classes[HEXAGON].name == "hexagon"
    for split in dataset.splits():
        for image_id in dataset.ids(split):
            ground_truth = dataset.target(image_id)
            assert not (ground_truth.semantic.labels == HEXAGON).any()
            assert all(segment.class_id != HEXAGON for segment in ground_truth.panoptic.segments)


@pytest.mark.parametrize("size", [Size(16, 16), Size(17, 64), Size(61, 16), Size(99, 131)])
@pytest.mark.parametrize("preset", PRESETS)
def test_odd_and_small_sizes_give_valid_ground_truths_of_that_size(size, preset):
    dataset = open_dataset(Options(preset=preset, size=size, val=20))
    for image_id in dataset.ids("val"):
        assert dataset.image(image_id).shape == (*size, 3)
        assert dataset.image(image_id).dtype == np.uint8
        assert dataset.size(image_id) == size
        ground_truth = dataset.target(image_id)
        for kind in dataset.tasks:
            names = {"size": size, "image_id": image_id, "model": "truth"}
            check_prediction(ground_truth.of(kind), kind=kind, num_classes=len(dataset.classes), **names)


@pytest.mark.parametrize("size", [Size(15, 64), Size(64, 1)])
def test_a_side_below_16_is_refused_and_the_least_size_named(size):
    with pytest.raises(DatasetError, match=rf"^shapes: size \({size[0]}, {size[1]}\) is too small .* at least 16"):
        open_dataset(Options(size=size))


@pytest.mark.parametrize("wrong", [{"presets": "easy"}, {"preset": "medium"}, {"train": 0}, {"seed": -1}])
def test_options_refuse_unknown_keys_and_values(wrong):
    with pytest.raises(ValidationError):
        Options(**wrong)


def test_no_image_is_in_two_splits_and_no_id_either():
    dataset = open_dataset(Options(size=Size(48, 64)))  # the smaller, the likelier are two alike
    ids = [image_id for split in SPLITS for image_id in dataset.ids(split)]
    assert len(ids) == 480 + 64 + 200
    assert len(set(ids)) == len(ids)
    assert len({dataset.image(image_id).tobytes() for image_id in ids}) == len(ids)
    # Noise alone would make images differ; the scenes themselves differ as well.
    assert len({dataset.target(image_id).semantic.labels.tobytes() for image_id in ids}) == len(ids)


@pytest.mark.parametrize("change", [{"preset": "hard"}, {"size": Size(128, 127)}, {"seed": 1}, {"val": 65}])
def test_what_changes_a_split_changes_its_fingerprint(change):
    before, after = open_dataset(Options()), open_dataset(Options(**change))
    assert before.fingerprint("val") != after.fingerprint("val")


def test_splits_have_fingerprints_of_their_own_that_other_splits_lengths_do_not_change():
    before, after = open_dataset(Options()), open_dataset(Options(train=7, test=9))
    assert before.fingerprint("val") == after.fingerprint("val")
    assert scene_hash(before, "shapes-val-00003") == scene_hash(after, "shapes-val-00003")
    assert len({before.fingerprint(split) for split in SPLITS}) == 3


def test_a_longer_split_keeps_its_first_scenes():
    short, long = open_dataset(Options(test=5)), open_dataset(Options(test=500))
    assert short.ids("test") == long.ids("test")[:5]
    assert [scene_hash(short, i) for i in short.ids("test")] == [scene_hash(long, i) for i in short.ids("test")]


def test_a_caller_who_writes_into_what_it_got_changes_nothing():
    dataset = open_dataset(Options())
    before = scene_hash(dataset, "shapes-val-00000")
    masks = dataset.target("shapes-val-00000").instances.masks.copy()
    dataset.image("shapes-val-00000")[:] = 0
    ground_truth = dataset.target("shapes-val-00000")
    ground_truth.semantic.labels[:] = 0
    ground_truth.panoptic.segment_ids[:] = 0
    ground_truth.instances.masks[:] = False
    assert scene_hash(dataset, "shapes-val-00000") == before
    assert np.array_equal(dataset.target("shapes-val-00000").instances.masks, masks)
