"""Tables of slices, for all forms of the report."""

from __future__ import annotations

from bench.report.draw.numbers import MISSING, milliseconds, with_interval
from bench.report.sentences import row_name
from bench.report.summary.rows import best_cases
from bench.report.summary.slices import FEWEST_IMAGES, SliceTable
from bench.report.summary.summarise import RunSummary
from bench.report.text_table import TextTable

MOST_MODELS = 12
"""Most models in a table of slices, which would else be too wide: those with the best headline."""


def worst_slices_table(summary: RunSummary) -> TextTable:
    """Return the slice on which each row is worst."""
    names = {row.case_id: row_name(summary, row) for row in summary.rows}
    several = len(summary.slices) > 1
    entries = [
        {
            "model": names[one.case_id],
            **({"data set": table.dataset} if several else {}),
            "worst slice": f"{one.by}: {one.name}",
            "images": str(one.images),
            f"{summary.headline} there ({summary.unit})": with_interval(one.value, one.low, one.high, default=3),
            "on all images": MISSING if one.overall is None else f"{one.overall:.3f}",
        }
        for table in summary.slices
        for one in table.worst
    ]
    return TextTable(entries)


def slices_tables(summary: RunSummary) -> dict[str, TextTable]:
    """Heading -> a line for each slice of a kind, a column for each row of the overview."""
    several = len(summary.slices) > 1
    return {
        " ".join(f"By {by}{f' ({table.dataset})' if several else ''}".split()): _slices(summary, table, by)
        for table in summary.slices
        for by in dict.fromkeys(one.by for one in table.slices)
    }


def _slices(summary: RunSummary, table: SliceTable, by: str) -> TextTable:
    rows = [row for row in summary.rows if row.dataset == table.dataset and row.headline is not None]
    best = best_cases(rows, MOST_MODELS, higher_is_better=summary.higher_is_better)
    rows = [row for row in rows if row.case_id in best]
    slices = [one for one in table.slices if one.by == by]
    timed = any(one.latency_ms.get(row.case_id) is not None for one in slices for row in rows)
    entries = []
    for one in slices:
        entry = {by: one.name, "images": str(one.images)}
        for row in rows:
            value = one.values.get(row.case_id)
            entry[f"{row_name(summary, row)} {summary.headline}"] = MISSING if value is None else f"{value:.3f}"
        if timed and len(rows) == 1:
            entry["ms/image"] = milliseconds(one.latency_ms.get(rows[0].case_id))
        elif timed:
            known = [ms for row in rows if (ms := one.latency_ms.get(row.case_id)) is not None]
            entry["ms/image, fastest to slowest row"] = (
                f"{milliseconds(min(known))} to {milliseconds(max(known))}" if known else MISSING
            )
        entries.append(entry)
    return TextTable(entries)


def slices_notes(summary: RunSummary) -> list[str]:
    """Return how to read slices, and what could not be sliced."""
    if not summary.slices:
        return []
    among = max((one.among for table in summary.slices for one in table.worst), default=0)
    chance = (
        f"The worst of {among} slices of at least {FEWEST_IMAGES} images is partly the worst by chance; its interval "
        "is that of one slice alone. A class is called present where it is in the ground truth of the image; an image "
        "is in the slice of every class that it shows."
    )
    left_out = [f"{table.dataset}: {note}." for table in summary.slices for note in table.notes]
    return [*([chance] if among else []), *left_out]
