"""The compiled loop of average precision: of all images, or of all but some.

Precision at the k-th true positive is k over the number of
detections so far, is made monotone from the right, and averaged at the points of recall, pycocotools' way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.records.compiled import compiled, given

RECALL_POINTS = np.linspace(0.0, 1.0, 101)


def precision_without(
    matched: NDArray[np.int64],
    ignored: NDArray[np.int64],
    units: NDArray[np.int64] | None,
    positives: NDArray[np.float64],
    thresholds: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interpolated precision and final recall without each unit, by threshold, (U, T) each, nan without positives.

    Args:
        matched, ignored: Bits of each detection, one for each threshold, by falling score, (D,).
        units: Unit that each detection is left out with, -1 for none, (D,); None where no detection is left out.
        positives: True objects that are left without each unit, (U,).
        thresholds: Number of thresholds, T.
    """
    count = len(positives)
    precision, recall = (np.full((count, thresholds), np.nan) for _ in range(2))
    by_unit, first = np.zeros(0, dtype=np.int64), np.zeros(count + 1, dtype=np.int64)
    if units is None:
        units = np.full(len(matched), -1, dtype=np.int64)
    else:
        by_unit = np.argsort(units, kind="stable").astype(np.int64)  # those of a unit stay by falling score
        first = np.searchsorted(units[by_unit], np.arange(count + 1)).astype(np.int64)
    arrays = (np.ascontiguousarray(one, dtype=np.int64) for one in (matched, ignored, units, by_unit, first))
    _without(*arrays, positives, RECALL_POINTS, precision, recall)
    return precision, recall


@compiled(
    "void(int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], float64[::1], "
    f"{given('float64')}, float64[:, ::1], float64[:, ::1])"
)
def _without(
    matched: NDArray[np.int64],
    ignored: NDArray[np.int64],
    units: NDArray[np.int64],
    by_unit: NDArray[np.int64],
    first: NDArray[np.int64],
    positives: NDArray[np.float64],
    points: NDArray[np.float64],
    precision: NDArray[np.float64],
    recall: NDArray[np.float64],
) -> None:
    """Interpolated precision and final recall without each unit; rows without positives stay; compiled.

    Precision rises at a true positive alone, and so does recall: of all other detections only the number before each
    true positive matters. Those of a unit are few, and taken out of these numbers.
    """
    count, levels = len(matched), precision.shape[1]
    # The true positives of each threshold: which detection each is, and its place among those that count.
    at, place = np.empty((levels, count), dtype=np.int64), np.empty((levels, count), dtype=np.int64)
    found = np.zeros(levels, dtype=np.int64)
    for t in range(levels):
        seen = 0
        for d in range(count):
            if (ignored[d] >> t) & 1:
                continue
            seen += 1
            if (matched[d] >> t) & 1:
                at[t, found[t]], place[t, found[t]] = d, seen
                found[t] += 1
    envelope, needed, of = np.empty(count), np.empty(len(points), dtype=np.int64), -1.0
    for u in range(len(positives)):
        if positives[u] == 0:
            continue
        if positives[u] != of:  # the true positives that it takes to come to each point of recall, less one
            of, k = positives[u], 0
            for p in range(len(points)):
                while k < count and (k + 1) / of < points[p]:
                    k += 1
                needed[p] = k
        for t in range(levels):
            right = gone = 0
            next_gone, end = first[u], first[u + 1]
            for k in range(found[t]):
                while next_gone < end and by_unit[next_gone] <= at[t, k]:
                    d = by_unit[next_gone]
                    next_gone += 1
                    if not (ignored[d] >> t) & 1:
                        gone += 1
                if units[at[t, k]] == u:
                    continue
                right += 1
                envelope[right - 1] = right / (place[t, k] - gone + 2.220446049250313e-16)
            for k in range(right - 1, 0, -1):
                envelope[k - 1] = max(envelope[k - 1], envelope[k])
            total = 0.0
            for p in range(len(points)):
                if needed[p] >= right:
                    break
                total += envelope[needed[p]]
            precision[u, t], recall[u, t] = total / len(points), right / positives[u]
