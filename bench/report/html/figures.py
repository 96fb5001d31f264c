"""Figures of `bench.report.draw` as parts of the page: SVG in its colours, with texts that show where it is pointed to.

A plotting library that runs in the browser would be larger than the page, and show nothing in print, without
JavaScript, or to a screen reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, ParamSpec

from markupsafe import Markup

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
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}" class="plot figure" '
        f'style="max-width:{ENLARGED * width:.0f}px">{inner}'
    )


def _of_page(style: str) -> str:
    style = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 system-ui, sans-serif", style)
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: OF_PAGE.get(found[0], found[0]), style)
