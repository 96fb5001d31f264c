"""Reads images and masks of a folder by its options, however they are found: classes, bands, what decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from bench.data.formats.bands import BandReading, Percentiles, check_undeclared, measured_ranges
from bench.data.formats.class_lists import read_classes
from bench.data.formats.entries import Entry, LazySequence
from bench.data.formats.folder_classes import FolderTable, binary_table
from bench.data.formats.mask_diagnosis import check_sample, inferred_table
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
        return inferred_table(masks, folder, options.void)
    table = read_classes(class_file, options.void)
    said = options.void is not None or not table.void_by_default
    check_sample(table, masks, folder, void_is_said=said)
    return table


def declared_bands(options: FolderOptions, entries: Mapping[str, Sequence[Entry]]) -> BandReading | None:
    """Return how bands are read, percentiles measured on `train`; None if the options declare none.

    Raises:
        DatasetError: If images need a declaration, or cannot be measured.
    """
    reading, of_split = options.reading(), [entries[split] for split in entries]
    every = LazySequence(sum(map(len, of_split)), lambda position: _at(of_split, position).image)
    if reading is None:
        check_undeclared(every)
        return None
    if isinstance(options.range, Percentiles):
        training = entries.get("train")
        reading = measured_ranges(reading, _images(training) if training else every, options.range)
    return reading


def _images(entries: Sequence[Entry]) -> LazySequence[Path]:
    return LazySequence(len(entries), lambda position: entries[position].image)


def _at(of_split: Sequence[Sequence[Entry]], position: int) -> Entry:
    """Return the entry at a position among those of all splits, one after another."""
    for entries in of_split:
        if position < len(entries):
            return entries[position]
        position -= len(entries)
    raise IndexError(position)


def decisive(table: FolderTable) -> list[JsonValue]:
    """Return what of a table decides the ground truth."""
    marks: list[JsonValue] = [[str(k), v] for k, v in (*table.by_value.items(), *table.by_colour.items())]
    return marks if table.binary is None else [as_json_dict(table.binary)]


def labelled(table: FolderTable, entry: Entry) -> GroundTruth:
    """Return classes of the pixels of an entry's mask."""
    return GroundTruth(SemanticMap(table.labels(entry.ground_truths[0])))
