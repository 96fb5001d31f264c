"""Sorts wrong detections and missed objects by their reason: TIDE's kinds of errors, on masks.

At an IoU of 0.5, detections take objects of their class greedily by falling score. What is wrong with one that took
none is the first of these that holds, with its IoU with objects, of its own class unless something else is said:

    location     highest IoU between 0.1 and 0.5
    class        highest IoU with an object of another class at least 0.5
    duplicate    IoU of at least 0.5 with an object that another detection took
    background   highest IoU with any object, of whatever class, at most 0.1
    both         all others: wrong class and wrong place

An object that no detection took, and that no error of location or class could be made to take, is missed.

A row per image, per true object and per detection:

    kind, class, score, outcome, fixed_class

`outcome` of a detection is 0 where it is right, else a kind of error; of an object, 0 where it was taken, 1 where an
error could be made to take it, 2 where it is missed. `fixed_class` is the class of the object that a detection would
take if its error was fixed, -1 if it would go: of all errors on one object, only that with the highest score is made
right.

Source: Bolya et al., TIDE, ECCV 2020; dbolya/tide at v1.0.1, `tidecv/quantify.py` and `tidecv/errors/main_errors.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metric import Rows
from bench.metrics._bootstrap import ratio
from bench.metrics._masks import intersections, stacks
from bench.metrics._pooled import side_by_side
from bench.records.predictions import Instances

IMAGE, TRUTH, DETECTION = 0.0, 1.0, 2.0
COLUMNS = ("kind", "class", "score", "outcome", "fixed_class")
NUMBER, KIND, CLASS, SCORE, OUTCOME, FIXED_CLASS = range(1 + len(COLUMNS))
"""Columns of stored rows; the first is the number of the image."""

RIGHT, LOCATION, WRONG_CLASS, DUPLICATE, BACKGROUND, BOTH = range(6)
TAKEN, COULD_BE, GONE = range(3)
FOREGROUND_IOU, BACKGROUND_IOU = 0.5, 0.1
MOST = 100
"""Detections of an image, the surest ones."""


def error_rows(target: Instances, predicted: Instances) -> Rows:
    """Sort the detections and objects of one image into kinds; see the module's docstring for the rows."""
    order = np.argsort(-predicted.scores, kind="stable")[:MOST]
    real = np.flatnonzero(~target.crowd)
    masks, true_masks = stacks(predicted.chosen(order), target)
    shared = intersections(masks, true_masks, np.ones((len(order), len(target.class_ids)), dtype=np.bool_))
    union = masks.areas[:, None] + true_masks.areas[None] - shared
    ious = np.where(shared > 0, shared / np.maximum(union, 1), 0.0)[:, real]
    class_ids, true_class = predicted.class_ids[order], target.class_ids[real]
    same = class_ids[:, None] == true_class[None]
    taken_by = _take(np.where(same, ious, 0.0))
    right = np.isin(np.arange(len(order)), taken_by)
    in_crowd = ratio(shared, masks.areas[:, None])[:, target.crowd] >= FOREGROUND_IOU
    in_crowd &= class_ids[:, None] == target.class_ids[None, target.crowd]
    counts = right | ~in_crowd.any(axis=1)
    found = _errors(ious, same, taken_by >= 0, right)
    fixable = counts & np.isin(found.outcomes, (LOCATION, WRONG_CLASS))
    fixed_class, could_be = _fixes(found, fixable, taken_by >= 0, true_class, predicted.scores[order])
    ground_truths = side_by_side(
        TRUTH, true_class, 0, np.where(taken_by >= 0, TAKEN, np.where(could_be, COULD_BE, GONE)), -1
    )
    detections = side_by_side(DETECTION, class_ids, predicted.scores[order], found.outcomes, fixed_class)[counts]
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
