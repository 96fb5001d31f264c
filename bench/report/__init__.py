"""Reports: one file per form, each a pure function of a run's summary, or for `html` of its files as well.

A module `bench/report/<form>.py` with `render(summary) -> str` is a form; `bench list reports`
finds it by its name. Tables of raw facts, one row per image or sample, are those of `frames.py`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import PluginError, did_you_mean

if TYPE_CHECKING:
    from bench.records.store.views import RunView
    from bench.report.summary.columns import Columns
    from bench.report.summary.summarise import RunSummary

FORMS = ("terminal", "markdown", "csv", "json", "html", "latex")


def report_names() -> list[str]:
    """Names of all forms."""
    return sorted(FORMS)


def render(form: str, summary: RunSummary) -> str:
    """Lay a summary out in a form; raises `PluginError` with the nearest name."""
    if form not in FORMS:
        raise PluginError(f"no report form {form!r}.{did_you_mean(form, FORMS)} List them with: bench list reports")
    text: str = importlib.import_module(f"bench.report.{form}").render(summary)
    return text


def write_report(
    run: RunView,
    folder: Path,
    show_from: float | None = None,
    *,
    inline: bool = False,
    columns: Mapping[str, Columns] | None = None,
    plots: Sequence[str] = (),
    anew: bool = False,
) -> list[Path]:
    """Write report.md with its pictures, results.csv, results.json and report.html; returns them in this order.

    Args:
        run: The run, with its files.
        folder: Folder that gets the files.
        show_from: Score from which contact sheets show objects; None chooses it for each model.
        inline: True puts the small pictures of report.html into it, instead of beside it.
        columns: Label of a data set, or "" for all -> columns of a table of the user's, by which images are sliced.
        plots: Forms beside PNG that plots are written in: `svg`, `pdf`.
        anew: Compute everything from the facts, and take nothing of what earlier reports kept.
    """
    from bench.records.store import layout
    from bench.records.store.files import write_atomically
    from bench.report import csv, json, markdown
    from bench.report.draw.figure import also_as
    from bench.report.draw.pictures import draw_pictures, drawn_once
    from bench.report.summary.stored import stored_summary
    from bench.report.summary.summarise import summarise

    summary = summarise(run, columns) if anew else stored_summary(run, columns)
    folder.mkdir(parents=True, exist_ok=True)
    with also_as(plots):
        # Beside the run it is kept from what they were drawn; a folder of the user's gets nothing but the report.
        if anew or folder.resolve() != run.folder.path.resolve():
            pictures = draw_pictures(run, summary, folder, show_from)
        else:
            pictures = drawn_once(run, summary, folder, show_from, plots)
    further = [drawn.with_suffix(f".{form}") for drawn in pictures.drawn for form in plots]
    texts = {
        layout.REPORT: markdown.render(summary, [picture.name for picture in pictures.drawn], pictures.left_out),
        "results.csv": csv.render(summary),
        "results.json": json.render(summary),
    }
    for name, text in texts.items():
        write_atomically(folder / name, text)
    # By its name, as every form: the page is made of what the other forms are made of.
    html = importlib.import_module("bench.report.html")
    page: list[Path] = html.write_html(run, summary, folder / layout.PAGE, inline=inline)
    return [*(folder / name for name in texts), *pictures.drawn, *further, *page[1:], page[0]]
