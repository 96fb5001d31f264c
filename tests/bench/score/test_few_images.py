"""Classes that too few images hold are named with how many do."""

from __future__ import annotations

import numpy as np

from bench.metrics.panoptic_quality import METRIC
from bench.records import ClassSpec
from bench.records.store.statistics import Statistics
from bench.score.unseen_classes import SEGMENTS, few_images

CLASSES = tuple(ClassSpec(name=name, colour=(0, 0, 0)) for name in ("often", "rare", "invented"))


def test_classes_of_segments_that_few_images_hold_are_counted_found_or_missed_but_not_invented():
    matches = np.zeros((12, 3, 4))
    matches[:, 0, 1] = 1  # matched in every image
    matches[:2, 1, 1] = matches[2, 1, 3] = 1  # matched in two, missed in another
    matches[:, 2, 2] = 1  # predicted alone
    ids = tuple(f"image {n}" for n in range(12))
    assert METRIC.statistic == SEGMENTS
    assert few_images(Statistics(ids, {SEGMENTS: matches}), CLASSES) == {"rare": 3}
    assert few_images(Statistics(ids, {}), CLASSES) == {}
