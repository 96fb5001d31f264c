"""The headline of each case with images left out: computed once, for differences and the Pareto front alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metric import Metric
from bench.records.store.statistics import load_statistics
from bench.records.store.views import CaseView, RunView
from bench.report.summary.compare import check_same_images, observed_of
from bench.score.stats.jackknife import left_out_together


class LeftOutScores:
    """Collects them, case after case.

    Attributes:
        found: Case id -> headline with each unit of images left out, (units,); the units of the cases of a data set
            are the same.
    """

    def __init__(self, metric: Metric, seed: int) -> None:
        """Start empty."""
        self._metric, self._seed = metric, seed
        self._alone: dict[str, CaseView | None] = {}
        self._image_ids: dict[str, tuple[str, ...]] = {}
        self.found: dict[str, NDArray[np.float64]] = {}

    def add(self, view: CaseView) -> None:
        """Compute them for a case, if it is scored and not the only one of its data set.

        Raises:
            BenchError: If it was scored on other images than another case of its data set, or its statistics lack the
                headline's.
        """
        if not is_scored(view):
            return
        label = view.case.dataset.label
        if label not in self._alone:
            self._alone[label] = view  # nothing to compare it with, so far
            return
        first, self._alone[label] = self._alone[label], None
        for one in (first, view):
            if one is not None:
                self._add(one, label)

    def _add(self, view: CaseView, label: str) -> None:
        assert view.statistics is not None  # see is_scored
        statistics = load_statistics(view.statistics)
        image_ids = self._image_ids.setdefault(label, statistics.image_ids)
        check_same_images(image_ids, statistics.image_ids)
        observed = observed_of(statistics, self._metric, image_ids)
        with left_out_together(statistics.groups_of(image_ids)):
            self.found[view.case.id] = self._metric.bootstrap(observed, view.task.classes, seed=self._seed)


def is_scored(view: CaseView) -> bool:
    """Return whether a case has a headline and what it was computed from."""
    return view.headline is not None and view.headline.value is not None and view.statistics is not None


def scored_by_dataset(run: RunView) -> dict[str, list[CaseView]]:
    """Return the cases that have a headline and what it was computed from, by data set, in the order of the plan."""
    found: dict[str, list[CaseView]] = {}
    for view in run.cases:
        if is_scored(view):
            found.setdefault(view.case.dataset.label, []).append(view)
    return found
