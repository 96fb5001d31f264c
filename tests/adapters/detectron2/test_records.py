from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("detectron2", reason="Detectron2 is not installed; make install")

from adapters._torch.training.order import ImageOrder
from adapters.detectron2.labels import LabelSpace
from adapters.detectron2.records import TrainingBatches, TrainingRecords, mirrored
from bench.records import Size
from bench.records.predictions import Instances, Panoptic, Segment
from tests.adapters.detectron2.made import TASKS
from tests.adapters.rectangles import Rectangles

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
CORNER, BAND = np.s_[0:2, 0:3], np.s_[3:6, 4:9]


class One:
    """A split of one image with a ground truth of its own."""

    def __init__(self, ground_truth, labels):
        self._ground_truth, self._labels = ground_truth, labels

    def __len__(self):
        return 1

    def image(self, index):
        return PICTURE

    def semantic(self, index):
        return self._labels

    def ground_truth(self, index):
        return self._ground_truth


def labels_of(*, void=()):
    labels = np.zeros((6, 9), dtype=np.uint8)
    labels[CORNER], labels[BAND] = 1, 2
    for where in void:
        labels[where] = 255
    return labels


def instances(crowd=(False, False)):
    masks = np.zeros((2, 6, 9), dtype=bool)
    masks[0][CORNER], masks[1][BAND] = True, True
    return Instances(masks, np.array([1, 2]), np.ones(2), np.array(crowd))


def panoptic(*, crowd=False):
    ids = np.full((6, 9), 7, dtype=np.int32)
    ids[CORNER], ids[BAND], ids[5, 0] = 3, 5, 0
    return Panoptic(ids, (Segment(7, 0), Segment(3, 1), Segment(5, 2, crowd=crowd)))


def read(kind, split, *, size=None, bgr=True):
    return TrainingRecords(split, kind, LabelSpace.of(TASKS[kind]), size=size, bgr=bgr)


def only(kind, ground_truth, **options):
    return read(kind, One(ground_truth, labels_of(void=[np.s_[5, 0]])), **options)[0]


@pytest.mark.parametrize(("bgr", "order"), [(True, [2, 1, 0]), (False, [0, 1, 2])])
def test_channels_stand_in_the_networks_order(bgr, order):
    image = only("instance", instances(), bgr=bgr)["image"]
    assert image.dtype == torch.uint8
    assert np.array_equal(image.numpy(), PICTURE[..., order].transpose(2, 0, 1))


def test_boxes_are_tight_and_end_beyond_the_last_pixel():
    found = only("instance", instances())["instances"]
    assert found.gt_boxes.tensor.tolist() == [[0, 0, 3, 2], [4, 3, 9, 6]]
    assert found.gt_classes.tolist() == [0, 1]  # red and green, the things, from 0
    assert np.array_equal(found.gt_masks.tensor.numpy(), instances().masks)


def test_crowds_are_left_out_of_the_instances():
    found = only("instance", instances(crowd=(True, False)))["instances"]
    assert found.gt_boxes.tensor.tolist() == [[4, 3, 9, 6]]
    assert found.gt_classes.tolist() == [1]


def test_a_crowd_segment_is_left_out_of_the_instances_and_stays_in_the_label_map():
    found = only("panoptic", panoptic(crowd=True))
    assert found["instances"].gt_classes.tolist() == [0]
    assert (found["sem_seg"][BAND] == 0).all()


def test_a_panoptic_map_gives_its_things_as_instances_and_void_stays_void():
    found = only("panoptic", panoptic())
    assert found["instances"].gt_boxes.tensor.tolist() == [[0, 0, 3, 2], [4, 3, 9, 6]]
    assert found["instances"].gt_classes.tolist() == [0, 1]
    expected = np.ones((6, 9), dtype=np.int64)  # ground, the one stuff class
    expected[CORNER], expected[BAND], expected[5, 0] = 0, 0, 255
    assert np.array_equal(found["sem_seg"].numpy(), expected)


def test_void_stays_void_in_a_label_map_of_another_size():
    labels = np.zeros((6, 9), dtype=np.uint8)
    labels[:, :3], labels[:, 3:6] = 255, 2
    found = read("semantic", One(None, labels), size=Size(12, 18))[0]["sem_seg"]
    assert found.dtype == torch.int64
    assert found.shape == (12, 18)
    assert set(found.unique().tolist()) == {0, 2, 255}
    assert (found[:, :6] == 255).all()


def test_instances_take_the_training_size_and_those_that_vanish_are_dropped():
    masks = np.zeros((2, 6, 9), dtype=bool)
    masks[0][BAND], masks[1][2, 2] = True, True
    ground_truth = Instances(masks, np.array([2, 1]), np.ones(2), np.zeros(2, dtype=bool))
    larger = only("instance", ground_truth, size=Size(12, 18))["instances"]
    assert larger.gt_boxes.tensor.tolist() == [[8, 6, 18, 12], [4, 4, 6, 6]]
    smaller = only("instance", ground_truth, size=Size(2, 3))["instances"]
    assert smaller.gt_classes.tolist() == [1]
    assert smaller.gt_masks.tensor.shape == (1, 2, 3)


@pytest.mark.parametrize("kind", ["instance", "panoptic"])
def test_an_image_without_things_has_no_instances(kind):
    nothing = Instances(np.zeros((0, 6, 9), dtype=bool), np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, bool))
    ground = Panoptic(np.ones((6, 9), dtype=np.int32), (Segment(1, 0),))
    found = only(kind, nothing if kind == "instance" else ground)["instances"]
    assert len(found) == 0
    assert found.gt_boxes.tensor.shape == (0, 4)
    assert found.gt_masks.tensor.shape == (0, 6, 9)
    assert len(mirrored({"image": torch.zeros(3, 6, 9), "instances": found})["instances"]) == 0


def test_mirroring_moves_image_labels_and_masks_together_and_boxes_stay_tight():
    record = only("panoptic", panoptic())
    found = mirrored(record)
    assert np.array_equal(found["image"].numpy(), record["image"].numpy()[..., ::-1])
    assert np.array_equal(found["sem_seg"].numpy(), record["sem_seg"].numpy()[..., ::-1])
    ground_truth = found["instances"]
    assert ground_truth.gt_boxes.tensor.tolist() == [[6, 0, 9, 2], [0, 3, 5, 6]]
    assert ground_truth.gt_boxes.tensor.tolist() == ground_truth.gt_masks.get_bounding_boxes().tensor.tolist()


@pytest.mark.parametrize("kind", ["semantic", "instance", "panoptic"])
def test_mirroring_twice_changes_nothing_and_once_leaves_the_original(kind):
    records = read(kind, Rectangles(3, seed=4, kind=kind))
    for record in (records[i] for i in range(3)):
        before = content(record)
        assert content(mirrored(mirrored(record))) == before
        assert content(mirrored(record)) != before
        assert content(record) == before


@pytest.mark.parametrize("kind", ["semantic", "instance", "panoptic"])
def test_a_batch_is_a_function_of_the_seed_and_the_step_alone(kind):
    records = read(kind, Rectangles(7, seed=4, kind=kind))
    one, other = (TrainingBatches(records, order(7, seed=5, flip=True)) for _ in range(2))
    in_order = [contents(one.batch(step)) for step in range(6)]
    assert [contents(other.batch(step)) for step in reversed(range(6))] == in_order[::-1]
    other.first_step = 2
    stream = iter(other)
    assert [contents(next(stream)) for _ in range(4)] == in_order[2:]
    another_seed = TrainingBatches(records, order(7, seed=6, flip=True))
    assert [contents(another_seed.batch(step)) for step in range(6)] != in_order


def test_images_are_mirrored_where_the_order_says_so():
    records = read("semantic", Rectangles(7, seed=4))
    plain = {content(records[i]): i for i in range(7)}
    turned = {content(mirrored(records[i])): i for i in range(7)}
    batches = TrainingBatches(records, order(7, seed=5, flip=True))
    drawn = [content(r) for step in range(12) for r in batches.batch(step)]
    assert 0 < sum(one in turned for one in drawn) < len(drawn)
    straight = TrainingBatches(records, order(7, seed=5, flip=False))
    assert all(content(r) in plain for step in range(12) for r in straight.batch(step))


def order(count, *, seed, flip):
    return ImageOrder(count, batch_size=3, seed=seed, flip=flip)


def content(record):
    parts = [record["image"].numpy().tobytes()]
    if "sem_seg" in record:
        parts.append(record["sem_seg"].numpy().tobytes())
    if "instances" in record:
        ground_truth = record["instances"]
        tensors = (ground_truth.gt_boxes.tensor, ground_truth.gt_classes, ground_truth.gt_masks.tensor)
        parts += [tensor.numpy().tobytes() for tensor in tensors]
    return tuple(parts)


def contents(batch):
    return [content(record) for record in batch]


def cached(records):
    return sum(tensor.nbytes for record in records._kept for tensor in record.values())


def test_what_does_not_fit_the_memory_is_decoded_again_and_is_the_same():
    split = Rectangles(6, seed=1)
    labels = LabelSpace.of(TASKS["semantic"])
    all_of_it = TrainingRecords(split, "semantic", labels, size=None, bgr=True)
    bounded = TrainingRecords(split, "semantic", labels, size=None, bgr=True, cache_bytes=cached(all_of_it) // 2)
    assert len(bounded) == len(all_of_it) == 6
    assert 0 < len(bounded._kept) < 6
    for one, other in zip(all_of_it, bounded, strict=False):
        assert one["sem_seg"].dtype == torch.int64
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["sem_seg"], other["sem_seg"])


def test_a_label_map_is_kept_in_a_byte_per_pixel():
    split = Rectangles(2, seed=1)
    records = TrainingRecords(split, "semantic", LabelSpace.of(TASKS["semantic"]), size=None, bgr=True)
    height, width = split.image(0).shape[:2]
    assert cached(records) == 2 * height * width * (3 + 1)
