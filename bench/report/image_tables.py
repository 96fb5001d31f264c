"""Tables and sentences on slices of images, on shifted images and on probabilities, for all forms of the report."""

from __future__ import annotations

from bench.report.draw.numbers import MISSING, fixed, significant, with_interval
from bench.report.summary.robustness import NATURAL, Robustness
from bench.report.summary.rows import best_cases
from bench.report.summary.slices import FEWEST_IMAGES, SliceTable
from bench.report.summary.summarise import RunSummary
from bench.report.text_table import TextTable

MOST_MODELS = 12
"""Most models in a table of slices, which would else be too wide: those with the best headline."""


def worst_slices_table(summary: RunSummary) -> TextTable:
    """Return the slice on which each row is worst."""
    several = len(summary.slices) > 1
    return TextTable(
        {
            "model": summary.names[one.case_id],
            **({"data set": table.dataset} if several else {}),
            "worst slice": f"{one.by}: {one.name}",
            "images": str(one.images),
            f"{summary.headline} there ({summary.unit})": with_interval(one.value, one.low, one.high, default=3),
            "on all images": fixed(one.overall),
        }
        for table in summary.slices
        for one in table.worst
    )


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
            entry[f"{summary.name_of(row)} {summary.headline}"] = fixed(one.values.get(row.case_id))
        if timed and len(rows) == 1:
            entry["ms/image"] = significant(one.latency_ms.get(rows[0].case_id))
        elif timed:
            known = [ms for row in rows if (ms := one.latency_ms.get(row.case_id)) is not None]
            entry["ms/image, fastest to slowest row"] = (
                f"{significant(min(known))} to {significant(max(known))}" if known else MISSING
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


def robustness_table(summary: RunSummary) -> TextTable:
    """Return a row for each case whose images were corrupted."""
    several = len({one.dataset for one in summary.robustness}) > 1
    return TextTable(
        {
            "model": summary.names[one.case_id],
            **({"data set": one.dataset} if several else {}),
            f"clean {summary.headline}": fixed(one.clean),
            "mean under corruption": with_interval(one.mean, one.low, one.high, default=3),
            "drop": with_interval(one.drop, one.drop_low, one.drop_high, default=3),
            "kept": MISSING if one.kept is None else f"{100 * one.kept:.1f} %",
            "mean corruption error": fixed(one.corruption_error),
            "mean relative corruption error": fixed(one.relative_error),
            "worst corruption": MISSING if one.worst is None else f"{one.worst} ({fixed(one.worst_value)})",
        }
        for one in summary.robustness
        if one.corruptions and one.case_id in summary.names
    )


def corruptions_table(summary: RunSummary) -> TextTable:
    """Return a row for each corruption, with the mean over its severities of each case."""
    names = _columns(summary)
    found = list(
        dict.fromkeys((s.family, s.name) for one in summary.robustness for s in one.shifts if s.family != NATURAL)
    )
    return TextTable(
        {
            "family": family,
            "corruption": name,
            **{column: fixed(one.mean_of(name)) for column, one in names.items() if name in one.corruptions},
        }
        for family, name in found
    )


def natural_table(summary: RunSummary) -> TextTable:
    """Return a row for each case and other data set."""
    return TextTable(
        {
            "model": column,
            "made for": one.dataset,
            f"{summary.headline} there": fixed(one.clean),
            "scored on": shift.name,
            summary.headline: with_interval(shift.value, shift.low, shift.high, default=3),
        }
        for column, one in _columns(summary).items()
        for shift in one.shifts
        if shift.family == NATURAL
    )


def robustness_notes(summary: RunSummary) -> list[str]:
    """Return how the table is to be read."""
    corrupted = [one for one in summary.robustness if one.corruptions]
    if not corrupted:
        return []
    severities = sorted({shift.severity for one in corrupted for shift in one.shifts if shift.severity is not None})
    lines = [
        f"Mean over {len(corrupted[0].corruptions)} corruptions at severities {', '.join(map(str, severities))}; "
        "nothing was trained or timed again. Intervals leave out the same images of all corruptions at once.",
    ]
    names = summary.names
    references = {one.reference: names[one.reference] for one in corrupted if one.reference in names}
    if references:
        lines.append(
            f"Corruption errors are relative to {' and '.join(references.values())}, which has 1: above it a model "
            "loses more. The relative one counts what a corruption adds to the error on the images as they are."
        )
    left_out = {name: None for one in corrupted for name in one.without_relative}
    if left_out:
        lines.append(f"{', '.join(left_out)}: hardly changes the reference and is left out of the relative error.")
    missing = sum(shift.value is None for one in summary.robustness for shift in one.shifts)
    if missing:
        lines.append(f"{missing} shifted predictions are not scored yet, or have no score; means wait for them.")
    return lines


def _columns(summary: RunSummary) -> dict[str, Robustness]:
    """Name of a case, with its data set where there are several -> what shifts do to it."""
    several, names = len({one.dataset for one in summary.robustness}) > 1, summary.names
    return {
        names[one.case_id] + (f" on {one.dataset}" if several else ""): one
        for one in summary.robustness
        if one.case_id in names
    }


MOST_CLASSES = 24
"""Most classes for which a table of thresholds is made; thresholds of more are in results.json only."""


def thresholds_table(summary: RunSummary) -> TextTable:
    """Return the threshold of each class, a row for each case that chose any."""
    rows = {row.case_id: row for row in summary.rows}
    chosen = [one for one in summary.probabilities if one.taus and one.case_id in rows]
    return TextTable(
        [
            {
                **summary.columns_of(rows[one.case_id]),
                **{f"tau of {name}": f"{tau:.3f}" for name, tau in one.taus.items()},
                "chosen on": one.taus_from,
            }
            for one in chosen
            if len(one.taus) <= MOST_CLASSES
        ],
        missing="",
    )


def probability_notes(summary: RunSummary) -> list[str]:
    """Return how probabilities were kept and rounded, and how to read thresholds."""
    if not summary.probabilities:
        return []
    error = next((one.quantisation_error for one in summary.probabilities if one.quantisation_error is not None), None)
    kept = sum(one.kept_bytes or 0 for one in summary.probabilities)
    rounded = "" if error is None else f", each rounded by at most {error:.4f}"
    lines = [
        f"Probabilities of each class and pixel were kept in 256 levels{rounded}; they take {kept / 2**20:.1f} MiB. "
        "None of this was timed."
    ]
    if any(one.taus for one in summary.probabilities):
        lines.append(
            "Thresholds were chosen on the images that the table names and applied to the scored images; *best on "
            "these images* chose them on the scored images themselves: an upper bound, not a result."
        )
    return lines
