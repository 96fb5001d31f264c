"""A page of tables alone, in the same style and with the same script as the report: sortable, from disk, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench import __version__
from bench.report.html.page import environment, own_file
from bench.report.text_table import TextTable


def page_of_tables(title: str, tables: Mapping[str, TextTable], notes: Sequence[str] = ()) -> str:
    """Return a page with a heading and a sortable table for each entry, and notes below."""
    text: str = (
        environment()
        .get_template("tables.html")
        .render(
            title=title,
            tables=tables,
            notes=notes,
            version=__version__,
            style=own_file("report.css"),
            script=own_file("report.js"),
        )
    )
    return text
