"""A table of the user's that says of images what no file of theirs does: weather, site, scanner.

It is a CSV file with a row for each image. Its columns slice scores and latencies, in reports and in gates.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.errors import BenchError, did_you_mean, in_one_line
from bench.records.damage import require_file
from bench.records.store.statistics import load_statistics
from bench.records.store.views import RunView

Columns = Mapping[str, Mapping[str, str]]
"""Name of a column -> image id -> value."""

ID_COLUMNS = ("image", "image_id", "id", "file", "filename", "file_name")
"""Names that the column with the images may have."""


def read_columns(path: Path, image_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read what a CSV file says of images.

    Args:
        path: CSV file with a heading; the column `image` (or `image_id`, `id`, `file`, `filename`) has ids or names of
            files.
        image_ids: Image ids of the data set.

    Returns:
        Name of each other column -> image id -> value, in the order of the file.

    Raises:
        BenchError: If it cannot be read, has no such column, names an image twice, or none of the images.
    """
    try:
        require_file(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows, names = list(reader), [name for name in reader.fieldnames or () if name]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"{path} cannot be read as CSV: {in_one_line(error)}") from None
    key = next((name for name in names if name.strip().lower() in ID_COLUMNS), None)
    if key is None:
        raise BenchError(
            f"{path}: no column says which image a row is about; its columns are {', '.join(names) or 'none'}. Call "
            f"one of them {ID_COLUMNS[0]!r}, with ids of images or names of files."
        )
    known = {**{Path(image_id).stem: image_id for image_id in image_ids}, **{i: i for i in image_ids}}
    found: dict[str, dict[str, str]] = {name: {} for name in names if name != key}
    seen: dict[str, int] = {}
    for line, row in enumerate(rows, start=2):
        named = (row[key] or "").strip()
        image_id = known.get(named) or known.get(Path(named).stem)
        if image_id is None:
            continue  # a table may be about more images than are scored
        if image_id in seen:
            raise BenchError(f"{path}, lines {seen[image_id]} and {line}: both are about image {image_id!r}; keep one")
        seen[image_id] = line
        for name, of_image in found.items():
            of_image[image_id] = (row[name] or "").strip()
    if not seen:
        first = (rows[0][key] or "") if rows else ""
        raise BenchError(
            f"{path}: column {key!r} names none of the {len(image_ids)} images, for example {first!r}; ids look like "
            f"{image_ids[0]!r}.{did_you_mean(first, list(image_ids)[:1000])}"
        )
    return found


class PlannedColumns(NamedTuple):
    """Columns of the tables that a run's suite names.

    Attributes:
        columns: Label of a data set -> its columns.
        notes: Label -> why its table could not be read.
    """

    columns: dict[str, Columns]
    notes: dict[str, str]


def planned_columns(run: RunView) -> PlannedColumns:
    """Read the tables that the suite of a run names, for the images of its scored cases."""
    found = PlannedColumns({}, {})
    scored = {view.case.dataset.label: view.statistics for view in run.cases if view.statistics is not None}
    for label, path in run.plan.columns.items():
        statistics = scored.get(label)
        if statistics is None:
            continue
        try:
            found.columns[label] = dict(read_columns(Path(path), load_statistics(statistics).image_ids))
        except BenchError as error:
            found.notes[label] = f"no slices by the table of the suite: {in_one_line(error)}"
    return found
