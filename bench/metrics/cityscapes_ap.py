"""Cityscapes' own instance AP: precision over recall, not made monotone, of all detections.

What it measures:
    How well objects are found, told apart, outlined and ranked by their scores, as Cityscapes' benchmark has it.

Definition:
    cityscapesScripts' `evalInstanceLevelSemanticLabeling`: for ten IoU thresholds 0.50:0.05:0.95 and each thing class,
    a detection matches a true object if their intersection over union is above the threshold; of several detections of
    one object that with the highest score is right, the others are wrong. True objects of fewer than 100 pixels and
    groups are not asked for. A detection without a match is left out if more than the threshold's share of it lies on
    void, groups and small objects. Precision over recall, from a precision of 1 at a recall of 0, is integrated by
    trapezoids at each distinct score; AP is the mean over thresholds and classes with a true object. Part: AP50.

When undefined:
    A class without a true object that is asked for has no value and leaves the mean.

Differs from:
    COCO's AP (`mask_ap`): IoU from the threshold on, precision made monotone at 101 recalls, at most 100 detections, no
    smallest object, detections matched by falling score. The benchmark's AP100m and AP50m need distances that few
    copies of the data set have. Where a data set's void is not known to its instances, only groups and small objects
    excuse a detection.

Source:
    Cordts et al., The Cityscapes Dataset, CVPR 2016, §4.2; mcordts/cityscapesScripts at 0bcc4a7.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import Rows
from bench.metrics import _matching as matches
from bench.metrics._average_precision import ClassRows, rows_by_class
from bench.metrics._bootstrap import LeftOut, mean_of_defined, ratio
from bench.metrics._masks import intersections, stacks
from bench.metrics._pooled import OfRows, images_in, side_by_side
from bench.metrics._semantic import build_score, defined
from bench.records import ClassSpec, Score, TaskKind
from bench.records.compiled import compiled
from bench.records.predictions import Instances, Prediction

THRESHOLDS = np.arange(0.5, 1.0, 0.05)
"""IoU thresholds, made as cityscapesScripts makes them."""

SMALLEST = 100
"""Pixels of the smallest true object that is asked for."""


def judged_rows(target: Instances, predicted: Instances) -> Rows:
    """Judge the detections of one image at each threshold; columns as in `_matching`, ranks and areas left 0."""
    true_masks, masks = stacks(target, predicted)
    shared = intersections(masks, true_masks, predicted.class_ids[:, None] == target.class_ids[None])
    union = masks.areas[:, None] + true_masks.areas[None] - shared
    ious = np.where(shared > 0, shared / np.maximum(union, 1), 0.0)
    small = true_masks.areas < SMALLEST
    asked = ~target.crowd & ~small
    excused = shared[:, target.crowd].sum(axis=1) + shared[:, small].sum(axis=1)
    if target.void is not None:
        excused = excused + (predicted.masks & target.void).sum(axis=(1, 2))
    share = np.nan_to_num(ratio(excused, masks.areas))
    matched, ignored = (np.zeros(len(masks.areas), dtype=np.int64) for _ in range(2))
    for t, threshold in enumerate(THRESHOLDS.tolist()):
        above = ious > threshold
        right = np.zeros(len(masks.areas), dtype=np.bool_)
        for g in np.flatnonzero(asked & above.any(axis=0)):
            candidates = np.flatnonzero(above[:, g])
            right[candidates[np.argmax(predicted.scores[candidates])]] = True
        on_others = above.any(axis=1) & ~above[:, asked].any(axis=1)
        left_out = on_others | (~above.any(axis=1) & (share > threshold))
        matched |= right.astype(np.int64) << t
        ignored |= left_out.astype(np.int64) << t
    drawn = masks.areas > 0
    ground_truths = side_by_side(matches.GROUND_TRUTH, target.class_ids, 0, 0, 0, 0, ~asked)
    detections = side_by_side(matches.DETECTION, predicted.class_ids, predicted.scores, 0, 0, matched, ignored)[drawn]
    return Rows(np.concatenate([np.zeros((1, len(matches.COLUMNS))), ground_truths, detections]))


def precision_of(one: ClassRows, left_out: LeftOut) -> NDArray[np.float64]:
    """Return the AP of a class at each threshold without each unit of images, (units, T), nan without a true object."""
    true_images = one.true_images[~one.crowd]
    positives = left_out.sums(np.bincount(true_images, minlength=len(left_out.of_image)).astype(np.float64))
    last = np.append(one.scores[1:] != one.scores[:-1], True)[: len(one.scores)]
    found = np.full((left_out.total, len(THRESHOLDS)), np.nan)
    _average(one.matched, one.ignored, last, left_out.of_image[one.images], positives, found)
    return found


@compiled("void(int64[::1], int64[::1], boolean[::1], int64[::1], float64[::1], float64[:, ::1])")
def _average(
    matched: NDArray[np.int64],
    ignored: NDArray[np.int64],
    last: NDArray[np.bool_],
    units: NDArray[np.int64],
    positives: NDArray[np.float64],
    found: NDArray[np.float64],
) -> None:
    """Area under precision over recall by trapezoids, without each unit and by threshold; compiled."""
    for u in range(len(positives)):
        if positives[u] == 0:
            continue
        for t in range(found.shape[1]):
            right = wrong = area = reached = 0.0
            before = 1.0
            for d in range(len(matched)):
                if units[d] != u and (matched[d] >> t) & 1:
                    right += 1
                elif units[d] != u and not (ignored[d] >> t) & 1:
                    wrong += 1
                if last[d] and right + wrong > 0:
                    precision, recall = right / (right + wrong), right / positives[u]
                    area += (recall - reached) * (precision + before) / 2
                    before, reached = precision, recall
            found[u, t] = area


class CityscapesAp(OfRows):
    """Cityscapes' average precision of instances."""

    name = "cityscapes_ap"
    version = 1
    label = "Cityscapes AP"
    tasks: tuple[TaskKind, ...] = ("instance",)
    higher_is_better = True
    statistic = "cityscapes_matches"
    definition = (
        "Cityscapes' AP of masks: mean over IoU above 0.50:0.05:0.95 and classes with a true object of at least 100 "
        "pixels, precision over recall by trapezoids, all detections, void and groups ignored"
    )
    columns = 1 + len(matches.COLUMNS)

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Rows:
        """Ground truth and judged detections of one image."""
        return judged_rows(*matches.as_instances(target, predicted, classes))

    def score(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Score of the rows of all images, shape (rows, 8)."""
        draws, images = self.bootstrap(statistics, classes, seed=seed), images_in(statistics)
        at = self._precisions(statistics, classes, LeftOut.nothing(images))[0]  # (K, T)
        per_class = at.mean(axis=1)
        return build_score(
            self,
            value=defined(mean_of_defined(per_class)),
            undefined_because=f"no target holds an object of at least {SMALLEST} pixels that is not a group",
            draws=draws,
            per_class=per_class,
            classes=classes,
            images=images,
            parts={"AP50": defined(mean_of_defined(at[:, 0]))},
        )

    def class_values(
        self, rows: NDArray[np.float64], classes: Sequence[ClassSpec], left_out: LeftOut
    ) -> NDArray[np.float64]:
        """Return the AP of each class without each unit of images, (units, K), nan without a true object."""
        return np.asarray(self._precisions(rows, classes, left_out).mean(axis=2))

    @staticmethod
    def _precisions(rows: NDArray[np.float64], classes: Sequence[ClassSpec], left_out: LeftOut) -> NDArray[np.float64]:
        """AP without each unit by class and threshold, (units, K, T); nan for stuff and where no object is left."""
        found = np.full((left_out.total, len(classes), len(THRESHOLDS)), np.nan)
        for class_id, one in rows_by_class(rows, classes).items():
            found[:, class_id] = precision_of(one, left_out)
        return found


METRIC = CityscapesAp()
