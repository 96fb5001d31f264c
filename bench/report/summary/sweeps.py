"""Sweeps: what lists in a recipe multiplied, put together again by the fields that vary; parallel coordinates.

A combination that was trained with several seeds, or on several folds, is told by the mean of its scores. The rows of a
sweep share the test split: the best of many is the luckiest, too.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from statistics import mean, stdev
from typing import NamedTuple

from bench.records import Case, Recipe, Record, as_json_dict, digest
from bench.records.store.views import CaseView, RunView
from bench.report.summary import grouped
from bench.report.summary.folds import dataset_without_fold
from bench.suite.recipes import short_names

FIELD = re.compile(rf" ({'|'.join(Recipe.model_fields)})=")
"""Pattern of the place in a case's label that says what varies."""


class SweepPoint(Record):
    """One combination of the values that vary.

    Attributes:
        levels: Place of each field's value in `Sweep.levels`.
        case_ids: Case ids, one for each seed and fold.
        scores: Headlines of the cases that have one.
        mean, sd: Mean of these headlines, and their sample standard deviation from two on.
    """

    levels: tuple[int, ...]
    case_ids: tuple[str, ...]
    scores: tuple[float, ...] = ()
    mean: float | None = None
    sd: float | None = None


class Sweep(Record):
    """The combinations of one model on one data set and target.

    Attributes:
        model, dataset, target: Names as they stand in the tables, without what varies, seed and fold.
        fields: Fields that vary, in the order of the recipe.
        levels: Values of each of them, as the tables tell them.
        points: Points in the order of the suite.
        best: Position of the best point; None while none has a score.
    """

    model: str
    dataset: str
    target: str
    fields: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    points: tuple[SweepPoint, ...]
    best: int | None = None

    @property
    def title(self) -> str:
        """Name of the sweep."""
        return f"{self.model} on {self.dataset} ({self.target})"

    def words(self, point: SweepPoint) -> tuple[str, ...]:
        """Return the values of a point as the tables tell them."""
        return tuple(levels[level] for levels, level in zip(self.levels, point.levels, strict=True))


def summarise_sweeps(run: RunView, *, higher_is_better: bool) -> tuple[Sweep, ...]:
    """Return the sweeps of a run, those of which nothing is scored yet included."""
    groups = grouped((_apart_from_what_varies(view.case), view) for view in run.cases)
    found = (_sweep(views, higher_is_better=higher_is_better) for key, views in groups.items() if key is not None)
    return tuple(sweep for sweep in found if sweep is not None)


def _apart_from_what_varies(case: Case) -> str | None:
    """Return what the cases of a sweep have in common; None for a case of no sweep."""
    if case.recipe is None or not (varied := FIELD.findall(case.model.label)):
        return None
    fields = as_json_dict(case)
    del fields["id"], fields["recipe"]["seed"]
    for name in varied:
        fields["recipe"].pop(name, None)
    fields["model"]["label"] = _base_label(case)
    fields["dataset"]["options"].pop("fold", None)
    fields["dataset"]["label"] = dataset_without_fold(case)
    return digest(fields)


def _base_label(case: Case) -> str:
    return FIELD.split(case.model.label, maxsplit=1)[0]


def _sweep(views: Sequence[CaseView], *, higher_is_better: bool) -> Sweep | None:
    recipes = [as_json_dict(view.case.recipe) for view in views if view.case.recipe is not None]
    names = [name for name in FIELD.findall(views[0].case.model.label) if name != "seed"]
    values = {name: list({digest(recipe[name]): recipe[name] for recipe in recipes}.values()) for name in names}
    varied = [name for name in names if len(values[name]) > 1]
    if not varied:
        return None
    places = {name: {digest(value): n for n, value in enumerate(values[name])} for name in varied}
    of_point = grouped(
        (tuple(places[name][digest(recipe[name])] for name in varied), view)
        for view, recipe in zip(views, recipes, strict=True)
    )
    points = [_point(levels, found) for levels, found in of_point.items()]
    sign = 1 if higher_is_better else -1
    known = [(sign * point.mean, -n) for n, point in enumerate(points) if point.mean is not None]
    case = views[0].case
    return Sweep(
        model=_base_label(case),
        dataset=dataset_without_fold(case),
        target=case.id.rpartition("@")[2],
        fields=tuple(varied),
        levels=tuple(tuple(short_names(values[name])) for name in varied),
        points=tuple(points),
        best=-max(known)[1] if known else None,
    )


def _point(levels: tuple[int, ...], views: Sequence[CaseView]) -> SweepPoint:
    scores = [view.headline.value for view in views if view.headline is not None]
    known = tuple(score for score in scores if score is not None)
    return SweepPoint(
        levels=levels,
        case_ids=tuple(view.case.id for view in views),
        scores=known,
        mean=mean(known) if known else None,
        sd=stdev(known) if len(known) > 1 else None,
    )


def heat_map_of(sweep: Sweep) -> list[list[float | None]] | None:
    """Return the means of a sweep of two fields: a row for each value of the first, a column for each of the second.

    None where more or fewer fields vary.
    """
    if len(sweep.fields) != 2:
        return None
    means = {point.levels: point.mean for point in sweep.points}
    rows, columns = (range(len(levels)) for levels in sweep.levels)
    return [[means.get((row, column)) for column in columns] for row in rows]


def coordinates_of(sweep: Sweep, score_label: str, *, higher_is_better: bool) -> ParallelPlot | None:
    """Return parallel coordinates of a sweep of three fields and more; None of another, or before two are scored."""
    scored = [(sweep.words(point), point) for point in sweep.points if point.mean is not None]
    if len(sweep.fields) < 3 or len(scored) < 2:
        return None
    axes = [level_axis(name, levels) for name, levels in zip(sweep.fields, sweep.levels, strict=True)]
    recipes = [
        (
            ", ".join(itertools.starmap("{}={}".format, zip(sweep.fields, words, strict=True))),
            [level_place(n, len(levels)) for n, levels in zip(point.levels, sweep.levels, strict=True)],
            point.mean if point.mean is not None else 0.0,
        )
        for words, point in scored
    ]
    return parallel_plot(axes, recipes, score_label=score_label, higher_is_better=higher_is_better)


class ParallelAxis(NamedTuple):
    """An axis: its name, and the texts along it with their places, 0 at the bottom and 1 at the top."""

    name: str
    ticks: tuple[tuple[float, str], ...]


class ParallelLine(NamedTuple):
    """A recipe: its name, its place on each axis, and how good it is, 0 for the worst of all and 1 for the best."""

    name: str
    places: tuple[float, ...]
    good: float


class ParallelPlot(NamedTuple):
    """Axes, the last of them the score, and lines from the worst to the best, so that the best are drawn last."""

    axes: tuple[ParallelAxis, ...]
    lines: tuple[ParallelLine, ...]


def parallel_plot(
    axes: Sequence[ParallelAxis],
    recipes: Sequence[tuple[str, Sequence[float], float]],
    *,
    score_label: str,
    higher_is_better: bool,
) -> ParallelPlot:
    """Return the plot of recipes.

    Args:
        axes: Axes of the fields.
        recipes: Name, place on each of these axes and score of each recipe.
        score_label: Name of the last axis.
        higher_is_better: Direction of the score.
    """
    scores = [score for _, _, score in recipes]
    low, high = min(scores), max(scores)
    last = ParallelAxis(score_label, tuple((place, f"{low + place * (high - low):.3f}") for place in (0.0, 0.5, 1.0)))
    if high == low:
        last = ParallelAxis(score_label, ((0.5, f"{low:.3f}"),))
    lines = []
    for name, places, score in recipes:
        place = (score - low) / (high - low) if high > low else 0.5
        lines.append(ParallelLine(name, (*places, place), place if higher_is_better else 1 - place))
    return ParallelPlot((*axes, last), tuple(sorted(lines, key=lambda line: line.good)))


def level_axis(name: str, levels: Sequence[str]) -> ParallelAxis:
    """Return an axis of values in their order, at equal distances.

    >>> level_axis("loss", ["dice", "focal", "bce"]).ticks
    ((0.0, 'dice'), (0.5, 'focal'), (1.0, 'bce'))
    """
    return ParallelAxis(name, tuple((level_place(n, len(levels)), text) for n, text in enumerate(levels)))


def level_place(number: int, of: int) -> float:
    """Return the place of one of several values."""
    return number / (of - 1) if of > 1 else 0.5


def range_axis(name: str, low: float, high: float, *, log: bool) -> ParallelAxis:
    """Return an axis of numbers, with both ends and the middle told.

    >>> range_axis("learning_rate", 0.001, 0.1, log=True).ticks
    ((0.0, '0.001'), (0.5, '0.01'), (1.0, '0.1'))
    """
    middle = math.sqrt(low * high) if log else (low + high) / 2
    return ParallelAxis(name, ((0.0, f"{low:.3g}"), (0.5, f"{middle:.3g}"), (1.0, f"{high:.3g}")))


def range_place(value: float, low: float, high: float, *, log: bool) -> float:
    """Return the place of a number between the ends of a range."""
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return min(1.0, max(0.0, (value - low) / (high - low)))
