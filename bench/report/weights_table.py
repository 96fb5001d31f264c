"""Tells how each model's weights were loaded, which preprocessing it got, and who stated it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from bench.errors import few
from bench.report.draw.numbers import MISSING
from bench.report.summary import grouped
from bench.report.summary.rows import Row
from bench.report.summary.summarise import RunSummary
from bench.report.text_table import TextTable

COUNTS = ("loaded", "left", "renamed", "drawn")
"""Counts of tensors, by their names in the record of a job."""

PARTS = ("mean", "std", "channels", "size", "fit", "interpolation")
"""Parts of a preprocessing, by their names in the record of a job."""

MOST_NAMES = 4
"""Differently spelt classes that a cell names; the others are counted."""


def weights_table(summary: RunSummary) -> TextTable:
    """Return a row per case whose weights were read, or whose preprocessing is known; empty where there is none.

    Columns in which no row has anything are left out.
    """
    told = [row for row in summary.rows if row.weights_read or row.input_contract]
    return TextTable(_cells(summary, row) for row in told).without_missing()


def _cells(summary: RunSummary, row: Row) -> dict[str, str]:
    read, contract = row.weights_read, row.input_contract
    counts = {f"tensors {name}": str(read[name]) if name in read else MISSING for name in COUNTS}
    return {
        "model": summary.name_of(row),
        **counts,
        "classes matched by name": _classes(read),
        **{name: _value(contract.get(name)) for name in PARTS},
        "fit": _fit(contract, weights_given=bool(read)),
        "said by": _sources(contract),
    }


def _classes(read: Mapping[str, JsonValue]) -> str:
    """Return how many classes were matched by name, and which are spelt differently on both sides."""
    pairs = read.get("classes")
    if not isinstance(pairs, list) or not pairs:
        return MISSING
    both = [(str(pair[0]), str(pair[1])) for pair in pairs if isinstance(pair, list) and len(pair) == 2]
    unlike = [f"{theirs} = {own}" for theirs, own in both if theirs != own]
    if not unlike:
        return str(len(both))
    return f"{len(both)} ({few(unlike, MOST_NAMES)})"


def _fit(contract: Mapping[str, JsonValue], *, weights_given: bool) -> str:
    """Return how images are fitted, and what is known of how they were when the weights were trained."""
    fit = _value(contract.get("fit"))
    if contract.get("size") is None and fit != MISSING:
        fit = "own size"
        sides = contract.get("short_edge")
        if isinstance(sides, list) and len(sides) == 2:
            fit = f"short side to {sides[0]}, long side to {sides[1]} at most"
    trained = contract.get("trained_fit")
    if trained is None and "trained_fit" in contract and weights_given:
        return f"{fit} (in training: not known)"
    return fit if trained in (None, contract.get("fit")) else f"{fit} (in training: {trained})"


def _value(value: JsonValue) -> str:
    if value is None:
        return MISSING
    if isinstance(value, list):
        return ", ".join(f"{number:.4g}" if isinstance(number, int | float) else str(number) for number in value)
    return str(value)


def _sources(contract: Mapping[str, JsonValue]) -> str:
    """Return who stated the preprocessing: one name where it is the same for all of it, else each part with its own."""
    by_part = contract.get("from")
    if not isinstance(by_part, dict) or not by_part:
        said = contract.get("said_by")
        return str(said) if said else MISSING
    parts_of = grouped((str(by_part[name]), name) for name in PARTS if name in by_part)
    if len(parts_of) == 1:
        return next(iter(parts_of))
    return "; ".join(f"{', '.join(parts)}: {source}" for source, parts in parts_of.items())
