"""Tests which models differ: every pair on the same images, corrected for how many pairs there are.

The best of many models is chosen by its score, so a test of it against the others alone would be a
test of whatever happened to come first. All pairs of a data set are one family: whichever pair a
reader looks at afterwards is covered. Two seeds of one model, and a training that others
disturbed, are not tested: their difference is shown alone.

Of thousands of pairs those with the best model alone are listed; all are tested, counted and corrected for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metric import Metric, load_metric
from bench.records import Record
from bench.records.store.statistics import load_statistics
from bench.records.store.views import CaseView, RunView
from bench.report.summary import grouped
from bench.report.summary.compare import check_same_images, observed_of
from bench.report.summary.seeds import seed_groups
from bench.report.summary.training_progress import training_doubts
from bench.score.stats.holm import holm_of_many
from bench.score.stats.jackknife import estimates, left_out_together
from bench.score.stats.student import LEVEL, Estimate, two_sided_ps

MOST_PAIRS = 2000
"""Most pairs of a data set that are all listed; of more, only those with the best model are."""


class Pair(Record):
    """Two models on the images of one data set.

    Attributes:
        dataset: Label of the data set.
        a, b: Case ids.
        difference, low, high: Headline of a minus that of b, with the interval that goes with Holm's verdict: of 95 %
            for a single pair, wider the more pairs there are. None where it cannot be had.
        p_holm: p-value after Holm's correction for all pairs of the data set.
        significant: True if p_holm is below 5 %: then the interval leaves out zero; None without one.
        images: Number of images.
    """

    dataset: str
    a: str
    b: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_holm: float | None = None
    significant: bool | None = None
    images: int

    def seen_from(self, case_id: str) -> Pair:
        """Return the same pair with `case_id` as its a."""
        if case_id == self.a:
            return self
        low, high = (None if end is None else -end for end in (self.high, self.low))
        difference = None if self.difference is None else -self.difference
        return self.model_copy(update={"a": self.b, "b": self.a, "difference": difference, "low": low, "high": high})


class PairFamily(Record):
    """All pairs of a data set, which are corrected for together.

    Attributes:
        dataset: Its label.
        models: Case ids of those compared.
        pairs: Number of pairs.
        tested: Number of these pairs that have a p-value.
        told_apart: Number of these pairs that are significant.
        images: Number of images.
    """

    dataset: str
    models: tuple[str, ...]
    pairs: int
    tested: int
    told_apart: int
    images: int


class ComparedPairs(NamedTuple):
    """Comparisons of the pairs of a run that are reported."""

    pairs: tuple[Pair, ...]
    families: tuple[PairFamily, ...]


def all_pairs(run: RunView, left_out: Mapping[str, NDArray[np.float64]]) -> ComparedPairs:
    """Compare every two scored cases of each data set, in the order of the plan."""
    higher = load_metric(run.plan.metrics[0]).higher_is_better
    pairs: list[Pair] = []
    families = []
    scored = grouped((view.case.dataset.label, view) for view in run.cases if is_scored(view))
    for dataset, views in scored.items():
        if len(views) > 1:
            found = _Family(dataset, views, left_out, higher_is_better=higher)
            pairs += found.listed()
            families.append(found.summary())
    return ComparedPairs(tuple(pairs), tuple(families))


class _Family:
    """The pairs of a data set as arrays: `a` and `b` are positions of their models, a before b."""

    def __init__(
        self,
        dataset: str,
        views: Sequence[CaseView],
        left_out: Mapping[str, NDArray[np.float64]],
        *,
        higher_is_better: bool,
    ) -> None:
        self._dataset, self._ids = dataset, [view.case.id for view in views]
        scores = [view.headline for view in views if view.headline is not None]
        self._images, self._widest = scores[0].images, scores[0].widest_difference
        values = np.array([score.value for score in scores], dtype=np.float64)
        self._best = int(values.argmax() if higher_is_better else values.argmin())
        self._a, self._b = np.triu_indices(len(views), k=1)
        self._difference = values[self._a] - values[self._b]
        rows = np.stack([left_out[case_id] for case_id in self._ids])
        spread = [estimates(rows[position] - rows[position + 1 :]) for position in range(len(views) - 1)]
        self._error, self._degrees = (np.concatenate(parts) for parts in zip(*spread, strict=True))
        tested = np.flatnonzero(~np.isnan(self._error) & ~_untested(views, self._a, self._b))
        self._p = np.full(len(self._a), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = self._difference[tested] / self._error[tested]
        self._p[tested] = two_sided_ps(np.where(self._difference[tested] == 0, 0.0, t), self._degrees[tested])
        self._p_holm, self._level = np.full(len(self._a), np.nan), np.full(len(self._a), LEVEL)
        self._p_holm[tested], self._level[tested] = holm_of_many(self._p[tested])

    def listed(self) -> list[Pair]:
        """Return the pairs that are shown: all, or of very many those with the best."""
        every = np.arange(len(self._a))
        if len(every) > MOST_PAIRS:
            every = every[(self._a == self._best) | (self._b == self._best)]
        return [self._pair(int(n)) for n in every]

    def summary(self) -> PairFamily:
        """Return how many pairs there are, and how many of them differ significantly."""
        return PairFamily(
            dataset=self._dataset,
            models=tuple(self._ids),
            pairs=len(self._a),
            tested=int((~np.isnan(self._p)).sum()),
            told_apart=int((self._p_holm < LEVEL).sum()),
            images=self._images,
        )

    def _pair(self, n: int) -> Pair:
        pair = Pair(
            dataset=self._dataset,
            a=self._ids[self._a[n]],
            b=self._ids[self._b[n]],
            difference=float(self._difference[n]),
            images=self._images,
        )
        if np.isnan(self._p[n]):
            return pair
        found = Estimate(float(self._difference[n]), float(self._error[n]), float(self._degrees[n]))
        half, p_holm = found.half(float(self._level[n])), float(self._p_holm[n])
        low, high = max(found.value - half, -self._widest), min(found.value + half, self._widest)
        return pair.model_copy(update={"low": low, "high": high, "p_holm": p_holm, "significant": p_holm < LEVEL})


def _untested(views: Sequence[CaseView], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which pairs are no comparison of models: two seeds of one, and trainings that others disturbed."""
    number = {case.id: n for n, group in enumerate(seed_groups([view.case for view in views])) for case in group}
    group = np.array([number.get(view.case.id, -1) for view in views])
    unfit = np.array([bool(training_doubts(view)) for view in views])
    return np.asarray(unfit[a] | unfit[b] | ((group[a] >= 0) & (group[a] == group[b])))


class LeftOutScores:
    """Collects the headline of each case with images left out, once for differences and the Pareto front alike.

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
