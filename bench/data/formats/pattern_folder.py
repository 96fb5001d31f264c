"""A folder whose images and masks are found by patterns, as an `OnDisk`, and what reads the masks of any folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Protocol

from pydantic import JsonValue

from bench.data.formats.bands import BandReading, Percentiles, check_undeclared, measured_ranges
from bench.data.formats.entries import LazySequence
from bench.data.formats.file_names import id_of
from bench.data.formats.folder_classes import FolderTable, binary_table, read_classes
from bench.data.formats.label_tables import MAX_CLASSES, named_classes
from bench.data.formats.mask_diagnosis import check_sample, inferred_table
from bench.data.formats.on_disk import Description, Entry, OnDisk, require_folder, root_of
from bench.data.formats.pattern_ground_truth import BACKGROUND, FolderOptions, MaskRule, PatternOptions
from bench.data.formats.patterns import ImageWithMasks, Matches, is_pattern, match_folder, values_of
from bench.data.formats.splits import group_keys, in_usual_order
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import ClassSpec, as_json_dict
from bench.records.predictions import SemanticMap

EXPECTED = "a folder with images and masks"
OBTAIN = "Put your images and masks there."
SHOWN = 3


class SplitsOf(Protocol):
    """Says the split of each image."""

    def __call__(self, names: Sequence[str], *, keys: Sequence[str]) -> Sequence[str | None]:
        """Return paths and groups -> split of each, None = in no list."""
        ...


def open_patterns(options: PatternOptions, splits_of: SplitsOf) -> OnDisk:
    """Return the data set; lists all files, and reads the masks only if their classes must be inferred.

    Args:
        options: Options of `folder`; `images` or `masks` is a pattern, and the other one too or a folder.
        splits_of: Function that returns the split of each image where the pattern has no `{split}`.

    Raises:
        DatasetError: If images have no mask, masks no image, or an image several where one is expected.
    """
    root = require_folder("folder", root_of(options.root), EXPECTED, OBTAIN)
    images = options.images if is_pattern(options.images) else f"{options.images}/{{id}}.*"
    masks = options.masks if is_pattern(options.masks) else f"{options.masks}/{{id}}{options.mask_suffix}.*"
    if options.binary is not None and (options.masks_hold != "classes" or "{class}" in masks):
        raise DatasetError(
            "folder: binary says that a mask holds two classes, but these hold objects or one class each. Where greys "
            "are to be cut, write threshold: 128 in its place."
        )
    matches = match_folder(root, images, masks, lossy=options.binary is not None)
    matches, left_out = _without_bare_splits(matches, root, images)
    _require_pairs(matches, root, images, masks)
    several = [one for one in matches.found if len(one.masks) > 1]
    if several and options.masks_hold == "classes" and "{class}" not in masks:
        raise _several(several, options)
    entries, unlisted = _entries(matches.found, root, images, options, splits_of)
    files = [mask for one in matches.found for mask in one.masks]
    ground_truths = _ground_truths(matches, files, root, options, masks, tuple(entries))
    reading = declared_bands(options, entries)
    told = () if reading is None else (reading.describe(),)
    others = matches.others
    unread = [f"{len(others)} files fit neither pattern and are not read, {_named(others, root)}"] if others else []
    description = Description(
        "folder",
        ground_truths.classes,
        ("semantic",) if options.masks_hold == "classes" else ("semantic", "instance"),
        f"images and masks in the folder {root.name}",
        "your own",
        in_usual_order(entries),
        decisive=[ground_truths.decisive, *told] if told else ground_truths.decisive,
        inferred=(*filter(None, [ground_truths.inferred]), *told),
        notes=(*left_out, *unlisted, *unread),
        bands=reading,
    )
    return OnDisk(description, lambda split: entries[split], ground_truths.read)


@dataclass(frozen=True)
class _GroundTruths:
    """Label space, reader of the ground truth, what decides it, and what was inferred of it."""

    classes: tuple[ClassSpec, ...]
    read: Callable[[Entry], GroundTruth]
    decisive: JsonValue
    inferred: str = ""


def _without_bare_splits(matches: Matches, root: Path, images: str) -> tuple[Matches, tuple[str, ...]]:
    """Leave out splits of whose images none has a mask, as those of competitions, and tell so."""
    bare: dict[str, list[Path]] = defaultdict(list)
    for path in matches.alone:
        values = values_of(images, path.relative_to(root).as_posix()) or {}
        bare[values.get("split", "")].append(path)
    kept = {one.values.get("split", "") for one in matches.found}
    dropped = {split: len(files) for split, files in bare.items() if split and kept and split not in kept}
    alone = tuple(path for split, files in bare.items() if split not in dropped for path in files)
    told = "images has a mask; the split is left out"
    return replace(matches, alone=alone), tuple(f"{split}: none of its {n} {told}" for split, n in dropped.items())


def _require_pairs(matches: Matches, root: Path, images: str, masks: str) -> None:
    """Raise `DatasetError` unless every image has a mask and every mask an image."""
    total = len(matches.found) + len(matches.alone)
    told = []
    if not total:
        told.append(f"no image fits the pattern images: {images!r}")
    if matches.alone:
        told.append(f"{len(matches.alone)} of {total} images have no mask, {_named(matches.alone, root)}")
    if matches.orphans:
        told.append(f"{len(matches.orphans)} masks have no image, {_named(matches.orphans, root)}")
    if told:
        raise DatasetError(
            f"folder: {root}: {'; '.join(told)}. The patterns are images: {images!r} and masks: {masks!r}. Correct "
            f"them, add what is missing, or move the rest away. What lies there is told by: bench data detect {root}"
        )


def _named(files: Sequence[Path], root: Path) -> str:
    shown = ", ".join(file.relative_to(root).as_posix() for file in files[:SHOWN])
    return f"for example {shown}" if len(files) > SHOWN else shown


def _several(several: Sequence[ImageWithMasks], options: PatternOptions) -> DatasetError:
    one = several[0]
    return DatasetError(
        f"folder: {len(several)} images have several masks, for example {one.image.name}: "
        f"{', '.join(mask.name for mask in one.masks[:4])}. Say what they are: masks_hold: object if each is one "
        "object (scored as instances, and together as one class), or put {class} where the name of the class is in "
        f"masks: {options.masks!r}. If several annotators have drawn the same, name the masks of one of them, for "
        "example "
        f"masks: {options.masks[: options.masks.rfind('/') + 1] + one.masks[0].name.replace(one.image.stem, '{id}')!r}."
    )


def _entries(
    found: Sequence[ImageWithMasks], root: Path, images: str, options: PatternOptions, splits_of: SplitsOf
) -> tuple[dict[str, list[Entry]], tuple[str, ...]]:
    """Return the entries of each split, and what to note of images in none."""
    fixed = images[: images.find("{")].rpartition("/")[0]
    names = [one.image.relative_to(root / fixed).as_posix() for one in found]
    groups = _groups(found, names, options, by_pattern="{group}" in images)
    # A rule that is asked for goes before the placeholder.
    by_pattern = "{split}" in images and options.split_by in ("auto", "folders")
    splits = [one.values["split"] for one in found] if by_pattern else splits_of(names, keys=groups or names)
    entries: dict[str, list[Entry]] = defaultdict(list)
    for one, split, group in zip(found, splits, groups or [""] * len(found), strict=True):
        if split is not None:
            parts = PurePath(*one.values.values())
            image_id = id_of(parts.with_name(parts.name + ".x"))
            entries[split].append(Entry(image_id, one.image, one.masks, group=group))
    return dict(entries), in_no_list(names, splits)


def in_no_list(names: Sequence[str], splits: Sequence[str | None]) -> tuple[str, ...]:
    """Return what to note of images whose split is None, because no list names them."""
    lost = [name for name, split in zip(names, splits, strict=True) if split is None]
    return (f"{len(lost)} of {len(names)} images are in no list and left out, for example {lost[0]}",) if lost else ()


def _groups(
    found: Sequence[ImageWithMasks], names: Sequence[str], options: PatternOptions, *, by_pattern: bool
) -> list[str]:
    """Return the group of each image; empty without groups."""
    if by_pattern and options.group is not None:
        raise DatasetError("folder: groups are said twice, by {group} in images and by the option group; keep one.")
    if by_pattern:
        return [one.values["group"] for one in found]
    return [] if options.group is None else group_keys(names, options.group, where="folder")


def _ground_truths(
    matches: Matches, files: Sequence[Path], root: Path, options: PatternOptions, masks: str, splits: Sequence[str]
) -> _GroundTruths:
    if options.masks_hold == "classes" and "{class}" not in masks:
        table = _table(files, root, options, splits)
        return _GroundTruths(table.classes, partial(labelled, table), decisive(table), table.inferred)
    if (root / options.classes).is_file() and options.masks_hold == "instances":
        raise DatasetError(
            f"folder: {root / options.classes} says what values mean, and masks_hold: instances that they are "
            "numbers of objects. Remove the file, or take the option away."
        )
    pairs = [pair for one in matches.found for pair in zip(one.masks, one.classes, strict=True)]
    of_file = {mask: name or options.object_class for mask, name in pairs}
    names = _class_names(Counter(of_file.values()), options)
    class_of = {name: index for index, name in enumerate(names)}
    classes = named_classes(names, things=names[1:] if options.masks_hold != "classes" else ())
    rule = MaskRule(options.masks_hold, class_of, of_file, options.threshold, options.class_order is not None)
    return _GroundTruths(classes, rule.ground_truth, [options.masks_hold, options.threshold, list(names), rule.on_top])


def _class_names(counted: Mapping[str, int], options: PatternOptions) -> tuple[str, ...]:
    """Return names of the classes, the background first."""
    known = sorted(set(counted) - {BACKGROUND})
    order = options.class_order
    if order is not None and sorted(order) != known:
        raise DatasetError(
            f"folder: class_order names {', '.join(order)}, but the masks are of {', '.join(known)}. Name each of "
            "these once."
        )
    if len(known) >= MAX_CLASSES:
        raise DatasetError(
            f"folder: {{class}} in masks: {options.masks!r} takes {len(known)} values, for example "
            f"{', '.join(known[:SHOWN])}; these are no classes. Put the placeholder elsewhere."
        )
    return (BACKGROUND, *(order or known))


def _table(files: Sequence[Path], root: Path, options: PatternOptions, splits: Sequence[str]) -> FolderTable:
    """Return classes by value or colour: of the file, the same for all splits, or inferred."""
    named = [root / options.classes.replace("{split}", split) for split in splits]
    there = list(dict.fromkeys(file for file in named if file.is_file()))
    if not there and options.classes != "classes.yaml":
        raise DatasetError(f"folder: nothing at {named[0]}, which the option classes names. Correct or remove it.")
    if len(there) < 2:
        return folder_table(options, there[0] if there else named[0], files, root)
    tables = [read_classes(file, options.void) for file in there]
    names = [[spec.name for spec in table.classes] for table in tables]
    for file, table, own in zip(there, tables, names, strict=True):
        if (own, table.by_value, table.by_colour) != (names[0], tables[0].by_value, tables[0].by_colour):
            raise DatasetError(f"{file} and {there[0]} give other classes; all splits need the same. Make them agree.")
    return folder_table(options, there[0], files, root)


def folder_table(options: FolderOptions, class_file: Path, masks: Sequence[Path], folder: Path) -> FolderTable:
    """Return classes by `binary`, the file, or what masks hold; raises `DatasetError` if these do not tell."""
    if options.binary is not None:
        return binary_table(options.binary, class_file)
    if not class_file.is_file():
        return inferred_table(masks, folder, options.void)
    table = read_classes(class_file, options.void)
    said = options.void is not None or not table.void_by_default
    check_sample(table, masks, folder, void_is_said=said)
    return table


def declared_bands(options: FolderOptions, entries: Mapping[str, Sequence[Entry]]) -> BandReading | None:
    """Return how bands are read, percentiles measured on `train`, or None; raises `DatasetError` if that is wrong."""
    reading, of_split = options.reading(), [entries[split] for split in entries]
    every = LazySequence(sum(map(len, of_split)), lambda position: _at(of_split, position).image)
    if reading is None:
        check_undeclared(every)
        return None
    if isinstance(options.range, Percentiles):
        training = entries.get("train") or ()
        of_training = LazySequence(len(training), lambda position: training[position].image)
        reading = measured_ranges(reading, of_training if training else every, options.range)
    return reading


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
