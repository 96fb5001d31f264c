"""Panoptic quality: the headline of panoptic segmentation.

What it measures:
    How well things and stuff are found and outlined at once, every class weighing the same.

Definition:
    A predicted and a true segment of one class match if their IoU exceeds 0.5, the part of the
    prediction that lies on void left out of the union. Per class over all images, PQ = sum of the
    IoUs of the matches / (matches + half the false positives + half the misses). PQ = SQ * RQ: the
    mean IoU of the matches, and the F1 of the matching. The mean runs over classes with a match, a
    false positive or a miss. A crowd is never matched and never missed; an unmatched prediction is
    no false positive if more than half of it lies on void and the crowd of its class.

When undefined:
    A class without any of the three has no value and leaves the means; without any such class
    there is no mean, neither over all classes nor over things or stuff alone.

Differs from:
    torchmetrics' `PanopticQuality` also takes true pixels that are predicted as void out of the
    union and does not count ground truth that are mostly predicted as void as missed, so that a model
    gains by predicting nothing; it knows no crowds. panopticapi reads the areas of ground truth from
    their JSON, here they are counted from the map.

Source:
    Kirillov et al., Panoptic Segmentation, CVPR 2019, §4; panopticapi at 7bb4655, `evaluation.py`.
"""

from __future__ import annotations

from bench.metrics._panoptic import QualityMetric

METRIC = QualityMetric(
    name="panoptic_quality",
    label="PQ",
    definition=(
        "mean over classes that occur of sum of IoU of matches / (matches + half of false positives and "
        "misses), a match has one class and IoU > 0.5, void and crowds as in panopticapi"
    ),
    statistic="segment_matches",
)
