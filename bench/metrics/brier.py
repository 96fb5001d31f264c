"""Brier score: mean squared difference between probabilities and what is true.

What it measures:
    Calibration and discrimination in one number, a proper score: it is smallest for the true probabilities. 0 is
    perfect, 2 is certain and wrong everywhere.

Definition:
    For each pixel the squared difference between the probability of a class and 1 if it is the true one, else 0, summed
    over the classes; the mean over all pixels of all images, void left out. Per class: the mean of that class's squared
    difference, one-versus-rest, of which the score is the sum. Probabilities are stored in 256 levels, which moves each
    by at most 0.002.

When undefined:
    Without a pixel that is not void.

Differs from:
    scikit-learn's `brier_score_loss` of two classes counts one of them, and is half of this; its `scale_by_half`
    chooses. `mean over classes` divides by K, as a mean squared error over channels does.

Source:
    Brier, Monthly Weather Review 78 (1950), 1-3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._probabilities import PROBABILITY, Counts, ProbabilityMetric, fitting
from bench.metrics._semantic import as_label_maps
from bench.records import ClassSpec, void_of
from bench.records.predictions import Prediction
from bench.records.probabilities import ClassProbabilities

SQUARES, PIXELS = 0, 1


def squared_differences(
    target: Prediction, predicted: Prediction, probabilities: ClassProbabilities, classes: Sequence[ClassSpec]
) -> NDArray[np.int64]:
    """Sum the squared differences of each class over an image, with the pixels, float64, (K, 2)."""
    true_map, _ = as_label_maps(target, predicted)
    levels = fitting(probabilities, true_map.labels.shape, classes)
    known = true_map.labels != void_of(true_map.labels)
    ground_truth = true_map.labels[known]
    of_other, of_class = PROBABILITY**2, (PROBABILITY - 1) ** 2
    sums = np.empty((len(classes), 2))
    for class_id in range(len(classes)):
        of_level = levels[class_id][known]
        sums[class_id, SQUARES] = np.where(ground_truth == class_id, of_class[of_level], of_other[of_level]).sum()
    sums[:, PIXELS] = len(ground_truth)
    return sums  # type: ignore[return-value]  # sums, where other metrics have counts


def of_each_class(sums: Counts) -> NDArray[np.float64]:
    """Return the mean squared difference of each class, (..., K)."""
    return ratio(sums[..., SQUARES], sums[..., PIXELS])


def brier(sums: Counts) -> NDArray[np.float64]:
    """Return the sum over classes, (...)."""
    return np.asarray(of_each_class(sums).sum(axis=-1))


METRIC = ProbabilityMetric(
    name="brier",
    label="Brier",
    definition=(
        "mean over pixels of the squared differences between the probability of each class and its ground truth, "
        "summed over classes, pixels pooled over images, void left out"
    ),
    statistic="squared_differences",
    observed=squared_differences,
    shape=lambda classes: (classes, 2),
    formula=brier,
    of_each=of_each_class,
    parts={"mean over classes": lambda sums: of_each_class(sums).mean(axis=-1)},
    higher_is_better=False,
    best=2.0,
)
