"""Several trainings of one model: what the mean over seeds is, and how far luck moves it.

A difference between two networks that were trained once each may be the luck of their first
weights and their order of images. Cases that differ in nothing but the recipe's seed tell how large
that luck is.

Sources: Student, Biometrika 6 (1908) (interval of a mean); Welch, Biometrika 34 (1947) (means of
samples with different variances).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import sqrt
from statistics import mean, stdev

from bench.records import Case, CaseScores, Record, Score, as_json_dict, digest
from bench.report.summary import grouped
from bench.score.stats.holm import holm, interval_levels
from bench.score.stats.student import LEVEL, quantile, welch
from bench.suite.tuning import label_without_seed


class AcrossSeeds(Record):
    """One metric over the seeds of one model.

    Attributes:
        metric: Name of its module.
        values: One per seed on which it is defined.
        mean: None without a value.
        sd: Sample standard deviation (n - 1); None below two values.
        error_of_images: Standard error of one seed's score over images, root mean square over seeds: what other test
            images would change, beside what other seeds do; None where no seed has one.
        low, high: 95 % interval of the mean by Student's t, cut to the values that the metric can take; None
            below two values.
        widest: The largest difference between two values of the metric.
    """

    metric: str
    values: tuple[float, ...]
    mean: float | None = None
    sd: float | None = None
    error_of_images: float | None = None
    low: float | None = None
    high: float | None = None
    widest: float = 1.0


class SeedGroup(Record):
    """The trainings of one model with different seeds, on one data set and target.

    Attributes:
        model: Label without the seed.
        dataset, target: Names as they stand in the tables.
        seeds: Seeds in the order of the suite.
        case_ids: Case ids, one per seed.
        metrics: Metrics over the seeds, in the order of the suite; the first is the headline.
    """

    model: str
    dataset: str
    target: str
    seeds: tuple[int, ...]
    case_ids: tuple[str, ...]
    metrics: tuple[AcrossSeeds, ...]


class SeedPair(Record):
    """Two groups compared by the means of their headlines.

    Attributes:
        a, b: Positions in the list of groups.
        difference, low, high: Mean of a minus mean of b, with the interval that goes with Holm's verdict.
        p_holm: p-value of Welch's test, after Holm's correction for all pairs of the data set.
        significant: True if p_holm is below 5 %.
    """

    a: int
    b: int
    difference: float
    low: float
    high: float
    p_holm: float
    significant: bool


def seed_groups(cases: Sequence[Case]) -> tuple[tuple[Case, ...], ...]:
    """Return groups of at least two cases that differ in nothing but the recipe's seed.

    What is left of a label without its ` seed N` must be equal too: two entries of a suite with
    the same network are two models.
    """
    groups = grouped((_apart_from_seed(case), case) for case in cases if case.recipe is not None)
    return tuple(tuple(group) for group in groups.values() if len({_seed(case) for case in group}) > 1)


def _apart_from_seed(case: Case) -> str:
    fields = as_json_dict(case)
    del fields["id"], fields["recipe"]["seed"]
    fields["model"]["label"] = label_without_seed(case)
    return digest(fields)


def _seed(case: Case) -> int:
    assert case.recipe is not None
    return case.recipe.seed


def summarise_seeds(cases: Sequence[Case], scores: Mapping[str, CaseScores]) -> tuple[SeedGroup, ...]:
    """Summarise every group of seeds of which two are scored.

    Args:
        cases: Cases of a run.
        scores: Case id -> its scores, for the cases that have them.
    """
    groups = []
    for group in seed_groups(cases):
        scored = [case for case in group if case.id in scores]
        if len(scored) < 2:
            continue
        first = scored[0]
        by_seed = zip(*(one.scores for one in [scores[case.id] for case in scored]), strict=True)
        groups.append(
            SeedGroup(
                model=label_without_seed(first),
                dataset=first.dataset.label,
                target=first.id.rpartition("@")[2],
                seeds=tuple(_seed(case) for case in scored),
                case_ids=tuple(case.id for case in scored),
                metrics=tuple(across(of) for of in by_seed),
            )
        )
    return tuple(groups)


def across(scores: Sequence[Score]) -> AcrossSeeds:
    """Mean, spread and interval of the scores of one metric, of which at least one; undefined ones are left out."""
    first, values = scores[0], tuple(score.value for score in scores if score.value is not None)
    n = len(values)
    errors = [score.error for score in scores if score.error is not None]
    of_images = sqrt(mean(error**2 for error in errors)) if errors else None
    widest = first.widest_difference
    found = AcrossSeeds(metric=first.metric, values=values, widest=widest, error_of_images=of_images)
    if n < 2:
        return found.model_copy(update={"mean": values[0] if values else None})
    middle, spread = mean(values), stdev(values)
    half = quantile(n - 1) * spread / sqrt(n)
    low, high = first.within_bounds(middle - half), first.within_bounds(middle + half)
    return found.model_copy(update={"mean": middle, "sd": spread, "low": low, "high": high})


def seed_pairs(groups: Sequence[SeedGroup]) -> tuple[SeedPair, ...]:
    """Compare every two groups of each data set by Welch's t-test on the headline."""
    pairs: list[SeedPair] = []
    for dataset in dict.fromkeys(group.dataset for group in groups):
        usable = [i for i, g in enumerate(groups) if g.dataset == dataset and g.metrics[0].sd is not None]
        tests = {
            (a, b): welch(groups[a].metrics[0].values, groups[b].metrics[0].values) for a, b in combinations(usable, 2)
        }
        p_values = [test.p for test in tests.values()]
        for ((a, b), test), p, level in zip(tests.items(), holm(p_values), interval_levels(p_values), strict=True):
            half = test.half(level)
            widest = groups[a].metrics[0].widest
            pairs.append(
                SeedPair(
                    a=a,
                    b=b,
                    difference=test.value,
                    low=max(test.value - half, -widest),
                    high=min(test.value + half, widest),
                    p_holm=p,
                    significant=p < LEVEL,
                )
            )
    return tuple(pairs)
