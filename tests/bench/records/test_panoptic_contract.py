"""Tests what a panoptic prediction may hold: everything else is refused before it is stored."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import ShapeError
from bench.records import Size
from bench.records.predictions import Panoptic, Segment, check_prediction


def checked(ids, segments):
    return check_prediction(
        Panoptic(np.array([ids], dtype=np.int32), segments),
        kind="panoptic",
        num_classes=3,
        size=Size(1, len(ids)),
        image_id="a",
        model="m",
    )


def test_the_smallest_and_the_largest_id_are_kept():
    checked([0, 1, 2**24 - 1], (Segment(1, 0, score=0.5), Segment(2**24 - 1, 2)))


@pytest.mark.parametrize(
    ("ids", "segments"),
    [
        ([-1], (Segment(-1, 0),)),
        ([2**24], (Segment(2**24, 0),)),
        ([0], (Segment(0, 0),)),
        ([1], (Segment(1, 0), Segment(1, 1))),
        ([1], (Segment(1.0, 0),)),
        ([1], (Segment(True, 0),)),
        ([1], (Segment(float("nan"), 0),)),
        ([1], (Segment(1, 0.5),)),
        ([1], (Segment(1, float("nan")),)),
        ([1], (Segment(1, 2**70),)),
        ([1], (Segment([1], 0),)),
        ([1], (Segment(1, 0, crowd=None),)),
        ([1], (Segment(1, 0, score=float("nan")),)),
        ([1], (Segment(1, 0, score=1.5),)),
        ([1], (Segment(1, 0, score="1"),)),
        ([1], [Segment(1, 0)]),
        ([1], ({"id": 1, "class_id": 0},)),
        ([1], None),
    ],
)
def test_an_id_class_flag_or_score_that_cannot_be_is_refused_naming_model_and_image(ids, segments):
    with pytest.raises(ShapeError, match=r"m returned for image 'a'.*rule 5"):
        checked(ids, segments)
