"""Searches of recipes in a report: every trial with what came of it, the best, and which fields mattered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import correlation, mean

from pydantic import JsonValue

from bench.records import Record, Searched, Tune
from bench.records.store.layout import RunFolder
from bench.records.store.studies import StudyView, TrialState, TrialView, read_studies
from bench.report.summary.sweeps import (
    ParallelAxis,
    ParallelPlot,
    level_axis,
    level_place,
    parallel_plot,
    range_axis,
    range_place,
)

FEWEST = 8
"""Fewest complete trials from which the importance of fields is estimated."""


class TrialSummary(Record):
    """A trial.

    Attributes:
        number: Number of the trial, counted from 1.
        values: Field -> value.
        state: State in which it ended.
        value: Score on the validation split; of a pruned trial its last validation.
        validations: Number of validations that its training had.
        seconds: Seconds that its jobs took.
        best_so_far: Best score of the complete trials up to this one; None before the first.
        reason: Reason why it was pruned or failed; None if it was not.
    """

    number: int
    values: dict[str, JsonValue]
    state: TrialState
    value: float | None = None
    validations: int = 0
    seconds: float = 0.0
    best_so_far: float | None = None
    reason: str | None = None


class SearchSummary(Record):
    """A search.

    Attributes:
        name: Its model and data set.
        tune: Settings of the search, as the suite states them.
        metric, higher_is_better: Metric that is compared on the validation split, and its direction.
        optuna: Version of Optuna, which proposed the trials.
        ray_tune: Version of Ray, whose Tune asked Optuna and ended trials early; empty where it did not.
        beside: Number of trials that were proposed while others were under way.
        ended: Reason why no further trial begins; None while it is under way.
        trials: Trials in their order.
        best: Number of the best trial; None while none is complete.
        importance: Field -> share of the variance of the complete trials' ranks that it explains alone; empty of few.
        final_ids: Cases that were trained with the best recipe.
    """

    name: str
    tune: Tune
    metric: str
    higher_is_better: bool
    optuna: str
    ray_tune: str = ""
    beside: int = 0
    ended: str | None
    trials: tuple[TrialSummary, ...]
    best: int | None = None
    importance: dict[str, float] = {}
    final_ids: tuple[str, ...] = ()

    def count(self, state: TrialState) -> int:
        """Return how many trials are in a state."""
        return sum(one.state == state for one in self.trials)

    @property
    def best_trial(self) -> TrialSummary | None:
        """The best trial."""
        return next((one for one in self.trials if one.number == self.best), None)


def summarise_searches(run: RunFolder) -> tuple[SearchSummary, ...]:
    """Return the searches of a run, half-done ones included."""
    return tuple(_summarised(view) for view in read_studies(run))


def _summarised(view: StudyView) -> SearchSummary:
    study, best = view.study, view.best
    sign = 1 if study.higher_is_better else -1
    trials, so_far = [], None
    for one in view.trials:
        if one.state == "complete" and one.value is not None:
            so_far = one.value if so_far is None else sign * max(sign * so_far, sign * one.value)
        trials.append(
            TrialSummary(
                number=one.trial.number + 1,
                values=one.trial.values,
                state=one.state,
                value=one.value,
                validations=len(one.validations),
                seconds=one.seconds,
                best_so_far=so_far,
                reason=one.reason,
            )
        )
    same = ("name", "tune", "metric", "higher_is_better", "optuna", "ray_tune", "ended", "final_ids")
    return SearchSummary(
        **{name: getattr(study, name) for name in same},
        beside=sum(bool(trial.in_flight) for trial in study.trials),
        trials=tuple(trials),
        best=None if best is None else best.trial.number + 1,
        importance=importance_of(study.tune, [one for one in view.trials if one.state == "complete"]),
    )


def importance_of(tune: Tune, complete: Sequence[TrialView]) -> dict[str, float]:
    """Return how much of the variance of the trials' ranks each field explains alone.

    For a range the square of Spearman's rank correlation, which sees rising and falling only; for choices the
    correlation ratio η² of the ranks. Trials are drawn where they promise most and not evenly, so that this tells where
    to look, not what a field does.

    Source: Spearman, "The proof and measurement of association between two things", Am. J. Psychol. 15, 1904; Kruskal
    and Wallis, "Use of ranks in one-criterion variance analysis", JASA 47, 1952 (η² = H / (n − 1)).
    """
    if len(complete) < FEWEST:
        return {}
    ranks = _ranks([one.value or 0.0 for one in complete])
    found = {}
    for field, searched in tune.space.items():
        params = [one.trial.params[field] for one in complete]
        if searched.choices:
            found[field] = _correlation_ratio(params, ranks)
        else:
            varied = len(set(params)) > 1 and len(set(ranks)) > 1
            found[field] = correlation(_ranks(params), ranks) ** 2 if varied else 0.0
    return found


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of theirs."""
    order = sorted(values)
    shared = {value: order.index(value) + (order.count(value) + 1) / 2 for value in set(values)}
    return [shared[value] for value in values]


def _correlation_ratio(groups: Sequence[float], values: Sequence[float]) -> float:
    middle = mean(values)
    total = sum((value - middle) ** 2 for value in values)
    between = 0.0
    for group in set(groups):
        inside = [value for value, of in zip(values, groups, strict=True) if of == group]
        between += len(inside) * (mean(inside) - middle) ** 2
    return between / total if total else 0.0


def search_coordinates(one: SearchSummary, score_label: str) -> ParallelPlot | None:
    """Return parallel coordinates of the complete trials; None before two are."""
    complete = [trial for trial in one.trials if trial.state == "complete" and trial.value is not None]
    if len(complete) < 2:
        return None
    axes = [_axis(field, searched) for field, searched in one.tune.space.items()]
    recipes = [
        (
            f"trial {trial.number}",
            [_place(searched, trial.values[field]) for field, searched in one.tune.space.items()],
            trial.value if trial.value is not None else 0.0,
        )
        for trial in complete
    ]
    return parallel_plot(axes, recipes, score_label=score_label, higher_is_better=one.higher_is_better)


def _axis(field: str, searched: Searched) -> ParallelAxis:
    if searched.choices is not None:
        return level_axis(field, [str(choice) for choice in searched.choices])
    assert searched.low is not None
    assert searched.high is not None
    return range_axis(field, searched.low, searched.high, log=searched.log)


def _place(searched: Searched, value: JsonValue) -> float:
    if searched.choices is not None:
        texts = [json.dumps(choice) for choice in searched.choices]
        return level_place(texts.index(json.dumps(value)), len(texts))
    assert isinstance(value, int | float)
    assert searched.low is not None
    assert searched.high is not None
    return range_place(value, searched.low, searched.high, log=searched.log)
