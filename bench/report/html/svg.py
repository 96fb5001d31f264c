"""Drawings for the report as SVG text: elements whose text is escaped, axes, ticks and dots.

A plotting library that runs in the browser would be a hundred times as large as this file, and would show nothing in
print, without JavaScript, or to a screen reader.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

CHARACTER = 6.3
"""Mean width of a character of an 11 pixel sans serif, pixels."""


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


def picture(width: float, height: float, label: str, *children: object, class_: str = "plot") -> Markup:
    """Return a drawing that scales to the width of the page, told to a screen reader by its label."""
    return tag(
        "svg",
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=label,
        class_=class_,
        style=f"max-width:{1.2 * width:g}px",
    )


@dataclass(frozen=True)
class Axis:
    """Values to pixels.

    Attributes:
        low, high: The values at its ends.
        start, end: The pixels there.
        log: True makes equal ratios equally long.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Place of a value, pixels; values beyond the ends lie at them."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))

    def ticks(self, most: int = 7) -> list[float]:
        """Return round values within the ends, at most about `most`.

        >>> Axis(0.2, 1.0, 0, 100).ticks(5)
        [0.2, 0.4, 0.6, 0.8, 1.0]
        >>> Axis(3, 70, 0, 100, log=True).ticks()
        [5.0, 10.0, 20.0, 50.0]
        """
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
            inside = [value for value in found if self.low <= value <= self.high]
            return inside[:: max(1, math.ceil(len(inside) / most))]
        step = step_for((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return [_short((first + i) * step) for i in range(max(0, count))]


def step_for(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below a length.

    >>> step_for(0.13), step_for(2.0), step_for(7)
    (0.2, 2.0, 10.0)
    >>> step_for(3e-17)
    5e-17
    """
    if least <= 0 or not math.isfinite(least):
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(_short(digit * power) for digit in (1, 2, 5, 10) if digit * power >= least * (1 - 1e-9))


def _short(value: float) -> float:
    """Return a number without what is left over from arithmetic, however small it is."""
    return float(f"{value:.12g}")


def around(values: Iterable[float], *, share: float = 0.06, zero: bool = False) -> tuple[float, float]:
    """Return ends that leave a share of the range free around values; from 0 on with `zero`."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return 0.0, 1.0
    low, high = (0.0 if zero else min(known)), max(known)
    room = (high - low) * share or abs(high) * share or 1.0
    return (low if zero else low - room), high + room


def horizontal(axis: Axis, y: float, top: float, label: str) -> Markup:
    """Return an axis along the bottom: grid lines up to `top`, numbers and a label below."""
    parts = [
        part
        for value in axis.ticks()
        for part in (
            tag("line", x1=axis.at(value), x2=axis.at(value), y1=y, y2=top, class_="grid"),
            tag("text", f"{value:g}", x=axis.at(value), y=y + 14, text_anchor="middle"),
        )
    ]
    middle = (axis.start + axis.end) / 2
    return Markup("").join([*parts, tag("text", label, x=middle, y=y + 31, text_anchor="middle", class_="label")])


def vertical(axis: Axis, x: float, right: float, label: str, most: int = 6) -> Markup:
    """Return an axis along the left side: grid lines up to `right`, numbers and a label beside it."""
    parts = [
        part
        for value in axis.ticks(most)
        for part in (
            tag("line", x1=x, x2=right, y1=axis.at(value), y2=axis.at(value), class_="grid"),
            tag("text", f"{value:g}", x=x - 6, y=axis.at(value) + 4, text_anchor="end"),
        )
    ]
    middle = (axis.start + axis.end) / 2
    turned = tag(
        "text",
        label,
        x=13.0,
        y=middle,
        text_anchor="middle",
        class_="label",
        transform=f"rotate(-90 13 {middle:.0f})",
    )
    return Markup("").join([*parts, turned if label else ""])


def line(points: Sequence[tuple[float, float]], **attributes: object) -> Markup:
    """Return a line through points, pixels."""
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return tag("polyline", points=steps, fill="none", **attributes)


def dots(points: Iterable[tuple[float, float]], **attributes: object) -> Markup:
    """Return many round dots as one element: strokes of no length with round ends."""
    steps = "".join(f"M{x:.0f} {y:.1f}h0" for x, y in points)
    return tag("path", d=steps, fill="none", stroke_linecap="round", **attributes)


SHAPES = (
    "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0-5 0Z",
    "M-4.5-4.5H4.5V4.5H-4.5Z",
    "M0-5.8L5.4 4H-5.4Z",
    "M0-6L6 0L0 6L-6 0Z",
    "M0 5.8L5.4-4H-5.4Z",
    "M-1.8-5.4H1.8V-1.8H5.4V1.8H1.8V5.4H-1.8V1.8H-5.4V-1.8H-1.8Z",
    "M-4-5.6L0-1.6L4-5.6L5.6-4L1.6 0L5.6 4L4 5.6L0 1.6L-4 5.6L-5.6 4L-1.6 0L-5.6-4Z",
)
"""Outlines of markers around (0, 0): colour is never alone."""

COLOURS = 7
"""Colours of models, `--c0` to `--c6` in the style sheet: Okabe and Ito's without yellow."""


def marker(position: int, x: float, y: float, *children: object, **attributes: object) -> Markup:
    """Return the marker of the model at a position; with the colours 49 differ."""
    shape = SHAPES[(position + position // COLOURS) % len(SHAPES)]
    path = tag("path", *children, d=shape, fill=f"var(--c{position % COLOURS})", **attributes)
    return tag("g", path, transform=f"translate({x:.1f} {y:.1f})")
