"""Probabilities that a suite keeps: read back, mapped to its classes, observed, and the thresholds chosen by them.

Thresholds are chosen on the validation split, whose probabilities are kept for that, and applied to the scored one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.labels.dataset import open_labelled
from bench.data.labels.mapping import ClassTable
from bench.dataset import Dataset, has_validation
from bench.errors import BenchError, ShapeError
from bench.metric import FromProbabilities, Metric
from bench.metrics import auprc, ece, threshold_dice
from bench.records import Case, ClassSpec, Score, TaskSpec
from bench.records.predictions import Prediction
from bench.records.probabilities import LEVELS, ClassProbabilities
from bench.records.store import layout
from bench.records.store.prediction_index import read_index, verified_probabilities
from bench.records.store.statistics import Collector, Statistics

BEST = "best on these images"
"""Name of the part of a score that chooses thresholds with the ground truth in hand."""


@dataclass(frozen=True)
class ChosenThresholds:
    """Metrics at the thresholds that were chosen for them.

    Attributes:
        metrics: All metrics of the suite, those of thresholds at theirs.
        taus: Class name -> threshold; empty where no metric has any.
        source: Images on which they were chosen, in words.
    """

    metrics: tuple[Metric, ...]
    classes: tuple[ClassSpec, ...]
    taus: dict[str, float] = field(default_factory=dict)
    source: str = ""

    def with_thresholds(self, metric: Metric, score: Score, statistics: Statistics) -> Score:
        """Return the score of a metric of thresholds with these, and with what the best ones would have come to."""
        levels = statistics.arrays.get(auprc.METRIC.statistic)
        if not hasattr(metric, "best_on") or levels is None:
            return score
        best = metric.best_on(levels.sum(axis=0), self.classes)
        return score.model_copy(
            update={
                "taus": self.taus,
                "taus_from": self.source,
                "parts": {**score.parts, BEST: best},
                "definition": f"{score.definition}; tau of each class: {self.source}",
            }
        )


@dataclass(frozen=True)
class KeptProbabilities:
    """The probabilities that lie in the folder of a predict job.

    Attributes:
        case: Case that the job belongs to.
        task: The suite's classes.
        dataset: Data set of the case, opened.
        folder: Folder of the job.
        table: Table from the model's classes to the suite's; None where they are the same.
        validation: Folder of the validation split's, of another job where images are shifted; None = within `folder`.
    """

    case: Case
    task: TaskSpec
    dataset: Dataset
    folder: Path
    table: ClassTable | None
    validation: Path | None = None

    def of_scored(self, image_id: str) -> ClassProbabilities:
        """Return those of a scored image; raises `BenchError` if none were kept, or they are damaged."""
        return self._read(self.folder / layout.PROBABILITIES, self._index, image_id)

    def with_thresholds(self, metrics: Sequence[Metric]) -> ChosenThresholds:
        """Choose a threshold for each class on the validation split, if any metric wants one."""
        classes = self.task.classes
        if not any(hasattr(metric, "chosen_at") for metric in metrics):
            return ChosenThresholds(tuple(metrics), classes)
        levels, source = self._best_levels()
        chosen: list[Any] = [one.chosen_at(levels) if hasattr(one, "chosen_at") else one for one in metrics]
        taus = {spec.name: round(int(level) / (LEVELS - 1), 4) for spec, level in zip(classes, levels, strict=True)}
        return ChosenThresholds(tuple(chosen), classes, taus, source)

    def _best_levels(self) -> tuple[NDArray[np.int64], str]:
        """Return the level of each class, and on what it was chosen."""
        spec, half = self.case.made_for, np.full(len(self.task.classes), LEVELS // 2, dtype=np.int64)
        stored = self.validation or self.folder / layout.VALIDATION
        dataset = self.dataset if self.case.shift is None else open_labelled(spec)
        if not stored.is_dir() or not has_validation(spec, dataset):
            return half, "0.5, for there are no probabilities of a validation split apart from the scored one"
        index, counts, ids = read_index(stored), None, tuple(dataset.ids(spec.val))
        for image_id in ids:
            ground_truth = dataset.target(image_id).semantic
            found = self._read(stored, index, image_id)
            # What is predicted does not enter these counts.
            of_image = auprc.METRIC.observe_probabilities(ground_truth, ground_truth, found, self.task.classes).astype(
                np.int64
            )
            counts = of_image if counts is None else counts + of_image
        if counts is None:
            return half, f"0.5, for split {spec.val!r} has no images"
        return threshold_dice.best_levels(
            counts.astype(np.float64)
        ), f"that of the best Dice on the {len(ids)} images of split {spec.val}"

    @cached_property
    def _index(self) -> dict[str, str]:
        folder = self.folder / layout.PROBABILITIES
        if not folder.is_dir():
            raise BenchError(
                f"{self.case.id} has no probabilities in {folder}; add keep: probabilities to the suite and run it "
                "again"
            )
        return read_index(folder)

    def _read(self, folder: Path, index: dict[str, str], image_id: str) -> ClassProbabilities:
        stored = len(self.task.classes) if self.table is None else len(self.table.ids)
        found = verified_probabilities(folder, image_id, index, stored)
        return found if self.table is None else mapped(found, self.table)


def mapped(probabilities: ClassProbabilities, table: ClassTable) -> ClassProbabilities:
    """Return probabilities in another label space: those of classes that become one are added, of void ones dropped."""
    levels = np.zeros((len(table.classes), *probabilities.size), dtype=np.int64)
    for old, new in enumerate(table.ids):
        if new < len(table.classes):
            levels[new] += probabilities.levels[old]
    return ClassProbabilities(np.minimum(levels, LEVELS - 1).astype(np.uint8))


def add_probabilities(
    collector: Collector,
    number: int,
    maps: tuple[Prediction, Prediction],
    metrics: Sequence[FromProbabilities],
    task: TaskSpec,
    image_id: str,
    probabilities: Callable[[str], ClassProbabilities] | None,
) -> None:
    """Observe the probabilities of an image; counts by confidence always, and by class where a threshold is asked for.

    Raises:
        BenchError: If there are none.
        ShapeError: Naming the image, if they do not fit its ground truth.
    """
    if probabilities is None:
        raise BenchError(
            f"metric {metrics[0].name!r} is computed from probabilities, and these are predictions alone; score a "
            "suite with keep: probabilities, see docs/probabilities.md"
        )
    found = probabilities(image_id)
    counted: dict[str, Any] = {}
    try:
        wanted: list[FromProbabilities] = [auprc.METRIC] if any(hasattr(one, "of_levels") for one in metrics) else []
        for metric in (ece.METRIC, *wanted, *metrics):
            if metric.statistic in counted:
                continue
            if hasattr(metric, "of_levels"):
                counted[metric.statistic] = metric.of_levels(counted[auprc.METRIC.statistic])
            else:
                counted[metric.statistic] = metric.observe_probabilities(*maps, found, task.classes)
    except ShapeError as error:
        raise ShapeError(f"image {image_id!r}: {error}") from error
    for statistic, observed in counted.items():
        collector.add(statistic, number, observed)
