"""Which models differ: every pair on the same images, corrected for how many pairs there are.

The best of many models is chosen by its score, so a test of it against the others alone would be a
test of whatever happened to come first. All pairs of a data set are one family: whichever pair a
reader looks at afterwards is covered. Two seeds of one model, and a training that others
disturbed, are not tested: their difference is shown alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from bench.metric import Metric, load_metric
from bench.records import Record
from bench.records.store.statistics import Statistics, load_statistics
from bench.records.store.views import CaseView, RunView
from bench.report.summary.compare import paired_differences
from bench.report.summary.seeds import seed_groups
from bench.report.summary.training_doubts import training_doubts
from bench.score.stats.holm import holm, interval_levels
from bench.score.stats.student import LEVEL


class Pair(Record):
    """Two models on the images of one data set.

    Attributes:
        dataset: Label of the data set.
        a, b: Case ids.
        difference, low, high: Headline of a minus that of b, with the interval that goes with Holm's verdict: of 95 %
            for a single pair, wider the more pairs there are. None where it cannot be had.
        p_holm: p-value after Holm's correction for all pairs of the data set.
        significant: Whether p_holm is below 5 %, which is whether the interval leaves out zero; None without one.
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
        """The same pair with `case_id` as its a."""
        if case_id == self.a:
            return self
        low, high = (None if end is None else -end for end in (self.high, self.low))
        difference = None if self.difference is None else -self.difference
        return self.model_copy(update={"a": self.b, "b": self.a, "difference": difference, "low": low, "high": high})


def all_pairs(run: RunView) -> tuple[Pair, ...]:
    """Compare every two scored cases of each data set, in the order of the plan."""
    metric = load_metric(run.plan.metrics[0])
    pairs: list[Pair] = []
    for dataset in dict.fromkeys(view.case.dataset.label for view in run.cases):
        views = [view for view in run.cases if view.case.dataset.label == dataset and _scored(view)]
        if len(views) > 1:
            pairs += _pairs_of(dataset, views, metric, run.plan.seed)
    return tuple(pairs)


def _untested(views: Sequence[CaseView]) -> set[frozenset[str]]:
    """Pairs that are no comparison of models: two seeds of one, and trainings that others disturbed."""
    seeds = [{case.id for case in group} for group in seed_groups([view.case for view in views])]
    unfit = {view.case.id for view in views if training_doubts(view)}
    pairs = combinations((view.case.id for view in views), 2)
    return {frozenset(pair) for pair in pairs if unfit.intersection(pair) or any(set(pair) <= ids for ids in seeds)}


def _scored(view: CaseView) -> bool:
    return view.scores is not None and view.scores.scores[0].value is not None and view.statistics is not None


def _pairs_of(dataset: str, views: Sequence[CaseView], metric: Metric, seed: int) -> list[Pair]:
    found = paired_differences(_statistics(views), metric, views[0].task.classes, seed=seed)
    untested = _untested(views)
    found = {
        pair: replace(one, low=None, high=None, p=None, estimate=None) if frozenset(pair) in untested else one
        for pair, one in found.items()
    }
    p_values = [one.p for one in found.values() if one.p is not None]
    corrected = iter(zip(holm(p_values), interval_levels(p_values), strict=True))
    pairs = []
    for (a, b), one in found.items():
        p, level = next(corrected) if one.p is not None else (None, LEVEL)
        one = one.at_level(level)
        pairs.append(
            Pair(
                dataset=dataset,
                a=a,
                b=b,
                difference=one.difference,
                low=one.low,
                high=one.high,
                p_holm=p,
                significant=None if p is None else p < LEVEL,
                images=one.images,
            )
        )
    return pairs


def _statistics(views: Sequence[CaseView]) -> dict[str, Statistics]:
    return {view.case.id: load_statistics(view.statistics) for view in views if view.statistics is not None}
