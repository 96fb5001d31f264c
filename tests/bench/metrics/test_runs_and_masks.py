"""Masks that come as runs are scored as the same masks are when they are drawn, by every metric of instances."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metric import Rows, load_metric, metric_names
from bench.metrics._masks import intersections, stacks
from bench.records import ClassSpec
from bench.records.instances import EncodedInstances, Instances

CLASSES = tuple(ClassSpec(name=str(c), is_thing=True, colour=(c, c, c)) for c in range(3))
METRICS = [name for name in metric_names() if "instance" in load_metric(name).tasks]


def blobs(random: np.random.Generator, count: int, crowds: bool) -> Instances:
    rows, columns = np.mgrid[:40, :50]
    masks = np.zeros((count, 40, 50), dtype=bool)
    for mask in masks:
        y, x, r = random.integers(0, 40), random.integers(0, 50), random.integers(2, 15)
        mask |= ((rows - y) ** 2 + (columns - x) ** 2 < r * r) & (random.random((40, 50)) < 0.9)
    crowd = random.random(count) < 0.2 if crowds else np.zeros(count, dtype=bool)
    return Instances(masks, random.integers(0, 3, count), random.random(count), crowd)


def encoded(one: Instances) -> EncodedInstances:
    return EncodedInstances(one.as_runs(), one.class_ids, one.scores, one.crowd)


def table(observed) -> np.ndarray:
    return np.asarray(observed.table if isinstance(observed, Rows) else observed)


@pytest.mark.parametrize("name", METRICS)
def test_what_is_observed_is_the_same(name):
    metric, random = load_metric(name), np.random.default_rng(3)
    for _ in range(4):
        target, predicted = (
            blobs(random, int(random.integers(0, 6)), True),
            blobs(random, int(random.integers(0, 9)), False),
        )
        expected = metric.observe(target, predicted, CLASSES)
        for pair in ((encoded(target), encoded(predicted)), (target, encoded(predicted)), (encoded(target), predicted)):
            assert np.array_equal(table(metric.observe(*pair, CLASSES)), table(expected), equal_nan=True)


def test_only_wanted_pairs_are_intersected():
    random = np.random.default_rng(0)
    a, b = blobs(random, 5, False), blobs(random, 7, False)
    wanted = random.random((5, 7)) < 0.5
    shared = (a.masks[:, None] & b.masks[None]).sum(axis=(2, 3))
    for one, other in ((a, b), (encoded(a), encoded(b))):
        assert np.array_equal(intersections(*stacks(one, other), wanted), np.where(wanted, shared, 0))
