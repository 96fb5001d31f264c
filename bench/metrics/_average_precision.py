"""Average precision from the matches of `bench.metrics._matching`, and the metric that is made of both.

Precision is made monotone from the right and averaged at 101 points of recall, pycocotools' way
(`accumulate` of `cocoeval.py` at 8c9bcc3), for all images or for all but some of them.

`max_detections`, of an image and a class the surest ones, is part of a metric's definition: with another
number than its own a metric has another name, `mask_ap_300`. What the cap leaves out is told by the score.

Source: Lin et al., Microsoft COCO, ECCV 2014; cocodataset/cocoapi, `PythonAPI/pycocotools/cocoeval.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metric import Rows
from bench.metrics import _matching as matches
from bench.metrics._bootstrap import LeftOut, mean_of_defined
from bench.metrics._masks import Stack, stacks
from bench.metrics._matching import AREA_RANGES, IOU_THRESHOLDS, MAX_DETECTIONS
from bench.metrics._pooled import OfRows, images_in, require_columns
from bench.metrics._precision_kernels import precision_without
from bench.metrics._semantic import build_score, defined
from bench.records import ClassSpec, Score, TaskKind
from bench.records.predictions import Instances, Prediction

THRESHOLDS = len(IOU_THRESHOLDS)


class Curves(NamedTuple):
    """Precision and recall of one class for each IoU threshold, (T,); nan without a ground truth that counts.

    Attributes:
        precision: Mean of the interpolated precision over the recall points.
        recall: Reached with all detections.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


class ClassRows(NamedTuple):
    """The rows of one class, detections by falling score.

    Attributes:
        scores: Score of each detection, float64, (D,).
        images: Number of the image of each detection, int64, (D,).
        ranks, matched, ignored: Columns of the stored rows, int64, (D,).
        true_images: Number of the image of each ground truth, int64, (G,).
        true_areas: Area of each ground truth, float64, (G,).
        crowd: True for each ground truth that is a crowd, bool, (G,).
    """

    scores: NDArray[np.float64]
    images: NDArray[np.int64]
    ranks: NDArray[np.int64]
    matched: NDArray[np.int64]
    ignored: NDArray[np.int64]
    true_images: NDArray[np.int64]
    true_areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: NDArray[np.float64], class_id: int) -> ClassRows:
        """Rows of a class among those of all images, shape (rows, 8)."""
        own = rows[rows[:, matches.CLASS] == class_id]
        detections, true = (own[own[:, matches.KIND] == kind] for kind in (matches.DETECTION, matches.GROUND_TRUTH))
        ordered = detections[np.argsort(-detections[:, matches.SCORE], kind="stable")]
        columns = (matches.NUMBER, matches.RANK, matches.MATCHED, matches.IGNORED)
        images, ranks, matched, ignored = (np.ascontiguousarray(ordered[:, c].astype(np.int64)) for c in columns)
        scores, areas = ordered[:, matches.SCORE].copy(), true[:, matches.AREA].copy()  # views would keep all columns
        true_images, crowd = true[:, matches.NUMBER].astype(np.int64), true[:, matches.IGNORED] > 0
        return cls(scores, images, ranks, matched, ignored, true_images, areas, crowd)

    def counted_ground_truths(self, area_range: str) -> NDArray[np.bool_]:
        """Return which ground truths count in a range of areas, bool, (G,)."""
        low, high = AREA_RANGES[area_range]
        return np.asarray(~self.crowd & (self.true_areas >= low) & (self.true_areas <= high))

    def bits(self, column: NDArray[np.int64], area_range: str) -> NDArray[np.int64]:
        """Return the ten bits of a range of areas."""
        return np.asarray((column >> (10 * list(AREA_RANGES).index(area_range))) & 0x3FF)

    def curves(self, area_range: str = "all", most: int = MAX_DETECTIONS) -> Curves:
        """Precision and recall in a range of areas with at most `most` detections per image."""
        positives = int(self.counted_ground_truths(area_range).sum())
        if not positives:
            nothing = np.full(len(IOU_THRESHOLDS), np.nan)
            return Curves(nothing, nothing)
        counted = self.ranks < most
        matched, ignored = (self.bits(column, area_range)[counted] for column in (self.matched, self.ignored))
        precision, recall = precision_without(matched, ignored, None, np.array([float(positives)]), THRESHOLDS)
        return Curves(precision[0], recall[0])

    def without(self, left_out: LeftOut) -> NDArray[np.float64]:
        """AP of the class without each unit of images, (units,), nan without a ground truth."""
        true_images = self.true_images[self.counted_ground_truths("all")]
        positives = left_out.sums(np.bincount(true_images, minlength=len(left_out.of_image)).astype(np.float64))
        matched, ignored = (self.bits(column, "all") for column in (self.matched, self.ignored))
        precision, _ = precision_without(matched, ignored, left_out.of_image[self.images], positives, THRESHOLDS)
        return np.asarray(precision.mean(axis=1))

    def within(self, groups: NDArray[np.bool_], most: int) -> NDArray[np.float64]:
        """AP of the class over each group of images, (G,), nan without a ground truth; see `of_groups`."""
        true_images = self.true_images[self.counted_ground_truths("all")]
        positives = groups[:, true_images].sum(axis=1).astype(np.float64)
        matched, ignored = (self.bits(column, "all") for column in (self.matched, self.ignored))
        precision = np.empty((len(groups), THRESHOLDS))
        for number, group in enumerate(groups):
            own = np.flatnonzero(group[self.images] & (self.ranks < most))
            found = precision_without(matched[own], ignored[own], None, positives[number : number + 1], THRESHOLDS)
            precision[number] = found[0][0]
        return np.asarray(precision.mean(axis=1))


@dataclass(frozen=True)
class PrecisionMetric(OfRows):
    """A metric of instances: COCO's average precision over a kind of IoU.

    Attributes:
        version: Raised whenever the definition changes a number.
        label: Heading in tables.
        template: Its definition, one line that stands in every record, with `{most}` for the number of detections.
        statistic: Name of the matches, which are those of one kind of IoU.
        ious: IoU of all detections with the ground truth of their class, (detections, ground truth), from
            the ground truth, the detections, and the masks of both.
        most: Detections of an image and class that count, the surest ones.
        of_all_classes: True if they are counted over all classes of an image.
        image_label: Name of the score by which single images are listed, which have no average precision worth the
            name.
    """

    name: str
    version: int
    label: str
    template: str
    statistic: str
    ious: Callable[[Instances, Instances, Stack, Stack], NDArray[np.float64]]
    tasks: tuple[TaskKind, ...] = ("instance",)
    image_label: str = "object F1"
    higher_is_better: bool = True
    most: int = MAX_DETECTIONS
    of_all_classes: bool = False
    columns: ClassVar[int] = 1 + len(matches.COLUMNS)

    @property
    def definition(self) -> str:
        """One line that stands in every record."""
        return self.template.format(most=self.most)

    def with_max_detections(self, most: int) -> PrecisionMetric:
        """Return the metric with another number of detections, under a name that says so."""
        return replace(
            self,
            name=f"{self.name}_{most}",
            label=f"{self.label} @{most}",
            statistic=f"{self.statistic}_{most}",
            most=most,
        )

    def counted(self, predicted: Instances) -> Instances:
        """Return the detections that count before any is left out of its class; all of them."""
        return predicted

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Rows:
        """Return ground truth and matched detections of one image."""
        ground_truth, every = matches.as_instances(target, predicted, classes)
        guess = self.counted(every)
        true_masks, masks = stacks(ground_truth, guess)
        ious = self.ious(ground_truth, guess, true_masks, masks)
        true_areas = true_masks.areas.astype(np.float64)
        if ground_truth.areas is not None:
            true_areas = np.where(np.isnan(ground_truth.areas), true_areas, ground_truth.areas)
        areas = true_areas, masks.areas.astype(np.float64)
        rows = matches.match_rows(ground_truth, guess, ious, areas, most=self.most)
        rows.table[0, matches.LEFT_OUT - 1] += len(every.scores) - len(guess.scores)
        return rows

    def score(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Score the rows of all images, shape (rows, 8): AP, its parts, and each thing class."""
        require_columns(statistics, self.columns)
        by_class = rows_by_class(statistics, classes)
        every = {c: one.curves(most=self.most) for c, one in by_class.items()}
        per_class = np.full(len(classes), np.nan)
        for class_id, curves in every.items():
            per_class[class_id] = curves.precision.mean()
        score = build_score(
            self,
            value=defined(mean_of_defined(per_class)),
            undefined_because="no target holds an instance that is not a crowd",
            draws=self.bootstrap(statistics, classes, seed=seed),
            per_class=per_class,
            classes=classes,
            images=images_in(statistics),
            parts=self.parts(by_class, every, classes),
        )
        usual = self.name.removesuffix(f"_{self.most}")
        flags = matches.cap_flags(statistics, name=usual, most=self.most, of_all_classes=self.of_all_classes)
        return score.model_copy(update={"flags": flags})

    def parts(
        self, by_class: dict[int, ClassRows], every: dict[int, Curves], classes: Sequence[ClassSpec]
    ) -> dict[str, float | None]:
        """Companion figures: COCO's other eleven; `every` holds the curves over all areas."""
        del classes
        return coco_parts(by_class, every, self.most)

    def class_values(
        self, rows: NDArray[np.float64], classes: Sequence[ClassSpec], left_out: LeftOut
    ) -> NDArray[np.float64]:
        """Return the AP of each thing class without each unit of images, (units, things)."""
        per_class = [one.without(left_out) for one in rows_by_class(rows, classes).values()]
        return np.stack(per_class, axis=1) if per_class else np.empty((left_out.total, 0))

    def per_image(self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec]) -> NDArray[np.float64]:
        """Return F1 of the objects of each image, (images,): see `_matching.py`."""
        del classes
        require_columns(statistics, self.columns)
        return matches.image_f1(statistics)

    def of_groups(
        self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], groups: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return AP over each group of images, (G,); `groups` says which images are in each, (G, images)."""
        require_columns(statistics, self.columns)
        per_class = [one.within(groups, self.most) for one in rows_by_class(statistics, classes).values()]
        return mean_of_defined(np.stack(per_class, axis=1)) if per_class else np.full(len(groups), np.nan)


def mean(values: Sequence[float]) -> float | None:
    """Return the mean of a companion figure over classes; None without any."""
    return defined(mean_of_defined(np.array(values))) if len(values) else None


def coco_parts(
    by_class: dict[int, ClassRows],
    every: dict[int, Curves],
    most: int = MAX_DETECTIONS,
    *,
    recalls: Sequence[int] = (1, 10),
    groups: Mapping[str, float | None] = MappingProxyType({}),
) -> dict[str, float | None]:
    """Return COCO's other figures under their names.

    Args:
        every: Curves over all areas, with `most` detections.
        recalls: Numbers of detections with which recall is told beside `most`, as far as that goes.
        groups: Figures of groups of classes, which stand between precision and recall.
    """

    parts = {f"AP{100 * IOU_THRESHOLDS[t]:.0f}": mean([c.precision[t] for c in every.values()]) for t in (0, 5)}
    sized = {name: [one.curves(name, most) for one in by_class.values()] for name in ("small", "medium", "large")}
    parts |= {f"AP_{name}": mean([c.precision.mean() for c in curves]) for name, curves in sized.items()}
    parts |= groups
    for count in sorted({min(count, most) for count in (*recalls, most)}):
        parts[f"AR_{count}"] = mean([one.curves("all", count).recall.mean() for one in by_class.values()])
    return parts | {f"AR_{name}": mean([c.recall.mean() for c in curves]) for name, curves in sized.items()}


def rows_by_class(rows: NDArray[np.float64], classes: Sequence[ClassSpec]) -> dict[int, ClassRows]:
    """Split rows, shape (rows, 8), by thing class: class id -> its rows, also where there are none."""
    order = np.argsort(rows[:, matches.CLASS], kind="stable")
    ordered = rows[order]
    first = np.searchsorted(ordered[:, matches.CLASS], np.arange(len(classes) + 1))
    return {
        label: ClassRows.of(ordered[first[label] : first[label + 1]], label)
        for label, spec in enumerate(classes)
        if spec.is_thing
    }
