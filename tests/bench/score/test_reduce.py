"""Panoptic and instance predictions become semantic maps by the declared rules."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.formats.rasters import instances_from_panoptic
from bench.errors import BenchError
from bench.records import ClassSpec
from bench.records.predictions import Instances, Panoptic, Segment, SemanticMap
from bench.score.reduce import (
    RULES,
    background_class,
    reaches,
    reduced,
    semantic_from,
    semantic_from_instances,
    semantic_from_panoptic,
)


def instances(*painted: tuple[str, int, float]) -> Instances:
    """From one row each: (picture with x for the mask, class id, score)."""
    masks = np.array([[[c == "x" for c in picture]] for picture, _, _ in painted]).reshape(len(painted), 1, -1)
    return Instances(
        masks=masks,
        class_ids=np.array([c for _, c, _ in painted], dtype=np.int64),
        scores=np.array([s for _, _, s in painted], dtype=np.float64),
        crowd=np.zeros(len(painted), dtype=bool),
    )


def test_the_surest_instance_is_painted_on_top_whatever_the_order():
    sure, unsure = ("..xxx.", 1, 0.9), ("xxx...", 2, 0.6)
    expected = [[2, 2, 1, 1, 1, 0]]
    assert semantic_from_instances(instances(sure, unsure), tau=0.5, background=0).labels.tolist() == expected
    assert semantic_from_instances(instances(unsure, sure), tau=0.5, background=0).labels.tolist() == expected


def test_an_instance_at_the_threshold_counts_and_one_below_does_not():
    found = instances(("x..", 1, 0.5), (".x.", 2, 0.49))
    assert semantic_from_instances(found, tau=0.5, background=None).labels.tolist() == [[1, 255, 255]]


def test_no_instance_leaves_background_everywhere():
    nothing = Instances(np.zeros((0, 2, 3), bool), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
    assert semantic_from_instances(nothing, tau=0.5, background=4).labels.tolist() == [[4] * 3] * 2


def test_equal_scores_are_painted_in_their_order():
    found = instances(("xx", 1, 0.7), (".x", 2, 0.7))
    assert semantic_from_instances(found, tau=0.5, background=0).labels.tolist() == [[1, 2]]


def test_segments_take_their_class_and_void_stays_void():
    # two segments of class 3 (a thing) and one of class 0 (stuff)
    panoptic = Panoptic(np.int32([[0, 7, 7], [70000, 2, 2]]), (Segment(7, 3), Segment(70000, 3), Segment(2, 0)))
    assert semantic_from_panoptic(panoptic).labels.tolist() == [[255, 3, 3], [3, 0, 0]]


def test_a_segment_that_is_not_listed_is_refused_by_its_id():
    with pytest.raises(BenchError, match=r"segment ids \[9\]"):
        semantic_from_panoptic(Panoptic(np.int32([[9, 0]]), ()))


def test_instances_lie_on_the_class_called_background_or_on_none():
    sky, background = (ClassSpec(name=n, colour=(0, 0, 0)) for n in ("sky", "Background"))
    found = instances(("x..", 0, 0.8))
    assert background_class((sky, background)) == 1
    assert semantic_from(found, (sky, background)).labels.tolist() == [[0, 1, 1]]
    assert semantic_from(found, (sky, sky)).labels.tolist() == [[0, 255, 255]]


THING_AND_STUFF = (ClassSpec(name="sky", colour=(0, 0, 0)), ClassSpec(name="disc", is_thing=True, colour=(9, 9, 9)))


def test_thing_segments_become_instances_and_stuff_does_not():
    segments = (Segment(3, 1, score=0.7), Segment(5, 0), Segment(9, 1, crowd=True))
    panoptic = Panoptic(np.int32([[3, 3, 5], [9, 0, 5]]), segments)
    found = instances_from_panoptic(panoptic, THING_AND_STUFF)
    assert found.masks.astype(int).tolist() == [[[1, 1, 0], [0, 0, 0]], [[0, 0, 0], [1, 0, 0]]]
    assert found.class_ids.tolist() == [1, 1]
    assert found.scores.tolist() == [0.7, 1.0]
    assert found.crowd.tolist() == [False, True]


def test_a_panoptic_map_without_things_has_no_instances_of_its_size():
    found = instances_from_panoptic(Panoptic(np.int32([[5, 5]]), (Segment(5, 0),)), THING_AND_STUFF)
    assert found.masks.shape == (0, 1, 2)


def test_every_rule_of_the_lattice_leads_to_the_form_it_names():
    panoptic = Panoptic(np.int32([[5, 3]]), (Segment(5, 0), Segment(3, 1)))
    natives = {"panoptic": panoptic, "instance": instances_from_panoptic(panoptic, THING_AND_STUFF)}
    types = {"semantic": SemanticMap, "instance": Instances}
    for native, kind in RULES:
        assert isinstance(reduced(natives[native], kind, THING_AND_STUFF), types[kind])
        assert reaches(native, kind)


def test_nothing_is_made_up_on_the_way_back():
    assert not reaches("semantic", "instance")
    assert not reaches("instance", "panoptic")
    with pytest.raises(BenchError, match="cannot be reduced to a panoptic"):
        reduced(SemanticMap(np.zeros((1, 1), np.uint8)), "panoptic", THING_AND_STUFF)


def test_both_ways_from_panoptic_to_semantic_agree_on_things():
    random = np.random.default_rng(0)
    ids = random.integers(1, 6, (9, 7)).astype(np.int32)
    panoptic = Panoptic(ids, tuple(Segment(int(i), int(i) % 2) for i in np.unique(ids)))
    direct = semantic_from_panoptic(panoptic).labels
    detour = semantic_from(instances_from_panoptic(panoptic, THING_AND_STUFF), THING_AND_STUFF).labels
    assert ((direct == 1) == (detour == 1)).all()
