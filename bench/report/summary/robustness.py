"""Computes how a model's headline changes with its images: by corruption and severity, and on other data sets.

Error is what a score lacks to its best value: 1 less a share, the value itself where lower is better. The corruption
error of a model is the sum of its errors over the severities of a corruption, over that of the reference, the first
model of the data set and target; the relative one takes the error on the images as they are off both (Hendrycks &
Dietterich, ICLR 2019, section 4.1, whose reference is AlexNet). The mean over corruptions of the score itself, and the
share of the clean score that it keeps, are those of Michaelis et al. (2019): mPC and rPC.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import fsum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metric import Metric, load_metric
from bench.records import Record
from bench.records.store.statistics import load_statistics
from bench.records.store.views import CaseView, RunView
from bench.report.summary import grouped
from bench.score.stats.jackknife import estimate, left_out_together

CLEAN, NATURAL = "clean", "natural"

LEAST_DROP = 0.005
"""Least that a corruption must add to the reference's error for a relative error to be divided by it."""


class ShiftScore(Record):
    """The headline on the images of one shift.

    Attributes:
        family, name: Family and name of the shift; `clean` on the images as they are.
        severity: 1 to 5; 0 of the images as they are; None of another data set.
        value, low, high: The headline with its 95 % interval; None where it is undefined, or not scored yet.
    """

    family: str
    name: str
    severity: int | None
    value: float | None
    low: float | None = None
    high: float | None = None


class Robustness(Record):
    """Results of a case on shifted images.

    Attributes:
        case_id, model, dataset, target: The case on the images as they are: its id and its names in the tables.
        clean: Its headline there.
        shifts: Headline on each shift, in the order of the suite; not yet scored ones have no value.
        mean, low, high: Mean headline over all corruptions and severities, with its 95 % interval over images or
            groups; None until all are scored.
        drop, drop_low, drop_high: The clean headline less that mean.
        kept: Mean over shifts divided by the clean headline, where higher is better.
        reference: Case id that corruption errors are relative to.
        corruption_error, relative_error: Means over corruptions, 1 for the reference; None without one that is scored.
        without_relative: Corruptions that hardly change the reference, so that relative errors leave them out.
        worst, worst_value: The corruption with the worst mean over its severities; None until all are scored.
    """

    case_id: str
    model: str
    dataset: str
    target: str
    clean: float | None
    shifts: tuple[ShiftScore, ...]
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    drop: float | None = None
    drop_low: float | None = None
    drop_high: float | None = None
    kept: float | None = None
    reference: str = ""
    corruption_error: float | None = None
    relative_error: float | None = None
    without_relative: tuple[str, ...] = ()
    worst: str | None = None
    worst_value: float | None = None

    @property
    def every(self) -> tuple[ShiftScore, ...]:
        """The images as they are, then the shifts."""
        own = ShiftScore(family=CLEAN, name=CLEAN, severity=0, value=self.clean)
        return (own, *self.shifts)

    @property
    def corruptions(self) -> dict[str, list[ShiftScore]]:
        """Corruption -> its severities."""
        return grouped((one.name, one) for one in self.shifts if one.family != NATURAL)

    def mean_of(self, name: str) -> float | None:
        """Return the mean over the severities of a corruption; None until all are scored."""
        return _mean([one.value for one in self.corruptions.get(name, [])])


def robustness(run: RunView) -> tuple[Robustness, ...]:
    """Return what shifts do to each case that has any."""
    metric = load_metric(run.plan.metrics[0])
    shifted = grouped((view.case.shift.of, view) for view in run.cases if view.case.shift is not None)
    views = {view.case.id: view for view in run.cases}
    found = [
        _robustness(views[case_id], of_case, metric, seed=run.plan.seed)
        for case_id, of_case in shifted.items()
        if case_id in views
    ]
    first: dict[tuple[str, str], Robustness] = {}
    for one in found:
        first.setdefault((one.dataset, one.target), one)
    heads = {one.case_id: views[one.case_id].headline for one in found}
    best = {case_id: None if score is None else score.bounds[1] for case_id, score in heads.items()}
    return tuple(_with_errors(one, first[one.dataset, one.target], metric, best[one.case_id]) for one in found)


def _robustness(clean: CaseView, shifted: Sequence[CaseView], metric: Metric, *, seed: int) -> Robustness:
    own = clean.headline
    scores = tuple(_shift_score(view) for view in shifted)
    corrupted = [view for view in shifted if view.case.shift is not None and view.case.shift.family != NATURAL]
    spread = _spread(clean, corrupted, metric, seed)
    mean = spread["mean"]
    found = Robustness(
        case_id=clean.case.id,
        model=clean.case.model.label,
        dataset=clean.case.dataset.label,
        target=clean.case.id.rpartition("@")[2],
        clean=None if own is None else own.value,
        shifts=scores,
    ).model_copy(update=spread)
    if mean is not None and found.clean and metric.higher_is_better:
        found = found.model_copy(update={"kept": mean / found.clean})
    means = {name: value for name in found.corruptions if (value := found.mean_of(name)) is not None}
    if not means or len(means) < len(found.corruptions):  # one that is not scored yet, or fails, may be worse
        return found
    worst = (min if metric.higher_is_better else max)(means, key=lambda name: means[name])
    return found.model_copy(update={"worst": worst, "worst_value": means[worst]})


def _shift_score(view: CaseView) -> ShiftScore:
    shift, score = view.case.shift, view.headline
    assert shift is not None
    ends = {"value": None} if score is None else score.model_dump(include={"value", "low", "high"})
    return ShiftScore(family=shift.family, name=shift.name, severity=shift.severity, **ends)


class _LeftOut(NamedTuple):
    """A headline, and with each unit of images left out."""

    value: float
    left_out: NDArray[np.float64]


def _spread(clean: CaseView, corrupted: Sequence[CaseView], metric: Metric, seed: int) -> dict[str, float | None]:
    """Return the mean over corruptions and the drop from the clean headline, with their intervals.

    The same images are left out of every corruption and of the clean ones at once.
    """
    known = [_left_out(view, metric, seed) for view in (clean, *corrupted)]
    found = [one for one in known if one is not None]
    if not corrupted or len(found) < len(known) or len({one.left_out.shape for one in found}) > 1:
        values = [score.value for view in corrupted if (score := view.headline) is not None]
        return {"mean": _mean(values) if len(values) == len(corrupted) else None}
    own, rest = found[0], found[1:]
    mean = fsum(one.value for one in rest) / len(rest)
    left_out = np.mean([one.left_out for one in rest], axis=0)
    of_mean, of_drop = estimate(mean, left_out), estimate(own.value - mean, own.left_out - left_out)
    score = clean.headline
    spread: dict[str, float | None] = {"mean": mean, "drop": own.value - mean}
    assert score is not None
    if of_mean is not None:
        half = of_mean.half()
        spread |= {"low": score.within_bounds(mean - half), "high": score.within_bounds(mean + half)}
    if of_drop is not None:
        half = of_drop.half()
        spread |= {"drop_low": own.value - mean - half, "drop_high": own.value - mean + half}
    return spread


def _left_out(view: CaseView, metric: Metric, seed: int) -> _LeftOut | None:
    score = view.headline
    if score is None or score.value is None or view.statistics is None:
        return None
    statistics = load_statistics(view.statistics)
    observed = statistics.arrays.get(metric.statistic)
    if observed is None:
        return None
    with left_out_together(statistics.groups_of(statistics.image_ids)):
        return _LeftOut(score.value, metric.bootstrap(observed, view.task.classes, seed=seed))


def _with_errors(one: Robustness, reference: Robustness, metric: Metric, best: float | None) -> Robustness:
    """Return it with its corruption errors against a reference; without where either is not scored, or has no limit.

    `best` is the best value that the headline can take, None = no limit.
    """
    if metric.higher_is_better and best is None:
        return one

    def error(value: float) -> float:
        return (best or 0.0) - value if metric.higher_is_better else value

    own, other = (_errors(each, error) for each in (one, reference))
    names = [name for name in own if name in other]
    if one.clean is None or reference.clean is None or not names or len(names) < len(one.corruptions):
        return one
    base, base_other = error(one.clean), error(reference.clean)
    quotients = [own[name] / other[name] for name in names if other[name] > 0]
    changed = [name for name in names if other[name] - base_other > LEAST_DROP]
    relative = [(own[name] - base) / (other[name] - base_other) for name in changed]
    return one.model_copy(
        update={
            "reference": reference.case_id,
            "corruption_error": _mean(quotients),
            "relative_error": _mean(relative),
            "without_relative": tuple(name for name in names if name not in changed),
        }
    )


def _errors(one: Robustness, error: Callable[[float], float]) -> dict[str, float]:
    """Return corruption -> mean error over its severities, of those that are scored at all of them."""
    means = {name: one.mean_of(name) for name in one.corruptions}
    return {name: error(value) for name, value in means.items() if value is not None}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fsum(known) / len(known) if known and len(known) == len(values) else None
