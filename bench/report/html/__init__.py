"""The report as one HTML page that can be opened from disk, sent around and printed: no network, no server.

`page.py` puts it together; each section is a file here or a function in `sections.py` that gathers what is shown, and a
template of its name in `templates/` that lays it out. Drawings are the figures of `bench.report.draw` as SVG, in the
page without JavaScript. The script of the page sorts, filters and toggles; without it all is still there to read.
"""

from __future__ import annotations

from pathlib import Path

from bench.records.store import layout
from bench.records.store.files import write_atomically
from bench.records.store.views import RunView
from bench.report.facts import Facts, facts_of
from bench.report.html.gallery import beside, inside
from bench.report.html.page import page
from bench.report.summary.summarise import RunSummary


def render(summary: RunSummary) -> str:
    """Return the page of a summary alone: without images, raw samples and logs, which are in the run's files."""
    return page(Facts(summary))


def text_of(run: RunView, summary: RunSummary, *, inline: bool = False) -> str:
    """Return the page of a run, with the small pictures of images in it, or without any."""
    return page(facts_of(run, summary), inside if inline else None)


def write_html(run: RunView, summary: RunSummary, path: Path, *, inline: bool = False) -> list[Path]:
    """Write the page, and the small pictures of images beside it.

    Args:
        run: Run with the files.
        summary: Summary of it.
        path: Path of the page.
        inline: Put the pictures into the page instead, so that the one file can be sent around.

    Returns:
        The page, then the pictures.
    """
    folder = path.parent / layout.PAGE_IMAGES
    before = set(folder.glob("[0-9][0-9][0-9]_*")) if not inline else set()
    write_atomically(path, page(facts_of(run, summary), inside if inline else beside(path.parent)))
    text = path.read_text(encoding="utf-8")
    for old in before:
        if f"{layout.PAGE_IMAGES}/{old.name}" not in text:
            old.unlink(missing_ok=True)  # of an earlier report, of images that are no longer shown
    return [path, *([] if inline else sorted(folder.glob("[0-9][0-9][0-9]_*")))]
