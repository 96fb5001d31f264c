"""Figures of `bench.report.draw` as parts of the page: SVG in its colours, with texts that show where it is pointed to.

A plotting library that runs in the browser would be larger than the page, and show nothing in print, without
JavaScript, or to a screen reader. Raw samples are marks as SVG text: they are too many, and in too many drawings, for
figures.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec

from markupsafe import Markup, escape

from bench.report.draw.figure import COLOURS, GREY, TOLD, content_of, drawing, ink, missing_letters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")

ENLARGED = 1.7
"""Pixels of the page for a point of a figure, at most."""
OF_PAGE = {
    **{ink(number).lower(): "var(--fg)" for number in range(len(COLOURS))},
    **{shade.lower(): f"var(--c{number})" for number, shade in enumerate(COLOURS)},
    **{"#ffffff": "var(--bg)", "#e4e4e4": "var(--line)", GREY: "var(--muted)"},
}
"""Colours of the style sheet that take the place of a figure's, so that it is readable on a dark page, too."""


def svg(label: str, make: Callable[P, Figure], *args: P.args, **kwargs: P.kwargs) -> Markup:
    """Return the figure that is made of the arguments; its label, its own in the page, tells it to a screen reader."""
    with missing_letters(), drawing():  # the letters of the page are those of the browser
        figure = make(*args, **kwargs)
        for text in figure.texts + [text for axes in figure.axes for text in axes.texts]:
            text.set_path_effects([])  # these would turn it into outlines; the style sheet has the halo
        content = content_of(figure, "svg", label).decode("utf-8")
    inner = content[content.index(">", content.index("<svg")) + 1 :]
    inner = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", inner, flags=re.DOTALL)
    inner = re.sub(f'<g id="{TOLD}([^"]*)">', r"<g><title>\1</title>", inner)
    inner = re.sub(r'<g id="[^"]*">', "<g>", inner)  # the same ones in every figure
    inner = re.sub(r'style="[^"]*"', lambda found: _of_page(found[0]), inner)
    width, height = (72 * inches for inches in figure.get_size_inches())
    return Markup(
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(label)}" class="plot figure" '
        f'style="max-width:{ENLARGED * width:.0f}px">{inner}'
    )


def _of_page(style: str) -> str:
    style = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 system-ui, sans-serif", style)
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: OF_PAGE.get(found[0], found[0]), style)


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element; `class_` is the attribute class, an underscore is a hyphen, and None is left out.

    >>> tag("text", "a < b", x=1.25, class_="mark", text_anchor=None)
    Markup('<text x="1.2" class="mark">a &lt; b</text>')
    """
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_written(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    inner = "".join(str(escape(child)) for child in children)
    return Markup(f"<{name}{''.join(parts)}>{inner}</{name}>")


def _written(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


def picture(width: float, height: float, label: str, *children: object) -> Markup:
    """Return a drawing that scales to the width of the page, told to a screen reader by its label."""
    return tag(
        "svg",
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=label,
        class_="plot",
        style=f"max-width:{1.2 * width:g}px",
    )


@dataclass(frozen=True)
class Axis:
    """Values to pixels.

    Attributes:
        low, high: The values at its ends.
        start, end: The pixels there.
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Place of a value, pixels; values beyond the ends lie at them."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))

    def ticks(self, most: int) -> list[float]:
        """Return round values within the ends, at most about `most`.

        >>> Axis(0.2, 1.0, 0, 100).ticks(5)
        [0.2, 0.4, 0.6, 0.8, 1.0]
        """
        least = (self.high - self.low) / most
        if least <= 0 or not math.isfinite(least):
            return []
        power = 10.0 ** math.floor(math.log10(least))
        step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= least * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def vertical(axis: Axis, x: float, right: float, label: str) -> Markup:
    """Return an axis along the left side: grid lines up to `right`, numbers and a label beside it."""
    parts = [
        part
        for value in axis.ticks(4)
        for part in (
            tag("line", x1=x, x2=right, y1=axis.at(value), y2=axis.at(value), class_="grid"),
            tag("text", f"{value:g}", x=x - 6, y=axis.at(value) + 4, text_anchor="end"),
        )
    ]
    middle = (axis.start + axis.end) / 2
    turn = f"rotate(-90 13 {middle:.0f})"
    turned = tag("text", label, x=13.0, y=middle, text_anchor="middle", class_="label", transform=turn)
    return Markup("").join([*parts, turned])


def dots(points: Iterable[tuple[float, float]], **attributes: object) -> Markup:
    """Return many round dots as one element: strokes of no length with round ends."""
    steps = "".join(f"M{x:.0f} {y:.1f}h0" for x, y in points)
    return tag("path", d=steps, fill="none", stroke_linecap="round", **attributes)
