"""Parallel coordinates: an axis for each field of a recipe that varies, a last one for the score, a line per recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


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
