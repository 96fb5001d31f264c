"""Panoptic and instance predictions become semantic maps by the declared rules."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import BenchError
from bench.predictions import Instances, Panoptic, Segment
from bench.records import ClassSpec
from bench.score.reduce import background_class, semantic_from, semantic_from_instances, semantic_from_panoptic


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
