"""Error budget of instances: what AP at an IoU of 0.5 would gain if one kind of error was fixed.

What it measures:
    Which kind of error costs a model most: wrong classes, inaccurate masks, duplicates, false positives or misses.

Definition:
    The headline is AP at a mask IoU of 0.5, at most 100 detections per image, over 101 recall points and thing classes
    with a true object. Each detection that is wrong has one kind of error by TIDE's rules, with masks in the place of
    boxes: `location` (right class, IoU of 0.1 to 0.5), `class` (IoU of at least 0.5 with an object of another class),
    `duplicate` (IoU of at least 0.5 with an object that another one took), `background` (IoU of at most 0.1 with
    everything), `both` (the rest); an object is `missed` if no error of the first two kinds could be made right on it.
    A part is the AP with that kind alone fixed, minus the headline: errors of location and class become right, at most
    one for each object that is not found; the others go; missed objects are no longer asked for (a class without
    another one stays at 0). Parts do not add up. Detections in a crowd of their class are left out. Errors are counted
    beside it.

When undefined:
    A class without a true object has no value and leaves the mean.

Differs from:
    tidecv prints percent, and takes a class that is predicted and nowhere true into its mean as an AP of 0, one that
    is neither, once its missed objects are gone, out of it. COCO's AP50 looks for the best object among those that are
    free as TIDE does, but differs in the last digit of recall.

Source:
    Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, ECCV 2020; dbolya/tide at v1.0.1,
    `tidecv/quantify.py` and `tidecv/errors/main_errors.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metric import Rows
from bench.metrics._bootstrap import LeftOut, mean_of_defined, ratio
from bench.metrics._masks import intersections, stacks
from bench.metrics._matching import as_instances
from bench.metrics._pooled import OfRows, images_in, side_by_side
from bench.metrics._precision_kernels import precision_without
from bench.metrics._semantic import build_score, defined
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Prediction

IMAGE, TRUTH, DETECTION = 0.0, 1.0, 2.0
COLUMNS = ("kind", "class", "score", "outcome", "fixed_class")
NUMBER, KIND, CLASS, SCORE, OUTCOME, FIXED_CLASS = range(1 + len(COLUMNS))
"""Columns of stored rows; the first is the number of the image."""

RIGHT, LOCATION, WRONG_CLASS, DUPLICATE, BACKGROUND, BOTH = range(6)
TAKEN, COULD_BE, GONE = range(3)
FOREGROUND_IOU, BACKGROUND_IOU = 0.5, 0.1
MOST = 100
"""Detections of an image, the surest ones."""

KINDS = {
    "class": WRONG_CLASS,
    "location": LOCATION,
    "both": BOTH,
    "duplicate": DUPLICATE,
    "background": BACKGROUND,
}
MISSED = "missed"


def error_rows(target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Rows:
    """Sort the detections and objects of one image into kinds.

    Detections take objects of their class greedily by falling score. What is wrong with one that took none is the first
    that holds of location, class, duplicate, background and both, with its IoU with objects of its own class unless
    something else is said.

    Returns:
        A row per image, per true object and per detection: kind, class, score, outcome, fixed_class. `outcome` of a
        detection is 0 where it is right, else a kind of error; of an object, 0 where it was taken, 1 where an error
        could be made to take it, 2 where it is missed. `fixed_class` is the class of the object that a detection would
        take if its error was fixed, -1 if it would go: of all errors on one object, only that with the highest score is
        made right.
    """
    true, seen = as_instances(target, predicted, classes)
    order = np.argsort(-seen.scores, kind="stable")[:MOST]
    real = np.flatnonzero(~true.crowd)
    masks, true_masks = stacks(seen.chosen(order), true)
    shared = intersections(masks, true_masks, np.ones((len(order), len(true.class_ids)), dtype=np.bool_))
    union = masks.areas[:, None] + true_masks.areas[None] - shared
    ious = np.where(shared > 0, shared / np.maximum(union, 1), 0.0)[:, real]
    class_ids, true_class = seen.class_ids[order], true.class_ids[real]
    same = class_ids[:, None] == true_class[None]
    taken_by = _take(np.where(same, ious, 0.0))
    right = np.isin(np.arange(len(order)), taken_by)
    in_crowd = ratio(shared, masks.areas[:, None])[:, true.crowd] >= FOREGROUND_IOU
    in_crowd &= class_ids[:, None] == true.class_ids[None, true.crowd]
    counts = right | ~in_crowd.any(axis=1)
    found = _errors(ious, same, taken_by >= 0, right)
    fixable = counts & np.isin(found.outcomes, (LOCATION, WRONG_CLASS))
    fixed_class, could_be = _fixes(found, fixable, taken_by >= 0, true_class, seen.scores[order])
    ground_truths = side_by_side(
        TRUTH, true_class, 0, np.where(taken_by >= 0, TAKEN, np.where(could_be, COULD_BE, GONE)), -1
    )
    detections = side_by_side(DETECTION, class_ids, seen.scores[order], found.outcomes, fixed_class)[counts]
    return Rows(np.concatenate([np.zeros((1, len(COLUMNS))), ground_truths, detections]))


def _take(ious: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which detection took each object, -1 for none, (objects,); detections come by falling score."""
    free, taken_by = ious.copy(), np.full(ious.shape[1], -1, dtype=np.int64)
    for d in range(len(ious) if ious.shape[1] else 0):
        g = int(free[d].argmax())
        if free[d, g] >= FOREGROUND_IOU:
            taken_by[g], free[:, g] = d, 0.0
    return taken_by


class _Errors(NamedTuple):
    """Kind of error of each detection, int64, (D,), and the object that it is about."""

    outcomes: NDArray[np.int64]
    objects: NDArray[np.int64]


def _errors(
    ious: NDArray[np.float64], same: NDArray[np.bool_], taken: NDArray[np.bool_], right: NDArray[np.bool_]
) -> _Errors:
    if not ious.shape[1]:
        nothing = np.zeros(len(ious), dtype=np.int64)
        return _Errors(np.full(len(ious), BACKGROUND, dtype=np.int64), nothing)
    of_class, of_others = np.where(same, ious, 0.0), np.where(same, 0.0, ious)
    best = of_class.max(axis=1)
    conditions = [
        right,
        (best >= BACKGROUND_IOU) & (best <= FOREGROUND_IOU),
        of_others.max(axis=1) >= FOREGROUND_IOU,
        np.where(taken[None], of_class, 0.0).max(axis=1) >= FOREGROUND_IOU,
        ious.max(axis=1) <= BACKGROUND_IOU,
    ]
    outcomes = np.select(conditions, [RIGHT, LOCATION, WRONG_CLASS, DUPLICATE, BACKGROUND], default=BOTH)
    objects = np.where(outcomes == WRONG_CLASS, of_others.argmax(axis=1), of_class.argmax(axis=1))
    return _Errors(outcomes.astype(np.int64), objects)


def _fixes(
    found: _Errors,
    fixable: NDArray[np.bool_],
    taken: NDArray[np.bool_],
    true_class: NDArray[np.int64],
    scores: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Class that each detection has if its error is fixed, -1 if it goes; which objects could be taken so."""
    fixed = np.full(len(scores), -1, dtype=np.int64)
    could_be = np.zeros(len(taken), dtype=np.bool_)
    for d in np.flatnonzero(fixable):  # by falling score: the first one on an object is the best
        g = found.objects[d]
        if not taken[g] and not could_be[g]:
            fixed[d], could_be[g] = true_class[g], True
    return fixed, could_be


class Judged(NamedTuple):
    """Detections with the class they are counted in, and objects that are asked for: one state of the budget."""

    images: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    true_images: NDArray[np.int64]
    true_class: NDArray[np.int64]


def judged(rows: NDArray[np.float64], fixed: Sequence[int] = (), *, without_missed: bool = False) -> Judged:
    """Return the detections and objects of all images, with some kinds of errors fixed.

    Args:
        rows: Rows of all images, (rows, 6).
        fixed: Kinds of errors; their detections are made right, or go.
        without_missed: Leave missed objects out.
    """
    detections, ground_truths = rows[rows[:, KIND] == DETECTION], rows[rows[:, KIND] == TRUTH]
    outcome, fixed_class = detections[:, OUTCOME].astype(np.int64), detections[:, FIXED_CLASS].astype(np.int64)
    corrected = np.isin(outcome, list(fixed))
    kept = ~corrected | (fixed_class >= 0)
    class_ids = np.where(corrected, fixed_class, detections[:, CLASS].astype(np.int64))
    asked = ground_truths if not without_missed else ground_truths[ground_truths[:, OUTCOME] != GONE]
    return Judged(
        images=detections[kept, NUMBER].astype(np.int64),
        class_ids=class_ids[kept],
        scores=detections[kept, SCORE],
        right=((outcome == RIGHT) | corrected)[kept],
        true_images=asked[:, NUMBER].astype(np.int64),
        true_class=asked[:, CLASS].astype(np.int64),
    )


class ErrorBudget(OfRows):
    """AP at an IoU of 0.5, and what it would gain without each kind of error."""

    name = "error_budget"
    version = 1
    label = "AP50, error budget"
    tasks: tuple[TaskKind, ...] = ("instance",)
    higher_is_better = True
    statistic = "mask_errors"
    definition = (
        "AP of masks at IoU 0.5, 100 detections per image, 101 recall points; parts: its gain with one kind of error "
        "fixed, by TIDE's rules on masks"
    )
    columns = 1 + len(COLUMNS)

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Rows:
        """Errors of one image."""
        return error_rows(target, predicted, classes)

    def score(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Score of the rows of all images, shape (rows, 6)."""
        draws, images = self.bootstrap(statistics, classes, seed=seed), images_in(statistics)
        every = LeftOut.nothing(images)
        per_class = self.class_values(statistics, classes, every)[0]
        fixed = {name: judged(statistics, [kind]) for name, kind in KINDS.items()}
        fixed[MISSED] = judged(statistics, without_missed=True)
        of_kind = [statistics[statistics[:, KIND] == kind] for kind in (DETECTION, TRUTH)]
        wrong, missed = (rows[:, OUTCOME] for rows in of_kind)
        counts = {name: int((wrong == kind).sum()) for name, kind in KINDS.items()}
        counts[MISSED] = int((missed == GONE).sum())
        return build_score(
            self,
            value=defined(mean_of_defined(per_class)),
            undefined_because="no target holds an instance that is not a crowd",
            draws=draws,
            per_class=per_class,
            classes=classes,
            images=images,
            parts={
                name: self._gain(per_class, class_precision(state, classes, every)[0]) for name, state in fixed.items()
            },
            counts={f"{name} errors": count for name, count in counts.items()},
        )

    @staticmethod
    def _gain(before: NDArray[np.float64], after: NDArray[np.float64]) -> float | None:
        """Difference of the means over the classes that had an object; one with no more object to find stays at 0."""
        asked = ~np.isnan(before)
        return defined(mean_of_defined(np.where(asked, np.nan_to_num(after) - before, np.nan)))

    def class_values(
        self, rows: NDArray[np.float64], classes: Sequence[ClassSpec], left_out: LeftOut
    ) -> NDArray[np.float64]:
        """Return the AP of each class without each unit of images, (units, K), nan without a true object."""
        return class_precision(judged(rows), classes, left_out)


def class_precision(state: Judged, classes: Sequence[ClassSpec], left_out: LeftOut) -> NDArray[np.float64]:
    """AP at an IoU of 0.5 without each unit of images, by class, (units, K); nan for stuff and without objects."""
    found = np.full((left_out.total, len(classes)), np.nan)
    for class_id, spec in enumerate(classes):
        if not spec.is_thing:
            continue
        own = np.flatnonzero(state.class_ids == class_id)
        own = own[np.argsort(-state.scores[own], kind="stable")]
        true_images = state.true_images[state.true_class == class_id]
        positives = left_out.sums(np.bincount(true_images, minlength=len(left_out.of_image)).astype(np.float64))
        right = state.right[own].astype(np.int64)
        units = left_out.of_image[state.images[own]]
        found[:, class_id] = precision_without(right, np.zeros_like(right), units, positives, thresholds=1)[0][:, 0]
    return found


METRIC = ErrorBudget()
