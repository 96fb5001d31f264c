"""Lesion-wise F1: how many lesions are found at all, and how many alarms are lesions.

What it measures:
    Detection of separate regions of a class (lesions, cells, buildings) by models that label pixels, a small one
    weighing as much as a large one.

Definition:
    The lesions of a class are the regions of its mask whose pixels touch by edges or corners; void pixels are removed
    from both masks first. A true lesion is found if a pixel of it is predicted as its class; a predicted region is
    false if it holds no true pixel of the class. Recall = found / true lesions, precision = regions that are not
    false / predicted regions, counts pooled over all images, and F1 their harmonic mean; the headline is the mean over
    classes without background. Parts: precision and recall. The numbers are counted beside it.

When undefined:
    A class that is neither true nor predicted anywhere has no value.

Differs from:
    One-to-one matching at an IoU (`object_f1`), which charges a lesion that is predicted in two pieces. Some
    challenges ask for a share of overlap, or dilate the lesions first. `per_image`: mean over images, then classes.

Source:
    Commowick et al., Objective Evaluation of Multiple Sclerosis Lesion Segmentation, Scientific Reports 2018;
    Maier-Hein et al., Metrics Reloaded, Nature Methods 2024.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._class_sums import Sums, SumsMetric, f1_of, per_image_of, quotient
from bench.metrics._lesions import COLUMNS, COUNTS, FALSE, FOUND, NONE, SEEN, STATISTIC, TRUE, lesion_sums


def precision(sums: Sums) -> NDArray[np.float64]:
    """Predicted regions that hold a true pixel over all of them."""
    return ratio(sums[..., SEEN] - sums[..., FALSE], sums[..., SEEN])


RECALL = quotient(FOUND, TRUE)

METRIC = SumsMetric(
    name="lesion_f1",
    version=1,
    label="lesion F1",
    definition=(
        "mean over classes without background of the harmonic mean of true lesions with a predicted pixel / true "
        "lesions and predicted regions with a true pixel / predicted regions, counts pooled over images, 8-connectivity"
    ),
    statistic=STATISTIC,
    observed=lesion_sums,
    columns=COLUMNS,
    formula=f1_of(precision, RECALL),
    undefined_because=NONE,
    parts={"precision": precision, "recall": RECALL},
    dialects={"per_image": per_image_of(f1_of(precision, RECALL))},
    counts=COUNTS,
)
