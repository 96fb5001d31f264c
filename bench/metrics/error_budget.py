"""Error budget of instances: what AP at an IoU of 0.5 would gain if one kind of error was fixed.

What it measures:
    Which kind of error costs a model most: wrong classes, inaccurate masks, duplicates, false positives or misses.

Definition:
    The headline is AP at a mask IoU of 0.5, at most 100 detections per image, over 101 recall points and thing classes
    with a true object. Each detection that is wrong has one kind of error by TIDE's rules, with masks in the place of
    boxes: `location` (right class, IoU of 0.1 to 0.5), `class` (IoU of at least 0.5 with an object of another class),
    `duplicate`, `background` (IoU of at most 0.1 with everything), `both` (the rest); an object is `missed` if no error
    of the first two kinds could be made right on it. A part is the AP with that kind alone fixed, minus the headline:
    errors of location and class become right, at most one for each object that is not found; the others go; missed
    objects are no longer asked for (a class without another one stays at 0). Parts do not add up. Detections in a
    crowd of their class are left out. Errors are counted beside it.

When undefined:
    A class without a true object has no value and leaves the mean.

Differs from:
    tidecv prints percent, and takes a class that is predicted and nowhere true into its mean as an AP of 0, one that
    is neither, once its missed objects are gone, out of it. COCO's AP50 looks for the best object among those that are
    free as TIDE does, but differs in the last digit of recall.

Source:
    Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, ECCV 2020; dbolya/tide at v1.0.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import Rows
from bench.metrics import _errors as errors
from bench.metrics._bootstrap import LeftOut, mean_of_defined
from bench.metrics._matching import as_instances
from bench.metrics._pooled import OfRows, images_in
from bench.metrics._precision_kernels import precision_without
from bench.metrics._semantic import build_score, defined
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Prediction

KINDS = {
    "class": errors.WRONG_CLASS,
    "location": errors.LOCATION,
    "both": errors.BOTH,
    "duplicate": errors.DUPLICATE,
    "background": errors.BACKGROUND,
}
MISSED = "missed"


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
    columns = 1 + len(errors.COLUMNS)

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Rows:
        """Errors of one image."""
        return errors.error_rows(*as_instances(target, predicted, classes))

    def score(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Score of the rows of all images, shape (rows, 6)."""
        draws, images = self.bootstrap(statistics, classes, seed=seed), images_in(statistics)
        every = LeftOut.nothing(images)
        per_class = self.class_values(statistics, classes, every)[0]
        fixed = {name: errors.judged(statistics, [kind]) for name, kind in KINDS.items()}
        fixed[MISSED] = errors.judged(statistics, without_missed=True)
        of_kind = [statistics[statistics[:, errors.KIND] == kind] for kind in (errors.DETECTION, errors.TRUTH)]
        wrong, missed = (rows[:, errors.OUTCOME] for rows in of_kind)
        counts = {name: int((wrong == kind).sum()) for name, kind in KINDS.items()}
        counts[MISSED] = int((missed == errors.GONE).sum())
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
        return class_precision(errors.judged(rows), classes, left_out)


def class_precision(state: errors.Judged, classes: Sequence[ClassSpec], left_out: LeftOut) -> NDArray[np.float64]:
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
