"""Scores the objects found in single images, for lists of images: average precision needs many images to mean much.

F1 at an IoU of 0.5, of the detections from a score on: 2 true positives / (detections + objects).

Source: van Rijsbergen, Information Retrieval (1979), §7 (F); the matches are those of `_matching.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._matching import DETECTION, GROUND_TRUTH, IGNORED, KIND, MATCHED, NUMBER, SCORE

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Scores that are tried by `best_threshold`: 0.05, 0.10, … 0.95."""


def best_threshold(rows: NDArray[np.float64]) -> float | None:
    """Return the score from which detections have the highest F1 at an IoU of 0.5, nearest to 0.5 of equals.

    Args:
        rows: Rows `mask_matches` of all images, shape (rows, 8).

    Returns:
        One of `THRESHOLDS`; None where no detection matches a ground truth.
    """
    kind, scores, matched, ignored = (rows[:, column] for column in (KIND, SCORE, MATCHED, IGNORED))
    wanted = int(((kind == GROUND_TRUTH) & (ignored == 0)).sum())
    counts = (kind == DETECTION) & (ignored.astype(np.int64) & 1 == 0)
    true_positive = counts & (matched.astype(np.int64) & 1 == 1)
    f1 = {
        tau: 2 * int((true_positive & (scores >= tau)).sum()) / max(1, int((counts & (scores >= tau)).sum()) + wanted)
        for tau in THRESHOLDS
    }
    best = max(THRESHOLDS, key=lambda tau: (f1[tau], -abs(tau - 0.5)))
    return best if f1[best] > 0 else None


def image_f1(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return F1 of each image at the model's `best_threshold`, (images,); nan without object and detection."""
    if not len(rows):
        return np.empty(0)
    numbers, kind = rows[:, NUMBER].astype(np.int64), rows[:, KIND]
    matched, ignored = rows[:, MATCHED].astype(np.int64) & 1, rows[:, IGNORED].astype(np.int64) & 1
    tau = best_threshold(rows)
    found = (kind == DETECTION) & (ignored == 0) & (rows[:, SCORE] >= (0.5 if tau is None else tau))
    objects = (kind == GROUND_TRUTH) & (rows[:, IGNORED] == 0)
    images = int(numbers.max()) + 1
    true_positives, detections, wanted = (
        np.bincount(numbers[chosen], minlength=images) for chosen in (found & (matched == 1), found, objects)
    )
    return ratio(2 * true_positives, detections + wanted)
