"""Reads images and masks of a folder by its options, however they are found: classes, bands, what decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from bench.data.formats.bands import BandReading, Percentiles, check_undeclared, measured_ranges
from bench.data.formats.class_lists import read_classes
from bench.data.formats.folder_classes import FolderTable, binary_table
from bench.data.formats.mask_diagnosis import check_sample, inferred_table
from bench.data.formats.on_disk import Entry
from bench.data.formats.pattern_options import FolderOptions
from bench.dataset import GroundTruth
from bench.records import as_json_dict
from bench.records.predictions import SemanticMap


def folder_table(options: FolderOptions, class_file: Path, masks: Sequence[Path], folder: Path) -> FolderTable:
    """Return how values become classes: by the option `binary`, the file, or what the masks hold.

    Raises:
        DatasetError: If the file is wrong, the masks contradict it, or they do not tell their classes for certain.
    """
    if options.binary is not None:
        return binary_table(options.binary, class_file)
    if not class_file.is_file():
        return inferred_table(list(masks), folder, options.void)
    table = read_classes(class_file, options.void)
    said = options.void is not None or not table.void_by_default
    check_sample(table, list(masks), folder, void_is_said=said)
    return table


def declared_bands(options: FolderOptions, entries: Mapping[str, Sequence[Entry]]) -> BandReading | None:
    """Return how bands are read, percentiles measured on `train`; None if the options declare none.

    Raises:
        DatasetError: If images need a declaration, or cannot be measured.
    """
    reading, every = options.reading(), [entry for split in entries.values() for entry in split]
    if reading is None:
        check_undeclared([entry.image for entry in every])
        return None
    if isinstance(options.range, Percentiles):
        training = entries.get("train") or every
        reading = measured_ranges(reading, [entry.image for entry in training], options.range)
    return reading


def decisive(table: FolderTable) -> list[JsonValue]:
    """Return what of a table decides the ground truth."""
    marks: list[JsonValue] = [[str(k), v] for k, v in (*table.by_value.items(), *table.by_colour.items())]
    return marks if table.binary is None else [as_json_dict(table.binary)]


def labelled(table: FolderTable, entry: Entry) -> GroundTruth:
    """Return classes of the pixels of an entry's mask."""
    return GroundTruth(SemanticMap(table.labels(entry.ground_truths[0])))
