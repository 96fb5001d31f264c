"""Cross-validation: what the folds of a model say together.

The pooled score is computed from the images of all folds at once, each predicted by the model that was
not trained on it. The mean and the standard deviation over folds say how far the choice of images moves
a score; folds share training images and are not independent, so there is no interval from them.
Source: Bengio and Grandvalet, "No unbiased estimator of the variance of k-fold cross-validation", JMLR 5, 2004.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

import numpy as np

from bench.errors import BenchError
from bench.metric import Observed, load_metric
from bench.records import Case, ClassSpec, Record, Score, as_json_dict, digest
from bench.records.store.statistics import Statistics, load_statistics
from bench.records.store.views import CaseView, RunView
from bench.report.summary import grouped
from bench.report.summary.compare import paired_differences
from bench.score.stats.jackknife import left_out_together


class AcrossFolds(Record):
    """One metric over the folds of one model.

    Attributes:
        metric: Name of its module.
        values: Values, one for each fold on which the metric is defined.
        mean: Mean of the values; None without one.
        sd: Sample standard deviation (n - 1); None below two values.
        pooled: Score of all folds' images together; None where a fold is missing or it is undefined.
    """

    metric: str
    values: tuple[float, ...]
    mean: float | None = None
    sd: float | None = None
    pooled: Score | None = None


class FoldDifference(Record):
    """The pooled headline of one model less that of another, over the same folds of the same images.

    Attributes:
        other: Label of the other model.
        metric: Name of its module.
        difference: The difference; None where a score is undefined.
        low, high: Its 95 % interval, paired by image; see `compare.PairedDifference`. Models of one fold share their
            training images, which it does not account for.
        higher: Folds in which this model's score is the higher one.
        folds: Folds in which both are defined.
        images: Number of images of all folds together.
    """

    other: str
    metric: str
    difference: float | None
    low: float | None
    high: float | None
    higher: int
    folds: int
    images: int


class FoldGroup(Record):
    """The folds of one model on one data set and target.

    Attributes:
        model, dataset, target: Names as they stand in the tables, the data set without its fold.
        folds: Folds that are scored, counted from 1.
        of: Number of folds that there are.
        case_ids: Case ids, one for each fold.
        images: Number of images that are scored, in all folds together.
        metrics: Metrics over the folds, in the order of the suite.
        differences: Differences to the models that follow it on the same data set and target, where the folds of both
            are complete.
    """

    model: str
    dataset: str
    target: str
    folds: tuple[int, ...]
    of: int
    case_ids: tuple[str, ...]
    images: int
    metrics: tuple[AcrossFolds, ...]
    differences: tuple[FoldDifference, ...] = ()


def fold_of(case: Case) -> int | None:
    """Number of a case's fold; None if it is of no cross-validation."""
    fold = case.dataset.options.get("fold")
    is_fold = isinstance(fold, int) and case.dataset.label.endswith(f" fold {fold}")
    return fold if is_fold and isinstance(fold, int) else None


def dataset_without_fold(case: Case) -> str:
    """Return the data set's label without the ` fold N` that tells its folds apart."""
    return case.dataset.label.removesuffix(f" fold {fold_of(case)}")


def summarise_folds(run: RunView) -> tuple[FoldGroup, ...]:
    """Summarise every model whose folds are scored, at least two of them."""
    scored = (view for view in run.cases if view.scores is not None and view.statistics is not None)
    groups = grouped((_without_fold(view.case), view) for view in scored if fold_of(view.case) is not None)
    several = [views for views in groups.values() if len(views) > 1]
    summarised = [_summarised(views, run.plan.seed) for views in several]
    return tuple(
        group.model_copy(update={"differences": _differences(index, summarised, several, run.plan.seed)})
        for index, group in enumerate(summarised)
    )


def _differences(
    index: int, groups: Sequence[FoldGroup], views: Sequence[Sequence[CaseView]], seed: int
) -> tuple[FoldDifference, ...]:
    """Differences of the headline between a group and those after it."""
    found, one = [], groups[index]
    for other_index in range(index + 1, len(groups)):
        other = groups[other_index]
        same = (one.dataset, one.target, one.folds) == (other.dataset, other.target, other.folds)
        if same and len(one.folds) == one.of:
            difference = _difference(views[index], views[other_index], one, other, seed)
            found += [] if difference is None else [difference]
    return tuple(found)


def _difference(
    ones: Sequence[CaseView], others: Sequence[CaseView], one: FoldGroup, other: FoldGroup, seed: int
) -> FoldDifference | None:
    metric = load_metric(one.metrics[0].metric)
    pooled = {"one": _pooled(ones), "other": _pooled(others)}
    if any(metric.statistic not in statistics.arrays for statistics in pooled.values()):
        return None
    try:
        (paired,) = paired_differences(pooled, metric, ones[0].task.classes, seed=seed).values()
    except BenchError:  # other images, after a change of the data set
        return None
    heads = [(a.headline, b.headline) for a, b in zip(ones, others, strict=True)]
    scores = [(a.value, b.value) for a, b in heads if a is not None and b is not None]
    values = [(a, b) for a, b in scores if a is not None and b is not None]
    return FoldDifference(
        other=other.model,
        metric=one.metrics[0].metric,
        difference=paired.difference,
        low=paired.low,
        high=paired.high,
        higher=sum(a > b for a, b in values),
        folds=len(values),
        images=paired.images,
    )


def _pooled(views: Sequence[CaseView]) -> Statistics:
    """The statistics of all folds of a model as one."""
    parts = [load_statistics(view.statistics) for view in views if view.statistics is not None]
    shared = set.intersection(*(set(part.arrays) for part in parts))
    return Statistics(
        image_ids=tuple(image_id for part in parts for image_id in part.image_ids),
        arrays={name: pooled_statistic(parts, name) for name in sorted(shared)},
        tables=parts[0].tables,
        groups=_groups(parts) if any(part.groups for part in parts) else (),
    )


def _groups(parts: Sequence[Statistics]) -> tuple[str, ...]:
    """Groups of the images of all parts; of parts that know none each image is one."""
    return tuple(group for part in parts for group in part.groups or part.image_ids)


def _without_fold(case: Case) -> str:
    fields = as_json_dict(case)
    del fields["id"], fields["dataset"]["options"]["fold"]
    fields["dataset"]["label"] = dataset_without_fold(case)
    return digest(fields)


def _summarised(views: Sequence[CaseView], seed: int) -> FoldGroup:
    first = views[0].case
    statistics = [load_statistics(view.statistics) for view in views if view.statistics is not None]
    numbers = tuple(number for view in views if (number := fold_of(view.case)) is not None)
    of = int(str(first.dataset.options.get("folds", len(views))))
    by_metric = zip(*(view.scores.scores for view in views if view.scores is not None), strict=True)
    classes = views[0].task.classes
    return FoldGroup(
        model=first.model.label,
        dataset=dataset_without_fold(first),
        target=first.id.rpartition("@")[2],
        folds=numbers,
        of=of,
        case_ids=tuple(view.case.id for view in views),
        images=sum(len(one.image_ids) for one in statistics),
        metrics=tuple(
            across_folds(scores, statistics, classes, seed, complete=len(views) == of) for scores in by_metric
        ),
    )


def across_folds(
    scores: Sequence[Score],
    statistics: Sequence[Statistics],
    classes: Sequence[ClassSpec],
    seed: int,
    *,
    complete: bool,
) -> AcrossFolds:
    """Return one metric over folds: their scores and statistics, in one order; pooled only if they are complete."""
    values = tuple(score.value for score in scores if score.value is not None)
    metric = load_metric(scores[0].metric)
    pooled = None
    if complete and all(metric.statistic in one.arrays for one in statistics):
        with left_out_together(_groups(statistics)):
            pooled = metric.score(pooled_statistic(statistics, metric.statistic), classes, seed=seed)
    return AcrossFolds(
        metric=scores[0].metric,
        values=values,
        mean=mean(values) if values else None,
        sd=stdev(values) if len(values) > 1 else None,
        pooled=pooled if pooled is not None and pooled.value is not None else None,
    )


def pooled_statistic(statistics: Sequence[Statistics], name: str) -> Observed:
    """Return a statistic of several sets of images as that of all of them, in their order."""
    parts, before = [], 0
    for one in statistics:
        array = one.arrays[name]
        if name in one.tables:
            array = array.copy()
            array[:, 0] += before
        parts.append(array)
        before += len(one.image_ids)
    return np.concatenate(parts)
