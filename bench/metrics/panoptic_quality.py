"""Panoptic quality: the headline of panoptic segmentation.

What it measures:
    How well things and stuff are found and outlined at once, every class weighing the same.

Definition:
    A predicted and a true segment of one class match if their IoU exceeds 0.5, the part of the
    prediction that lies on void left out of the union. Per class over all images, PQ = sum of the
    IoUs of the matches / (matches + half the false positives + half the misses). PQ = SQ * RQ: the
    mean IoU of the matches, and the F1 of the matching. The mean runs over classes with a match, a
    false positive or a miss. A crowd is never matched and never missed; an unmatched prediction is
    no false positive if more than half of it lies on void and the crowd of its class. At most one segment can have an
    IoU above one half with another, so that no assignment problem has to be solved.

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

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.metrics._bootstrap import ratio
from bench.metrics._class_sums import Sums, SumsMetric
from bench.metrics._pooled import both_of
from bench.records import ClassSpec
from bench.records.compiled import compiled, given
from bench.records.predictions import Panoptic, Prediction

UNLISTED, VOID, FIRST = 0, 1, 2
"""Rows of the pair counts: ids that no segment has, void, and the first segment of the list."""

IOU_SUM, TRUE_POSITIVES, FALSE_POSITIVES, FALSE_NEGATIVES = range(4)
"""Columns of the statistics of a class."""


def as_panoptic(target: Prediction, predicted: Prediction) -> tuple[Panoptic, Panoptic]:
    """Return both as panoptic maps (ground truth first); raises `ShapeError` for another form or size."""
    return both_of(Panoptic, "a panoptic metric compares two Panoptic maps", target, predicted)


def count_pairs(target: Panoptic, predicted: Panoptic) -> NDArray[np.int64]:
    """Count the pixels that each true segment shares with each predicted one.

    Returns:
        int64, (2 + true segments, 2 + predicted segments): rows in the order of the target's list,
        from `FIRST` on, columns in that of the prediction's; row and column `VOID` are void.

    Raises:
        ShapeError: If a map holds an id that its list does not, or a list one twice.
    """
    counts = np.zeros((len(target.segments) + FIRST, len(predicted.segments) + FIRST), dtype=np.int64)
    listed = listed_ids(target, "target"), listed_ids(predicted, "prediction")
    if target.segment_ids.size:
        ids = (np.ascontiguousarray(one.segment_ids).ravel() for one in (target, predicted))
        _count_runs(*ids, *listed[0], *listed[1], counts)
    for one, name, unlisted in ((target, "target", counts[UNLISTED]), (predicted, "prediction", counts[:, UNLISTED])):
        if unlisted.any():
            known = [0, *(segment.id for segment in one.segments)]
            extra = np.setdiff1d(one.segment_ids, known)[:5].tolist()
            raise ShapeError(f"the {name} holds segment ids {extra} that are not in its list of segments")
    return counts


class ListedIds(NamedTuple):
    """Segment ids with void among them, and where each is counted.

    Attributes:
        ids: int32, ascending; the first is 0.
        places: Row or column of each in the counts, int64.
    """

    ids: NDArray[np.int32]
    places: NDArray[np.int64]

    def dense(self, segment_ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return a map of these ids with places instead, int64, of the same shape."""
        return self.places[np.searchsorted(self.ids, segment_ids)]


def listed_ids(panoptic: Panoptic, name: str) -> ListedIds:
    """Return the ids of a list of segments; raises `ShapeError` if one is below 1 or occurs twice."""
    ids = np.array([segment.id for segment in panoptic.segments], dtype=np.int32)
    if ids.min(initial=1) < 1:
        raise ShapeError(f"the {name} lists segment id {ids.min()}; ids begin at 1, 0 is void")
    if len(set(ids.tolist())) < len(ids):
        raise ShapeError(f"the {name} lists a segment id twice; every segment has an id of its own")
    order = np.argsort(ids)
    return ListedIds(np.concatenate([np.zeros(1, dtype=np.int32), ids[order]]), np.concatenate([[VOID], order + FIRST]))


@compiled(f"void({given('int32')}, {given('int32')}, int32[::1], int64[::1], int32[::1], int64[::1], int64[:, ::1])")
def _count_runs(
    target: NDArray[np.int32],
    predicted: NDArray[np.int32],
    true_ids: NDArray[np.int32],
    rows: NDArray[np.int64],
    predicted_ids: NDArray[np.int32],
    columns: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Add the pixels of two flat id maps to `counts`, a run of equal pairs at a time; compiled."""
    start = 0
    for i in range(1, target.size + 1):
        if i < target.size and target[i] == target[start] and predicted[i] == predicted[start]:
            continue
        row = np.searchsorted(true_ids, target[start])
        column = np.searchsorted(predicted_ids, predicted[start])
        row_known = row < true_ids.size and true_ids[row] == target[start]
        column_known = column < predicted_ids.size and predicted_ids[column] == predicted[start]
        counts[rows[row] if row_known else 0, columns[column] if column_known else 0] += i - start
        start = i


def pair_ious(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the IoU of each true with each predicted segment, (true, predicted); nothing on void is in a union."""
    shared = counts[FIRST:, FIRST:]
    true_area = counts[FIRST:].sum(axis=1)
    judged_area = counts[:, FIRST:].sum(axis=0) - counts[VOID, FIRST:]
    union = true_area[:, None] + judged_area[None] - shared
    return np.asarray(np.where(union > 0, shared / np.maximum(union, 1), 0.0))


def class_ids(panoptic: Panoptic) -> NDArray[np.int64]:
    """Return the class of each segment of the list, int64, (segments,)."""
    return np.array([segment.class_id for segment in panoptic.segments], dtype=np.int64)


def match(
    target: Panoptic, predicted: Panoptic, counts: NDArray[np.int64], ious: NDArray[np.float64], *, num_classes: int
) -> NDArray[np.float64]:
    """Match the segments of one image and count by class.

    A crowd is never matched and never missed. A prediction without a match is left out if more
    than half of it lies on void and on the crowd of its class; of several crowds of one class, the
    one listed last counts, as in panopticapi.

    Args:
        target, predicted: Give the classes; the latter's ids must be below `num_classes`.
        counts: Counts of `count_pairs`.
        ious: IoU by which pairs match, shape (true segments, predicted segments).

    Returns:
        float64, (K, 4): sum of the IoUs of the matches, matches, false positives, false negatives.
    """
    true_class, predicted_class = class_ids(target), class_ids(predicted)
    crowd = np.array([segment.crowd for segment in target.segments], dtype=np.bool_)
    same_class = true_class[:, None] == predicted_class[None]
    matched = same_class & ~crowd[:, None] & (ious > 0.5) & (counts[FIRST:, FIRST:] > 0)
    missed = ~crowd & ~matched.any(axis=1)
    unmatched = ~matched.any(axis=0) & ~_excused(target, predicted_class, counts)
    table = np.zeros((num_classes, 4))
    table[:, IOU_SUM] = np.bincount(true_class, (ious * matched).sum(axis=1), minlength=num_classes)
    table[:, TRUE_POSITIVES] = np.bincount(true_class[matched.any(axis=1)], minlength=num_classes)
    table[:, FALSE_POSITIVES] = np.bincount(predicted_class[unmatched], minlength=num_classes)
    table[:, FALSE_NEGATIVES] = np.bincount(true_class[missed], minlength=num_classes)
    return table


def _excused(target: Panoptic, predicted_class: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return predictions of which more than half lies on void and on the crowd of their class, (predictions,)."""
    area = counts[:, FIRST:].sum(axis=0)
    crowd_of = {one.class_id: FIRST + row for row, one in enumerate(target.segments) if one.crowd}
    rows = np.array([crowd_of.get(int(c), UNLISTED) for c in predicted_class], dtype=np.int64)
    on_crowd = counts[rows, np.arange(FIRST, FIRST + len(rows))]  # no pixel is unlisted
    return np.asarray((counts[VOID, FIRST:] + on_crowd) > 0.5 * area)


# --------------------------------------------------------------------------- from matches to a score


def halves(sums: Sums) -> NDArray[np.float64]:
    """Return the matches with half of what is false or missed, of each class, (..., K)."""
    return np.asarray(sums[..., TRUE_POSITIVES] + (sums[..., FALSE_POSITIVES] + sums[..., FALSE_NEGATIVES]) / 2)


def quality(sums: Sums) -> NDArray[np.float64]:
    """Return the panoptic quality of each class, (..., K), nan where it occurs nowhere; as its two factors are."""
    return ratio(sums[..., IOU_SUM], halves(sums))


def segmentation_quality(sums: Sums) -> NDArray[np.float64]:
    """Return the mean IoU of the matches of each class, (..., K), 0 where none of its segments is matched."""
    return np.where(halves(sums) > 0, np.nan_to_num(ratio(sums[..., IOU_SUM], sums[..., TRUE_POSITIVES])), np.nan)


def segment_matches(
    target: Prediction,
    predicted: Prediction,
    classes: Sequence[ClassSpec],
    at_most: Callable[[Panoptic, Panoptic], NDArray[np.float64]] | None = None,
) -> Sums:
    """Return sum of IoU, matches, false positives and misses of one image by class, (K, 4).

    Args:
        at_most: Another IoU of true with predicted segments, (true, predicted), which caps that of their areas.
    """
    true_map, predicted_map = as_panoptic(target, predicted)
    counts = count_pairs(true_map, predicted_map)
    ious = pair_ious(counts)
    if at_most is not None:
        ious = np.minimum(ious, at_most(true_map, predicted_map))
    return match(true_map, predicted_map, counts, ious, num_classes=len(classes))


quality_metric = partial(
    SumsMetric,
    columns=4,
    formula=quality,
    by_kind={
        "PQ": quality,
        "SQ": segmentation_quality,
        "RQ": lambda sums: ratio(sums[..., TRUE_POSITIVES], halves(sums)),
    },
    undefined_because="no segment that counts is in any target or prediction",
    tasks=("panoptic",),
)
"""Makes a metric of panoptic segmentation: panoptic quality over a kind of IoU."""

METRIC = quality_metric(
    name="panoptic_quality",
    label="PQ",
    definition=(
        "mean over classes that occur of sum of IoU of matches / (matches + half of false positives and "
        "misses), a match has one class and IoU > 0.5, void and crowds as in panopticapi"
    ),
    statistic="segment_matches",
    observed=segment_matches,
)
