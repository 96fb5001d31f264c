"""Holds what all pictures share: colours, markers, fonts, and PNG files that are equal byte by byte.

Figures are made without pyplot, so that drawing leaves no global state behind. matplotlib is
imported inside functions: reading results must not pay for it.
"""

from __future__ import annotations

import io
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from bench.records.store.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito, "Color Universal Design" (2008), without yellow, which is faint on white."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "p", "*", "8")
LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))
DPI = 150
GREY = "#666666"

STYLE: Any = {
    "font.family": ["DejaVu Sans"],  # ships with matplotlib: the same glyphs on every machine
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.6,
    "savefig.dpi": DPI,
    "figure.dpi": DPI,
    "text.parse_math": False,  # a name may hold dollar signs
}


FURTHER_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR", "Source Han Sans SC",
    "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Microsoft YaHei", "SimHei", "Yu Gothic",
    "Malgun Gothic", "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS", "Unifont",
    "Noto Sans Devanagari", "Noto Sans Thai", "FreeSans",
)  # fmt: skip
"""Fonts that have letters which `STYLE`'s has not; those that are installed are asked for such letters alone."""

LETTERS = "of names in the pictures, since no font that is installed has them"
_MISSING_GLYPH = re.compile(r"Glyph (\d+) .* missing from font")
_LETTERS: ContextVar[set[str] | None] = ContextVar("_LETTERS", default=None)


@contextmanager
def drawing() -> Iterator[None]:
    """Draw within in the style of all pictures.

    Letters that no font has are noted for `missing_letters`; where nobody asks, a line on standard error tells of them.
    """
    import matplotlib as mpl

    with mpl.rc_context({**STYLE, "font.family": [*STYLE["font.family"], *_installed()]}), warnings.catch_warnings():
        told, asked = warnings.showwarning, _LETTERS.get()
        letters: set[str] = set() if asked is None else asked

        def note(message: Any, *where: Any) -> None:
            glyph = _MISSING_GLYPH.match(str(message))
            if glyph is None:
                told(message, *where)
            else:
                letters.add(chr(int(glyph[1])))

        warnings.filterwarnings("always", message=_MISSING_GLYPH.pattern)
        warnings.showwarning = note  # type: ignore[assignment]
        yield
    if asked is None:
        for line in told_of(letters):
            print(f"note: {line}", file=sys.stderr)


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    there = {font.name for font in fontManager.ttflist}
    return tuple(name for name in FURTHER_FONTS if name in there)


@contextmanager
def missing_letters() -> Iterator[set[str]]:
    """Yield the letters that no font has of what is drawn within; boxes stand for them."""
    letters: set[str] = set()
    token = _LETTERS.set(letters)
    try:
        yield letters
    finally:
        _LETTERS.reset(token)


def told_of(letters: set[str]) -> list[str]:
    """Return a sentence on letters that no font has; none where there are none."""
    some = "".join(sorted(letters)[:8]) + ("…" if len(letters) > 8 else "")
    many = f"{len(letters)} letter{'s' * (len(letters) > 1)}"
    return [f"boxes stand for {many} {LETTERS} ({some}); install one, such as Noto Sans CJK"] if letters else []


def colour(position: int) -> str:
    """Return the colour of the model at a position."""
    return COLOURS[position % len(COLOURS)]


def ink(position: int) -> str:
    """Return the model's colour, darker: small text needs more contrast than a marker."""
    shade = colour(position)
    return "#" + "".join(f"{int(shade[i : i + 2], 16) * 7 // 10:02X}" for i in (1, 3, 5))


def marker(position: int) -> str:
    """Marker of the model at a position; 13 differ, and with the colours 91."""
    return MARKERS[position % len(MARKERS)]


def line(position: int) -> Any:
    """Line style of the model at a position; 5 differ, and with the colours 35."""
    return LINES[position % len(LINES)]


def look(position: int) -> dict[str, Any]:
    """Return colour and line style of the model at a position, as matplotlib takes them."""
    return {"color": colour(position), "linestyle": line(position)}


def columns_that_fit(labels: Sequence[str], width_inches: float) -> int:
    """Return how many legend columns of 8 point text fit beside each other, at least one."""
    widest = max((len(label) for label in labels), default=1)
    return max(1, min(len(labels), int(width_inches / (0.075 * widest + 0.5))))


def over_legend(labels: Sequence[str], height: float) -> tuple[Figure, list[str], int]:
    """Return a figure of a page's width with so many inches above a legend, the labels for it, and its columns."""
    from matplotlib.figure import Figure

    names = [shortened(label, 48) for label in labels]
    columns = columns_that_fit(names, 9.2)
    return Figure(figsize=(9.6, height + 0.19 * -(-len(names) // columns)), layout="constrained"), names, columns


def legend_below(figure: Figure, axes: Axes, columns: int, **how: Any) -> None:
    """Write the legend of what is drawn in one of the panels below all of them."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=columns, **how)


def shortened(text: str, longest: int) -> str:
    """Return the text with its middle left out where it is too long: both ends tell names apart.

    >>> shortened("shapes-test-00042", 12)
    'shape…-00042'
    """
    if len(text) <= longest:
        return text
    head = (longest - 1) // 2
    return f"{text[:head]}…{text[len(text) - (longest - 1 - head) :]}"


def from_zero(axes: Axes, values: Iterable[float]) -> None:
    """Let a horizontal axis run from 0 to a little beyond the largest value, so that no marker is cut at its edge."""
    largest = max((value for value in values if value > 0), default=0.0)
    axes.set_xlim(0, 1.05 * largest if largest else None)


def reach(value: float, low: float | None, high: float | None) -> list[list[float]] | None:
    """Return the lengths of an error bar below and above a value, shape (2, 1); None without an interval."""
    return None if low is None or high is None else [[max(0.0, value - low)], [max(0.0, high - value)]]


def reaches(ends: Iterable[tuple[float, float | None, float | None]]) -> list[list[float]]:
    """Return the lengths of several error bars, shape (2, n), 0 without an interval."""
    bars = [reach(*one) or [[0.0], [0.0]] for one in ends]
    return [[bar[end][0] for bar in bars] for end in (0, 1)]


def draw(path: Path, make: Callable[P, Figure], *args: P.args, **kwargs: P.kwargs) -> Path:
    """Make a figure of the arguments in the style of all, and write it to a path, which is returned; see `save`."""
    with drawing():
        save(make(*args, **kwargs), path)
    return path


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, and in the forms of `also_as`."""
    for form in ("png", *_FURTHER.get()):
        content = content_of(figure, form, path.stem)
        write_atomically(path if form == "png" else path.with_suffix(f".{form}"), content, to_disk=False)


def content_of(figure: Figure, form: str, name: str) -> bytes:
    """Return a figure as a file of a form, without date or version: equal figures of a name are equal files."""
    import matplotlib as mpl

    engine = figure.get_layout_engine()
    if engine is not None:  # of itself, matplotlib would draw everything once more to lay it out
        engine.execute(figure)
        figure.set_layout_engine("none")
    content = io.BytesIO()
    # Glyphs stay text in SVG; names inside of it would be drawn at random.
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "pdf.fonttype": 42}):
        figure.savefig(content, format=form, dpi=DPI, metadata=_WITHOUT_DATE[form])
    return content.getvalue()


_WITHOUT_DATE: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
TOLD = "told: "


def tell(artist: Artist, text: str) -> None:
    """Have what is drawn show a text where it is pointed to; `report.html` does so."""
    artist.set_gid(TOLD + text)


_FURTHER: ContextVar[tuple[str, ...]] = ContextVar("_FURTHER", default=())


@contextmanager
def also_as(forms: Sequence[str]) -> Iterator[None]:
    """Write every figure that is saved within also in these vector forms ("svg", "pdf"), beside the PNG."""
    token = _FURTHER.set(tuple(forms))
    try:
        yield
    finally:
        _FURTHER.reset(token)
