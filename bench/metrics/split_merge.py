"""Objects kept whole and apart: how many segments are cut into several, or joined to others.

What it measures:
    The two errors that counting suffers most from and that panoptic quality tells only as misses and false positives:
    one object predicted as several (split), several predicted as one (merged).

Definition:
    Of segments of one thing class, a prediction belongs to a true segment if more than half of it lies there, what
    lies on void left out; a true segment is split if two or more belong to it. A true segment lies in a prediction if
    more than half of it does; those of which two or more lie in one prediction are merged. The headline is the share
    of true segments that are neither, counts pooled over all images, and the mean over thing classes. Parts: the
    shares that are split and merged. Crowds are left out. The numbers are counted beside it.

When undefined:
    A class without a true segment has no value; stuff, of which an image has one segment at most, never has.

Differs from:
    Splits and merges by intersection over union, as some cell trackers count them, need a threshold; one half of the
    area needs none and gives every segment to one other at most.

Source:
    Caicedo et al., Evaluation of Deep Learning Strategies for Nucleus Segmentation in Fluorescence Images, Cytometry A
    95 (2019), 952-965 (splits and merges).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.metrics._class_sums import Sums, SumsMetric, quotient
from bench.metrics._pooled import side_by_side
from bench.metrics.panoptic_quality import FIRST, VOID, as_panoptic, class_ids, count_pairs
from bench.records import ClassSpec
from bench.records.predictions import Prediction

TRUE, WHOLE, SPLIT, MERGED = range(4)
"""Columns: true segments, those that are neither, those that are split, those that are merged."""


def split_merge_sums(target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Sums:
    """Count the segments of one image by class, float64, (K, 4)."""
    true_map, seen_map = as_panoptic(target, predicted)
    counts = count_pairs(true_map, seen_map)
    true_class, seen_class = class_ids(true_map), class_ids(seen_map)
    asked = np.array([not s.crowd and classes[s.class_id].is_thing for s in true_map.segments], dtype=np.bool_)
    shared = np.where(true_class[:, None] == seen_class[None], counts[FIRST:, FIRST:], 0) * asked[:, None]
    judged = counts[:, FIRST:].sum(axis=0) - counts[VOID, FIRST:]
    belongs = 2 * shared > judged[None]
    lies_in = 2 * shared > counts[FIRST:].sum(axis=1)[:, None]
    split = belongs.sum(axis=1) > 1
    merged = (lies_in & (lies_in.sum(axis=0) > 1)[None]).any(axis=1)
    columns = [asked, asked & ~split & ~merged, split, merged]
    return side_by_side(*(np.bincount(true_class[one], minlength=len(classes)) for one in columns))


METRIC = SumsMetric(
    name="split_merge",
    label="segments kept whole",
    definition=(
        "mean over thing classes of the share of true segments that are neither split (two predictions lie in it to "
        "more than half) nor merged (it lies with another in one prediction to more than half), pooled over images"
    ),
    statistic="split_merge",
    observed=split_merge_sums,
    columns=4,
    formula=quotient(WHOLE, TRUE),
    undefined_because="no target holds a segment of a thing that is not a crowd",
    parts={"split": quotient(SPLIT, TRUE), "merged": quotient(MERGED, TRUE)},
    counts={"true": TRUE, "split": SPLIT, "merged": MERGED},
    tasks=("panoptic",),
)
