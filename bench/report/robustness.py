"""Tables and sentences on shifted images, for all forms of the report."""

from __future__ import annotations

from bench.report.draw.numbers import MISSING, with_interval
from bench.report.sentences import row_name
from bench.report.summary.robustness import NATURAL, Robustness
from bench.report.summary.summarise import RunSummary
from bench.report.text_table import TextTable


def robustness_table(summary: RunSummary) -> TextTable:
    """Return a row for each case whose images were corrupted."""
    several = len({one.dataset for one in summary.robustness}) > 1
    rows = [
        {
            "model": names[one.case_id],
            **({"data set": one.dataset} if several else {}),
            f"clean {summary.headline}": _number(one.clean),
            "mean under corruption": with_interval(one.mean, one.low, one.high, default=3),
            "drop": with_interval(one.drop, one.drop_low, one.drop_high, default=3),
            "kept": MISSING if one.kept is None else f"{100 * one.kept:.1f} %",
            "mean corruption error": _number(one.corruption_error),
            "mean relative corruption error": _number(one.relative_error),
            "worst corruption": MISSING if one.worst is None else f"{one.worst} ({_number(one.worst_value)})",
        }
        for names in [_names(summary)]
        for one in summary.robustness
        if one.corruptions and one.case_id in names
    ]
    return TextTable(rows)


def corruptions_table(summary: RunSummary) -> TextTable:
    """Return a row for each corruption, with the mean over its severities of each case."""
    names = _columns(summary)
    found = list(
        dict.fromkeys((s.family, s.name) for one in summary.robustness for s in one.shifts if s.family != NATURAL)
    )
    rows = [
        {
            "family": family,
            "corruption": name,
            **{column: _number(one.mean_of(name)) for column, one in names.items() if name in one.corruptions},
        }
        for family, name in found
    ]
    return TextTable(rows)


def natural_table(summary: RunSummary) -> TextTable:
    """Return a row for each case and other data set."""
    rows = [
        {
            "model": column,
            "made for": one.dataset,
            f"{summary.headline} there": _number(one.clean),
            "scored on": shift.name,
            summary.headline: with_interval(shift.value, shift.low, shift.high, default=3),
        }
        for column, one in _columns(summary).items()
        for shift in one.shifts
        if shift.family == NATURAL
    ]
    return TextTable(rows)


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
    names = _names(summary)
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


def _names(summary: RunSummary) -> dict[str, str]:
    return {row.case_id: row_name(summary, row) for row in summary.rows}


def _columns(summary: RunSummary) -> dict[str, Robustness]:
    """Name of a case, with its data set where there are several -> what shifts do to it."""
    several, names = len({one.dataset for one in summary.robustness}) > 1, _names(summary)
    return {
        names[one.case_id] + (f" on {one.dataset}" if several else ""): one
        for one in summary.robustness
        if one.case_id in names
    }


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"
