"""The page: sections in their order, laid out by the templates, in one file that asks for nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from bench import __version__
from bench.report.draw.numbers import fixed
from bench.report.facts import Facts
from bench.report.html import accuracy, images, latency
from bench.report.html import sections as further
from bench.report.html.gallery import Gallery, Place, gallery
from bench.report.text_table import TextTable

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


def page(facts: Facts, place: Place | None = None) -> str:
    """Return the report as one HTML page.

    Args:
        facts: The facts that it shows.
        place: Folder of the small pictures of images; None shows none.
    """
    shown = Gallery((), {}, ()) if place is None else gallery(facts, place)
    found: dict[str, tuple[str, Any]] = {
        "overview": ("Overview", further.overview(facts)),
        "latency": ("Where the time goes", latency.section(facts)),
        "accuracy": ("Where accuracy is lost", accuracy.section(facts)),
        "robustness": ("Robustness", further.robustness(facts)),
        "probabilities": ("Probabilities", further.probabilities(facts)),
        "images": ("Per image", images.section(facts, shown)),
        "slices": ("Slices", further.slices(facts)),
        "training": ("Training", further.training(facts)),
        "recipes": ("Recipes", further.recipes(facts)),
        "resources": ("Resources", further.resources(facts)),
        "failures": ("Failures", further.failures(facts)),
        "method": ("How it was measured", further.method(facts)),
    }
    sections = [
        {"id": name, "title": title, "content": content}
        for name, (title, content) in found.items()
        if content is not None
    ]
    return _rendered("page.html", summary=facts.summary, sections=sections, data=_data(found))


def page_of_tables(title: str, tables: Mapping[str, TextTable], notes: Sequence[str] = ()) -> str:
    """Return a page with a heading and a sortable table for each entry, and notes below."""
    return _rendered("tables.html", title=title, tables=tables, notes=notes)


def _rendered(template: str, **shown: Any) -> str:
    own = {"style": own_file("report.css"), "script": own_file("report.js")}
    text: str = environment().get_template(template).render(version=__version__, **own, **shown)
    return text


def _data(found: dict[str, tuple[str, Any]]) -> Markup:
    """Return what the script of the page works on, as JSON that cannot end its element."""
    per_image, accuracy_shown = found["images"][1], found["accuracy"][1]
    confusions = accuracy_shown["confusions"] if accuracy_shown else []
    data = {
        "images": [group["data"] for group in per_image["groups"]] if per_image else [],
        "confusions": _confusions(confusions, per_image),
    }
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _confusions(shown: list[dict[str, Any]], per_image: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return each matrix with the ids of the images that its cells name, and where these are drawn."""
    place: dict[tuple[str, str], int] = {}
    if per_image:
        place = {(one.dataset, one.image_id): n for n, one in enumerate(per_image["gallery"].examples)}
    found = []
    for one in shown:
        table = one["table"]
        wanted = sorted({i for cell in table.cells.values() for i in cell})
        ids = {i: one["image_ids"][i] for i in wanted}
        drawn = {i: place[one["dataset"], name] for i, name in ids.items() if (one["dataset"], name) in place}
        parts = {name: getattr(table, name) for name in ("rows", "columns", "counts", "cells")}
        found.append({"name": one["name"], "case": table.case_id, **parts, "ids": ids, "examples": drawn})
    return found


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates, which escape everything that is not marked as safe."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"rich": rich, "number": fixed, "interval": interval}
    return made


def rich(text: str) -> Markup:
    """Return a sentence of the report with its signs for strong, emphasis and code as elements.

    >>> str(rich("**a<b** has *p*, see `x*y`"))
    '<strong>a&lt;b</strong> has <em>p</em>, see <code>x*y</code>'
    """
    parts = []
    for number, part in enumerate(re.split(r"`([^`]*)`", str(text))):
        safe = str(escape(part))
        if number % 2:
            parts.append(f"<code>{safe}</code>")
            continue
        safe = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", safe)
        parts.append(re.sub(r"(?<![\w*])\*([^*\s][^*]*?)\*(?![\w*])", r"<em>\1</em>", safe))
    return Markup("".join(parts))


def interval(cell: object) -> Markup:
    """Return a cell of a table; an interval in it is kept in one line.

    >>> str(interval("0.858 (0.836–0.877)")), str(interval("a < b (c)"))
    ('0.858 <span class="interval">(0.836–0.877)</span>', 'a &lt; b (c)')
    """
    safe = str(escape(str(cell)))
    return Markup(re.sub(r"(\([-−\d.]+–[-−\d.]+\))", r'<span class="interval">\1</span>', safe))


def own_file(name: str) -> Markup:
    """Return a file of ours that stands in the page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))
