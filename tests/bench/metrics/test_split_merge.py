"""Splits and merges, on maps that are drawn: a digit is a segment, 0 is void."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metric import load_metric
from bench.records import ClassSpec
from bench.records.predictions import Panoptic, Segment

CLASSES = (
    ClassSpec(name="sky", is_thing=False, colour=(1, 1, 1)),
    ClassSpec(name="cell", is_thing=True, colour=(2, 2, 2)),
    ClassSpec(name="tick", is_thing=True, colour=(3, 3, 3)),
)
METRIC = load_metric("split_merge")


def panoptic(drawing: str, classes: dict[int, int], crowd: tuple[int, ...] = ()) -> Panoptic:
    ids = np.array([[int(c) for c in line] for line in drawing.split()], dtype=np.int32)
    return Panoptic(ids, tuple(Segment(number, label, number in crowd) for number, label in classes.items()))


def counts(target: Panoptic, predicted: Panoptic) -> dict[str, int]:
    return dict(METRIC.score(METRIC.observe(target, predicted, CLASSES)[None], CLASSES, seed=0).counts)


def test_an_object_in_two_pieces_is_split_and_two_in_one_are_merged():
    target = panoptic("111122 111133", {1: 1, 2: 1, 3: 1})
    predicted = panoptic("445577 445577", {4: 1, 5: 1, 7: 1})
    assert counts(target, predicted) == {"true": 3, "split": 1, "merged": 2}
    assert METRIC.score(METRIC.observe(target, predicted, CLASSES)[None], CLASSES, seed=0).value == pytest.approx(0)


def test_a_perfect_prediction_splits_and_merges_nothing():
    target = panoptic("1122 3333", {1: 1, 2: 1, 3: 2})
    assert counts(target, target) == {"true": 3, "split": 0, "merged": 0}
    assert METRIC.score(METRIC.observe(target, target, CLASSES)[None], CLASSES, seed=0).value == 1


def test_half_is_not_most_and_another_class_is_no_piece():
    target = panoptic("1111 0000", {1: 1})
    half = panoptic("4455 4455", {4: 1, 5: 1})  # half of each lies in the object, the other half on void: all counts
    assert counts(target, half)["split"] == 1
    target = panoptic("1111 2222", {1: 1, 2: 0})
    assert counts(target, half)["split"] == 0  # on stuff, half of each
    other = panoptic("4455 0000", {4: 1, 5: 2})
    assert counts(target, other)["split"] == 0


def test_crowds_and_stuff_are_not_asked_for():
    predicted = panoptic("4455 4455", {4: 1, 5: 1})
    assert counts(panoptic("1111 1111", {1: 1}, crowd=(1,)), predicted)["true"] == 0
    assert METRIC.observe(panoptic("1111 1111", {1: 0}), predicted, CLASSES).sum() == 0


@pytest.mark.parametrize("seed", range(30))
def test_counts_agree_with_a_loop_over_pixels(seed):
    random = np.random.default_rng(seed)
    true_ids, seen_ids = (random.integers(0, 6, (6, 7), dtype=np.int32) for _ in range(2))
    of_true, of_seen = ({int(i): int(random.integers(0, 3)) for i in np.unique(m) if i} for m in (true_ids, seen_ids))
    target, predicted = (
        Panoptic(ids, tuple(Segment(i, c) for i, c in of.items()))
        for ids, of in ((true_ids, of_true), (seen_ids, of_seen))
    )
    split = merged = 0
    for t, label in of_true.items():
        if not CLASSES[label].is_thing:
            continue
        mine = true_ids == t
        inside = [p for p, c in of_seen.items() if c == label
                  and 2 * (mine & (seen_ids == p)).sum() > ((seen_ids == p) & (true_ids > 0)).sum()]  # fmt: skip
        split += len(inside) > 1
        for p, c in of_seen.items():
            joined = [o for o, k in of_true.items() if k == label == c
                      and 2 * ((true_ids == o) & (seen_ids == p)).sum() > (true_ids == o).sum()]  # fmt: skip
            if t in joined and len(joined) > 1:
                merged += 1
    found = counts(target, predicted)
    assert (found["split"], found["merged"]) == (split, merged)
