"""One pass over the images gives the score at every threshold, as painting anew at each would."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metric import load_metric
from bench.records import ClassSpec
from bench.records.predictions import Instances, SemanticMap
from bench.score.reduce import background_class, semantic_from_instances
from bench.score.thresholds import GRID, ThresholdCounts

MEAN_IOU = load_metric("mean_iou")


def scenes(seed: int, classes: int):
    random = np.random.default_rng(seed)
    for _ in range(4):
        labels = random.integers(0, classes + 1, (13, 11)).astype(np.uint8)
        labels[labels == classes] = 255
        count = int(random.integers(0, 7))
        guess = Instances(
            masks=random.random((count, 13, 11)) < 0.3,
            class_ids=random.integers(0, classes, count),
            scores=np.round(random.random(count), 2),  # some on the grid, some equal
            crowd=np.zeros(count, dtype=bool),
        )
        yield SemanticMap(labels), guess


@pytest.mark.parametrize("first", ["sky", "background"])
@pytest.mark.parametrize("seed", range(8))
def test_counts_at_each_threshold_are_those_of_painting_at_it(seed, first):
    classes = tuple(ClassSpec(name=name, colour=(0, 0, 0)) for name in (first, "disc", "ring"))
    counts = ThresholdCounts(classes)
    pairs = list(scenes(seed, len(classes)))
    for target, guess in pairs:
        counts.add(target, guess)
    for index, tau in enumerate(GRID):
        painted = [semantic_from_instances(g, tau=tau, background=background_class(classes)) for _, g in pairs]
        expected = sum(MEAN_IOU.observe(t, p, classes) for (t, _), p in zip(pairs, painted, strict=True))
        np.testing.assert_array_equal(counts.at(index), expected)


@pytest.mark.parametrize("seed", range(4))
def test_the_best_threshold_is_the_best_of_the_grid_and_no_worse_than_the_fixed_one(seed):
    classes = tuple(ClassSpec(name=name, colour=(0, 0, 0)) for name in ("sky", "disc", "ring"))
    counts = ThresholdCounts(classes)
    for target, guess in scenes(seed, len(classes)):
        counts.add(target, guess)
    values = [MEAN_IOU.score(counts.at(i)[None], classes, seed=0).value for i in range(len(GRID))]
    best = counts.best(MEAN_IOU)
    assert best is not None
    assert best.value == max(values) >= values[GRID.index(0.5)]
    assert best.tau == GRID[int(np.argmax(values))]


def test_without_a_known_pixel_no_threshold_is_best():
    classes = (ClassSpec(name="disc", colour=(0, 0, 0)),)
    counts = ThresholdCounts(classes)
    nothing = Instances(np.zeros((0, 2, 2), bool), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
    counts.add(SemanticMap(np.full((2, 2), 255, np.uint8)), nothing)
    assert counts.best(MEAN_IOU) is None
