"""Metrics, one file each; the contract is `bench.metric`. `bench list metrics` prints them.

What a metric of your own that counts pixels is made of can be imported from here: see `bench new metric`.
"""

from bench.metrics._bootstrap import mean_of_defined, ratio
from bench.metrics._semantic import (
    ClassTotals,
    ConfusionMetric,
    Formula,
    class_dice,
    class_iou,
    class_recall,
    class_totals,
    defined,
)

__all__ = [
    "ClassTotals",
    "ConfusionMetric",
    "Formula",
    "class_dice",
    "class_iou",
    "class_recall",
    "class_totals",
    "defined",
    "mean_of_defined",
    "ratio",
]
