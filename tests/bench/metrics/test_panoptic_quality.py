"""Panoptic quality: panopticapi's numbers, its rules for void and crowds, and known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.errors import ShapeError
from bench.metric import load_metric
from bench.records import ClassSpec
from bench.records.predictions import Panoptic, Segment, SemanticMap
from tests.bench.metrics import panoptic_oracle

METRIC = load_metric("panoptic_quality")
CLASSES = tuple(ClassSpec(name=n, is_thing=n.isupper(), colour=(0, 0, 0)) for n in ("sky", "sea", "A", "B", "C"))


def random_map(random, size, segments, *, crowds=False, spread=1):
    """Blocks of random segments; ids are spread out, some pixels are void."""
    coarse = random.integers(0, segments + 1, (-(-size[0] // 5), -(-size[1] // 4)))
    places = np.repeat(np.repeat(coarse, 5, axis=0), 4, axis=1)[: size[0], : size[1]]
    ids = (places * spread).astype(np.int32)
    listed = [
        Segment(int(i), int(random.integers(0, 4)), crowd=bool(crowds and random.random() < 0.3))
        for i in np.unique(ids)
        if i
    ]
    return Panoptic(ids, tuple(listed))


def disturbed(random, ground_truth):
    """The ground truth with a part of its pixels moved and some classes changed, so that some segments match."""
    ids = ground_truth.segment_ids.copy()
    moved = np.roll(ids, int(random.integers(0, 3)), axis=int(random.integers(0, 2)))
    ids[random.random(ids.shape) < 0.1] = 0
    ids = np.where(random.random(ids.shape) < 0.5, ids, moved)
    class_of = {
        s.id: s.class_id if random.random() < 0.8 else int(random.integers(0, 5)) for s in ground_truth.segments
    }
    return Panoptic(ids, tuple(Segment(int(i), class_of[int(i)]) for i in np.unique(ids) if i))


def scored(pairs, classes=CLASSES):
    return METRIC.score(np.stack([METRIC.observe(t, p, classes) for t, p in pairs]), classes, seed=0)


@pytest.mark.parametrize("spread", [1, 70001])
@pytest.mark.parametrize("seed", range(15))
def test_every_figure_equals_panopticapis_with_void_and_crowds(seed, spread):
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(5):
        size = tuple(int(n) for n in random.integers(1, 40, 2))
        ground_truth = random_map(random, size, int(random.integers(1, 12)), crowds=True, spread=spread)
        guess = disturbed(random, ground_truth) if random.random() < 0.7 else random_map(random, size, 6, spread=spread)
        pairs.append((ground_truth, guess))
    images = [panoptic_oracle.count(t, p) for t, p in pairs]
    found = scored(pairs)
    groups = {"": range(5), "_things": (2, 3, 4), "_stuff": (0, 1)}
    for suffix, chosen in groups.items():
        expected = panoptic_oracle.average(images, list(chosen))
        for name in ("pq", "sq", "rq"):
            value = found.value if (name, suffix) == ("pq", "") else found.parts[name.upper() + suffix]
            assert value == (pytest.approx(expected[name], abs=1e-12) if expected["n"] else None)
    for label, spec in enumerate(CLASSES):
        expected = panoptic_oracle.average(images, [label])
        assert found.per_class[spec.name] == (pytest.approx(expected["pq"], abs=1e-12) if expected["n"] else None)


def one_object(covered):
    """A ground truth of 100 pixels of class A, of which so many are predicted and the rest is called void."""
    ground_truth = Panoptic(np.full((10, 10), 7, np.int32), (Segment(7, 2),))
    ids = np.zeros(100, np.int32)
    ids[:covered] = 3
    return ground_truth, Panoptic(ids.reshape(10, 10), (Segment(3, 2),))


@pytest.mark.parametrize(("covered", "expected"), [(40, 0.0), (60, 0.6), (100, 1.0)])
def test_predicting_void_gains_nothing(covered, expected):
    assert scored([one_object(covered)]).value == pytest.approx(expected)  # torchmetrics: 1.0 for 40 and 60


def test_what_lies_mostly_on_void_is_no_false_positive():
    ids = np.int32([[0, 0, 0, 1, 1, 1, 1, 1]])
    guess = np.int32([[9, 9, 9, 9, 1, 1, 1, 1]])  # segment 9: three of four pixels on void
    ground_truth = Panoptic(ids, (Segment(1, 2),))
    assert scored([(ground_truth, Panoptic(guess, (Segment(9, 3), Segment(1, 2))))]).value == pytest.approx(4 / 5)


def test_a_prediction_inside_a_crowd_is_neither_right_nor_wrong_and_the_crowd_is_not_missed():
    ground_truth = Panoptic(np.int32([[1, 1, 1, 1, 2, 2]]), (Segment(1, 2, crowd=True), Segment(2, 3)))
    guess = Panoptic(np.int32([[5, 5, 0, 0, 6, 6]]), (Segment(5, 2), Segment(6, 3)))
    found = scored([(ground_truth, guess)])
    assert found.value == 1.0
    assert found.per_class["A"] is None


def test_of_two_crowds_of_a_class_the_last_listed_excuses_as_in_panopticapi():
    ids = np.int32([[1, 1, 2, 2]])
    guess = Panoptic(np.int32([[5, 5, 0, 0]]), (Segment(5, 2),))
    first, second = Segment(1, 2, crowd=True), Segment(2, 2, crowd=True)
    assert scored([(Panoptic(ids, (second, first)), guess)]).value is None  # excused: nothing is counted
    assert scored([(Panoptic(ids, (first, second)), guess)]).value == 0.0


def test_quality_is_the_product_of_segmentation_and_recognition_for_each_class():
    random = np.random.default_rng(3)
    ground_truth = random_map(random, (30, 30), 9)
    found = scored([(ground_truth, disturbed(random, ground_truth))], CLASSES)
    only = [spec for spec in CLASSES if found.per_class[spec.name] is not None]
    assert only
    alone = scored([(ground_truth, ground_truth)])
    assert (alone.value, alone.parts["SQ"], alone.parts["RQ"]) == (1.0, 1.0, 1.0)


def test_nothing_to_count_has_a_reason_instead_of_a_number():
    nothing = Panoptic(np.zeros((4, 4), np.int32), ())
    found = scored([(nothing, nothing)])
    assert found.value is None
    assert "no segment" in found.undefined_because


def test_the_interval_is_over_images():
    random = np.random.default_rng(0)
    pairs = [(t, disturbed(random, t)) for t in (random_map(random, (30, 30), 8) for _ in range(12))]
    found = scored(pairs)
    assert found.low < found.value < found.high
    assert scored([pairs[0]] * 4).low == pytest.approx(scored([pairs[0]]).value)  # the same image has no spread


@pytest.mark.parametrize(
    ("ids", "segments", "message"),
    [
        ([[1, 4]], (Segment(1, 0),), r"segment ids \[4\] that are not in its list"),
        ([[1, 1]], (Segment(1, 0), Segment(1, 2)), "lists a segment id twice"),
        ([[1, -1]], (Segment(1, 0),), r"segment ids \[-1\] that are not in its list"),
        ([[1, 0]], (Segment(1, 0), Segment(0, 1)), "lists segment id 0; ids begin at 1"),
    ],
)
def test_maps_and_lists_that_disagree_are_refused(ids, segments, message):
    good = Panoptic(np.int32([[1, 1]]), (Segment(1, 0),))
    bad = Panoptic(np.int32(ids), segments)
    with pytest.raises(ShapeError, match=message):
        METRIC.observe(good, bad, CLASSES)
    with pytest.raises(ShapeError, match=message):
        METRIC.observe(bad, good, CLASSES)


def test_other_forms_and_sizes_are_refused():
    one = Panoptic(np.int32([[1, 1]]), (Segment(1, 0),))
    with pytest.raises(ShapeError, match="not Panoptic and SemanticMap"):
        METRIC.observe(one, SemanticMap(np.zeros((1, 2), np.uint8)), CLASSES)
    with pytest.raises(ShapeError, match=r"\(1, 2\).*\(2, 1\)"):
        METRIC.observe(one, replace(one, segment_ids=one.segment_ids.T.copy()), CLASSES)
