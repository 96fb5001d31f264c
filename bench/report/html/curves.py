"""A plot of a line with markers for each row, and their names below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from bench.report.html import svg

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 860.0, 62.0, 848.0, 10.0, 232.0


class Line(NamedTuple):
    """A row in a plot: its place among all, which decides colour and marker, its name, points and markers, (x, y)."""

    number: int
    name: str
    points: Sequence[tuple[float, float]]
    marks: Sequence[tuple[float, float]] = ()


def plot(
    lines: Sequence[Line],
    across: str,
    up: str,
    label: str,
    *,
    ends: tuple[float, float] | None = None,
    from_zero: bool = False,
    log: bool = False,
    diagonal: bool = False,
) -> Markup | None:
    """Draw lines; None where no line has a point or marker.

    Args:
        lines: One for each row.
        across, up: Labels of the two axes.
        label: Description of the whole plot, for those who cannot see it.
        ends: Lowest and highest value of both axes; None leaves room around the values.
        from_zero: True lets the horizontal axis begin at 0.
        log: True makes the vertical axis logarithmic.
        diagonal: True draws a line where both are equal.
    """
    places = [place for one in lines for place in (*one.points, *one.marks)]
    if not places:
        return None
    values = [value for _, value in places]
    around = (min(values) * 0.9, max(values) * 1.1) if log else svg.around(values)
    x = svg.Axis(*(ends or svg.around((place for place, _ in places), zero=from_zero)), LEFT, RIGHT)
    y = svg.Axis(*(ends or around), BOTTOM, TOP, log)
    parts = [svg.horizontal(x, BOTTOM, TOP, across), svg.vertical(y, LEFT, RIGHT, up)]
    if diagonal:
        parts.append(svg.line([(LEFT, BOTTOM), (RIGHT, TOP)], stroke="currentColor", class_="ecdf dash1"))
    for one in lines:
        colour, dash = f"var(--c{one.number % svg.COLOURS})", f"ecdf dash{one.number // svg.COLOURS}"
        parts.append(svg.line([(x.at(a), y.at(b)) for a, b in one.points], stroke=colour, class_=dash))
        parts += [svg.marker(one.number, x.at(a), y.at(b), class_="validated") for a, b in one.marks]
    for place, one in enumerate(lines):
        left, top = LEFT + 10 + 390 * (place % 2), 292.0 + 17 * (place // 2)
        parts += [svg.marker(one.number, left, top)]
        parts += [svg.tag("text", one.name[:54], x=left + 14, y=top + 4, class_="name")]
    return svg.picture(WIDTH, 306.0 + 17 * ((len(lines) + 1) // 2), label, *parts)
