"""Arrays in another label space equal what plain loops make of them, and score the same."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.labels.mapping import ClassTable, map_ground_truth, map_panoptic, map_prediction, map_true_instances
from bench.dataset import GroundTruth
from bench.metric import load_metric
from bench.records import ClassSpec
from bench.records.predictions import Instances, Panoptic, Segment, SemanticMap

VOID = 255
NEW = tuple(ClassSpec(name=n, is_thing=t, colour=(0, 0, 0)) for n, t in (("flat", False), ("vehicle", True)))
TABLE = ClassTable((0, 0, 1, 1, VOID), NEW)  # road, sidewalk, car, truck, sky


def semantic(seed):
    labels = np.random.default_rng(seed).choice([0, 1, 2, 3, 4, VOID], (7, 9)).astype(np.uint8)
    return SemanticMap(labels)


def by_hand(labels, table=TABLE):
    mapped = labels.copy()
    for row in range(labels.shape[0]):
        for column in range(labels.shape[1]):
            old = int(labels[row, column])
            mapped[row, column] = VOID if old == VOID else table.ids[old]
    return mapped


def instances(class_ids, masks, crowd=None):
    count = len(class_ids)
    flags = np.zeros(count, bool) if crowd is None else np.array(crowd)
    return Instances(np.array(masks, bool).reshape(count, 1, 4), np.array(class_ids), np.ones(count), flags)


def panoptic(seed):
    random = np.random.default_rng(seed)
    ids = random.integers(0, 9, (7, 9)).astype(np.int32)
    present = [int(i) for i in np.unique(ids) if i]
    return Panoptic(ids, tuple(Segment(i, int(random.integers(0, 5)), score=float(i) / 10) for i in present))


@pytest.mark.parametrize("seed", range(20))
def test_a_mapped_map_equals_a_loop_over_its_pixels(seed):
    drawn = semantic(seed)
    assert (map_prediction(drawn, TABLE).labels == by_hand(drawn.labels)).all()


@pytest.mark.parametrize("metric", ["mean_iou", "pixel_accuracy", "dice"])
def test_mapping_then_scoring_equals_scoring_arrays_that_were_mapped_by_hand(metric):
    scorer = load_metric(metric)
    pairs = [(semantic(2 * i), semantic(2 * i + 1)) for i in range(4)]
    mapped = [
        scorer.observe(map_ground_truth(GroundTruth(t), TABLE).semantic, map_prediction(p, TABLE), NEW)
        for t, p in pairs
    ]
    hand = [scorer.observe(SemanticMap(by_hand(t.labels)), SemanticMap(by_hand(p.labels)), NEW) for t, p in pairs]
    values = [scorer.score(np.stack(rows), NEW, seed=0).value for rows in (mapped, hand)]
    assert values[0] == values[1]
    assert values[0] is not None


@pytest.mark.parametrize("seed", range(20))
def test_the_mapped_panoptic_map_and_its_classes_equal_a_loop_over_pixels(seed):
    drawn = panoptic(seed)
    mapped = map_panoptic(drawn, TABLE)
    old_class = {s.id: s.class_id for s in drawn.segments}
    new_class = {s.id: s.class_id for s in mapped.segments}
    for before, after in zip(drawn.segment_ids.ravel().tolist(), mapped.segment_ids.ravel().tolist(), strict=True):
        wanted = VOID if before == 0 else TABLE.ids[old_class[before]]
        assert (VOID if after == 0 else new_class[after]) == wanted
        if wanted == 1:
            assert after == before, "a thing keeps its segment"
    assert {s.id for s in mapped.segments} == set(np.unique(mapped.segment_ids).tolist()) - {0}
    assert sum(s.class_id == 0 for s in mapped.segments) <= 1, "stuff is one segment"


def test_merged_stuff_is_one_segment_with_the_highest_score_and_no_crowd():
    drawn = Panoptic(
        np.array([[3, 5, 5, 0]], np.int32), (Segment(3, 0, crowd=True, score=0.2), Segment(5, 1, score=0.9))
    )
    mapped = map_panoptic(drawn, TABLE)
    assert mapped.segments == (Segment(3, 0, crowd=False, score=0.9),)
    assert mapped.segment_ids.tolist() == [[3, 3, 3, 0]]


def test_predicted_instances_keep_apart_and_those_of_a_dropped_class_are_gone():
    drawn = instances([2, 4, 3], [[1, 1, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0]])
    mapped = map_prediction(drawn, TABLE)
    assert mapped.class_ids.tolist() == [1, 1]
    assert mapped.masks[:, 0].astype(int).tolist() == [[1, 1, 0, 0], [0, 1, 1, 0]]


def test_true_instances_of_a_dropped_class_become_one_crowd_of_every_thing_class():
    both_things = (ClassSpec(name="a", is_thing=True, colour=(0, 0, 0)), NEW[1])
    table = ClassTable((0, 1, VOID), both_things)
    drawn = instances([0, 2, 2], [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    mapped = map_true_instances(drawn, table)
    assert mapped.class_ids.tolist() == [0, 0, 1]
    assert mapped.crowd.tolist() == [False, True, True]
    assert mapped.masks[1:, 0].astype(int).tolist() == [[0, 0, 1, 1]] * 2


def test_true_instances_that_became_background_are_left_out_so_a_detection_there_is_wrong():
    table = ClassTable((0, 1), NEW)
    mapped = map_true_instances(instances([0, 1], [[1, 0, 0, 0], [0, 0, 1, 0]]), table)
    assert (mapped.class_ids.tolist(), mapped.crowd.tolist()) == ([1], [False])
