"""Tables of the user's that a suite names, by whose columns images are sliced: where they lie, and whether they fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.data.formats.home import expanded
from bench.dataset import Dataset
from bench.errors import UsageErrors
from bench.records import Case
from bench.report.summary.columns import read_columns
from bench.suite.schema import Suite


def tables_of(suite: Suite, source: Path, labels: Sequence[str]) -> dict[str, str]:
    """Return label of a data set -> the table that the suite names for it, as an absolute path.

    Args:
        suite: The suite as loaded.
        source: Its file, from whose folder relative paths begin.
        labels: Labels of the data sets of its cases; those of folds begin with that of their data set.
    """
    found: dict[str, str] = {}
    for entry in suite.datasets:
        if entry.columns is not None:
            name = entry.label or entry.name
            path = str((source.parent / expanded(entry.columns)).absolute())
            found |= {label: path for label in labels if label == name or label.startswith(f"{name} fold ")}
    return found


def check_tables(
    suite: Suite, source: Path, cases: Sequence[Case], opened: Mapping[str, Dataset], usage_errors: UsageErrors
) -> None:
    """Note tables that cannot be read, or name none of the images that are scored."""
    specs = {case.dataset.label: case.dataset for case in cases}
    for label, path in tables_of(suite, source, list(specs)).items():
        if label in opened:
            with usage_errors.noted(f"{source}: data set {label!r}: columns: "):
                read_columns(Path(path), opened[label].ids(specs[label].test))
