"""Boundary AP: COCO's evaluation with the smaller of mask and boundary IoU."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.cocoeval import COCOeval

from bench.metric import load_metric
from tests.bench.metrics import coco_oracle
from tests.bench.metrics.test_boundary_panoptic_quality import mask_to_boundary
from tests.bench.metrics.test_mask_ap import CLASSES, THINGS, collected, instances, random_pair, scored

METRIC = load_metric("boundary_ap")


class BoundaryEval(COCOeval):
    """pycocotools with IoUs as in boundary-iou-api at 37d2558, masks taken one at a time."""

    def computeIoU(self, imgId, catId):  # noqa: N803 - the name it overrides
        ious = super().computeIoU(imgId, catId)
        gt, dt = self._gts[imgId, catId], self._dts[imgId, catId]
        if not len(gt) or not len(dt):
            return ious
        order = np.argsort([-d["score"] for d in dt], kind="mergesort")[: self.params.maxDets[-1]]
        rims = [
            [mask_to_boundary(coco_mask.decode(one["segmentation"]).astype(bool)) for one in side] for side in (gt, dt)
        ]
        for row, d in enumerate(order):
            for column, one in enumerate(gt):
                a, b = rims[0][column], rims[1][d]
                if not one["iscrowd"]:
                    ious[row, column] = min(ious[row, column], (a & b).sum() / max(1, (a | b).sum()))
        return ious


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@pytest.mark.parametrize("seed", range(12))
def test_it_equals_pycocotools_with_the_official_boundary(seed):
    random = np.random.default_rng(seed)
    size = tuple(int(n) for n in random.integers(20, 140, 2))
    pairs = [random_pair(random, size=size, ties=bool(seed % 2)) for _ in range(4)]
    plain = coco_oracle.evaluate(pairs, THINGS)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = BoundaryEval(plain.cocoGt, plain.cocoDt, "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    found = METRIC.score(collected(pairs, METRIC), CLASSES, seed=0)
    ours = {"AP": found.value, **found.parts}
    for name, expected in coco_oracle.figures(evaluation).items():
        assert ours[name] == (None if expected is None else pytest.approx(expected, abs=1e-12)), name


def test_a_sloppy_outline_passes_the_mask_and_fails_the_boundary():
    true_mask, mask = (np.zeros((1, 200, 200), bool) for _ in range(2))
    true_mask[:, 40:160, 40:160] = True
    mask[:, 48:152, 48:152] = True  # IoU of the masks: (104 / 120)^2 = 0.75
    pairs = [(instances(true_mask, [1]), instances(mask, [1], [0.9]))]
    assert scored(pairs).parts["AP75"] == pytest.approx(1)
    assert scored(pairs, METRIC).value == 0.0


def test_an_outline_without_the_inside_passes_the_boundary_and_fails_the_mask():
    true_mask = np.zeros((1, 200, 200), bool)
    true_mask[:, 40:160, 40:160] = True
    ring = true_mask.copy()
    ring[:, 46:154, 46:154] = False  # as wide as the boundary, d = round(0.02 * 283) = 6; IoU of the masks 0.19
    assert scored([(instances(true_mask, [1]), instances(ring, [1], [0.9]))], METRIC).value == 0.0
