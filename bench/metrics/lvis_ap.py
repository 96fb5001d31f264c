"""LVIS's AP: mask AP of a large vocabulary whose images were looked through for some classes each.

What it measures:
    How well objects of many classes are found and outlined, rare classes as much as frequent ones.

Definition:
    `lvis.LVISEval` with `iou_type='segm'`: as COCO's mask AP, but with at most 300 detections per image over all
    classes, the surest ones, and judged by the federated rule: in an image, detections of a class that it was not
    looked through for are left out; of a class that is not exhaustively annotated there, those that match no ground
    truth. AP is the mean over thresholds and classes with a ground truth. Parts: AP50, AP75, AP_small, AP_medium,
    AP_large, AP_rare, AP_common and AP_frequent (classes in 1 to 10, 11 to 100 and more training images, as the
    annotation file has them), AR_300 and the AR of each range of areas.

When undefined:
    A class without a ground truth has no value and leaves the mean; without any such class there is no AP, and
    without a class of a group none of the group. LVIS writes -1.

Differs from:
    COCO's mask AP (`mask_ap`) takes 100 detections per image and class, so that a detector of a thousand classes
    may answer with 100,000. LVIS Fixed AP (Dave et al., 2021) takes 10,000 per class over the data set.

Source:
    Gupta, Dollár, Girshick, LVIS, CVPR 2019; lvis-dataset/lvis-api, `lvis/eval.py` and `lvis/results.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.metrics._average_precision import ClassRows, Curves, PrecisionMetric, coco_parts, mean
from bench.metrics.mask_ap import mask_ious
from bench.records import ClassSpec
from bench.records.predictions import Instances

MOST = 300
"""Detections of an image."""
GROUPS = {"rare": "AP_rare", "common": "AP_common", "frequent": "AP_frequent"}


def surest(predicted: Instances, most: int) -> Instances:
    """Return the `most` detections of an image with the highest scores, equal scores in the order they came in."""
    kept = np.sort(np.argsort(-predicted.scores, kind="stable")[:most])
    return predicted.chosen(kept)


class LvisMetric(PrecisionMetric):
    """COCO's average precision with LVIS's number of detections, and its groups of classes."""

    def counted(self, predicted: Instances) -> Instances:
        """Return the detections of an image that are among the surest of it."""
        return surest(predicted, self.most)

    def parts(
        self, by_class: dict[int, ClassRows], every: dict[int, Curves], classes: Sequence[ClassSpec]
    ) -> dict[str, float | None]:
        """LVIS's other figures."""
        members = {name: [classes[c].frequency == group for c in every] for group, name in GROUPS.items()}
        precision = np.array([curves.precision.mean() for curves in every.values()])
        groups = {name: mean(precision[chosen].tolist()) for name, chosen in members.items() if any(chosen)}
        return coco_parts(by_class, every, self.most, recalls=(), groups=groups)


METRIC = LvisMetric(
    name="lvis_ap",
    version=2,
    label="LVIS AP",
    template=(
        "LVIS AP of masks at the original size: mean over IoU 0.50:0.05:0.95 and classes with a ground truth, 101 "
        "recall points, {most} detections per image, classes that an image was not looked through for left out"
    ),
    statistic="lvis_matches",
    ious=mask_ious,
    most=MOST,
    of_all_classes=True,
)
