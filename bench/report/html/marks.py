"""Marks of the raw samples as SVG text: there are too many of them, and in too many drawings, for figures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape


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
