"""Boundary PQ: panopticapi's matching with the smaller of mask and boundary IoU."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bench.metric import load_metric
from bench.records.predictions import Panoptic, Segment
from tests.bench.metrics import panoptic_oracle
from tests.bench.metrics.test_panoptic_quality import CLASSES, disturbed, random_map

METRIC = load_metric("boundary_panoptic_quality")


def mask_to_boundary(mask, dilation_ratio=0.02):
    """Transcribed from boundary-iou-api at 37d2558, `boundary_iou/utils/boundary_utils.py`."""
    h, w = mask.shape
    dilation = max(1, round(dilation_ratio * np.sqrt(h**2 + w**2)))
    new_mask = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    new_mask_erode = cv2.erode(new_mask, np.ones((3, 3), dtype=np.uint8), iterations=dilation)
    return mask & ~new_mask_erode[1 : h + 1, 1 : w + 1].astype(bool)


@pytest.mark.parametrize("seed", range(12))
def test_it_equals_a_mask_at_a_time_with_the_official_boundary(seed):
    random = np.random.default_rng(seed)
    pairs, images = [], []
    for _ in range(4):
        size = tuple(int(n) for n in random.integers(20, 130, 2))
        ground_truth = random_map(random, size, int(random.integers(1, 9)), crowds=True)
        guess = disturbed(random, ground_truth)
        rim = {("t", s.id): mask_to_boundary(ground_truth.segment_ids == s.id) for s in ground_truth.segments}
        rim |= {("p", s.id): mask_to_boundary(guess.segment_ids == s.id) for s in guess.segments}
        void = ground_truth.segment_ids == 0

        def iou(true_id, guess_id, rim=rim, void=void):
            a, b = rim["t", true_id], rim["p", guess_id] & ~void
            return (a & b).sum() / max(1, (a | b).sum())

        pairs.append((ground_truth, guess))
        images.append(panoptic_oracle.count(ground_truth, guess, iou))
    found = METRIC.score(np.stack([METRIC.observe(t, p, CLASSES) for t, p in pairs]), CLASSES, seed=0)
    expected = panoptic_oracle.average(images, list(range(5)))
    assert (found.value, found.parts["SQ"], found.parts["RQ"]) == pytest.approx(
        (expected["pq"], expected["sq"], expected["rq"]), abs=1e-12
    )


def test_a_sloppy_outline_passes_the_mask_and_fails_the_boundary():
    true_ids, ids = (np.full((200, 200), 1, np.int32) for _ in range(2))
    true_ids[40:160, 40:160] = 2
    ids[48:152, 48:152] = 2  # IoU of the masks: (104 / 120)^2 = 0.75
    ground_truth, guess = (Panoptic(one, (Segment(1, 0), Segment(2, 2))) for one in (true_ids, ids))
    by_mask = load_metric("panoptic_quality").observe(ground_truth, guess, CLASSES)
    by_boundary = METRIC.observe(ground_truth, guess, CLASSES)
    assert by_mask[2].tolist() == pytest.approx([(104 / 120) ** 2, 1, 0, 0])
    assert by_boundary[2].tolist() == [0, 0, 1, 1]


def test_more_segments_than_sixteen_bits_count_are_told_apart():
    ids = np.arange(1, 300 * 300 + 1, dtype=np.int32).reshape(300, 300)
    every = Panoptic(ids, tuple(Segment(int(i), 2) for i in ids.ravel()))
    ground_truth = Panoptic(np.int32(ids == 300 * 300), (Segment(1, 2),))  # all else is void, and excused
    assert METRIC.observe(ground_truth, every, CLASSES)[2].tolist() == [1, 1, 0, 0]
