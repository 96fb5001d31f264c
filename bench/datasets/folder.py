"""Your own images and masks in two folders: the plainest form a data set can have.

    root/images/a.jpg     jpg, png, tif, bmp, webp, gif; grey, 16 bit, alpha, CMYK; sub-folders allowed
    root/masks/a.png      png, tif, bmp, gif, webp without loss: class values, palette indices or colours
    root/classes.yaml     optional, see below

A mask has the name of its image, plus `mask_suffix` if there is one (`a.jpg` and `a_mask.png`).

classes.yaml is a list of names, whose positions are the values in the masks (255 = void), or

    classes:
      - {name: background, value: 0}
      - {name: cell, value: 1, colour: [255, 0, 0], thing: true}
    void: [255]

`classes` may name a plain list instead, one name a line (class_names.txt). Without values, the colours tell the
classes apart, in RGB masks and in palettes. Without the file
every mask is read once at opening, and the classes are told from them only if they are certain:
0 and 255 alone are background and foreground, 0 to K − 1 without a gap are indices, few colours are
a class each. Everything else is refused with what was seen and the lines that would settle it:

    binary: {threshold: 128}     two classes: below, and from this grey value on; takes JPEG masks too
    void: 255 | none             the value that is not scored, or that there is none

Images of other bands than grey or RGB, or of fewer than 16 bits in 16, are declared:

    bands: [1, 2, 3, 4]          bands counted from 1; [3, 2, 1] takes three as red, green and blue
    range: [0, 4095]             what becomes 0 and 255; {percentiles: [2, 98]} measures it on `train`
    rgb: [3, 2, 1]               of more bands, those of pictures and of models that take RGB alone

Sets for segmenting people come in this form, with masks of black and white. Name the classes by

    classes: [{name: background, value: 0}, {name: person, value: 255}]

and keep photographs of one person in one split by `group`.

Files that lie otherwise are found by patterns of their paths below root, for example

    images: "{split}/images/{id}.*"    masks: "{split}/masks/{id}.png"      split first
    images: "{id}.jpg"                 masks: "{id}_mask.png"               both in one folder
    images: "{group}/{id}.tif"         masks: "{group}/{id}_mask.tif"       one folder a patient
    images: "images/{id}.*"            masks: "masks/{class}/{id}.png"      one mask for each class
    images: "images/{id}.*"            masks: "masks/{id}_mask*.png"        several masks of one image

with `masks_hold: instances` where values are numbers of objects and `masks_hold: object` where each
file is one object. `classes` may also name a `_classes.csv` of Roboflow's or a `labelmap.txt` of
CVAT's, and may contain `{split}`. `bench data detect DIR` proposes the patterns.

Splits, by the option `split_by`:
    folders    the first sub-folder of images/ is the split: images/train/a.jpg, masks/train/a.png
    lists      root/<split>.txt, one image a line, with or without suffix
    pattern    `patterns: {test: "^site_7/", train: "."}`: the first regular expression that is found
    fraction   `fractions`, by `seed`; images whose `group` is the same stay in one split
    auto       lists if there is a train.txt; folders if every image lies in one; otherwise fraction
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.data.formats.documents import read_lines
from bench.data.formats.entries import Entry, EntryTable, LazySequence
from bench.data.formats.file_names import files_below, id_of_name, same_text, stem_of
from bench.data.formats.folder_pairs import paired
from bench.data.formats.home import lies_there
from bench.data.formats.image_files import IMAGE_SUFFIXES
from bench.data.formats.on_disk import Description, OnDisk, missing, require_folder, root_of
from bench.data.formats.pattern_folder import (
    decisive,
    declared_bands,
    folder_table,
    in_no_list,
    labelled,
    open_patterns,
)
from bench.data.formats.pattern_ground_truth import PatternOptions
from bench.data.formats.patterns import is_pattern
from bench.data.formats.splits import USUAL_ORDER, FractionOptions, by_fraction, compiled, group_keys, in_usual_order
from bench.errors import DatasetError
from bench.records import TaskKind

SOURCE = "images and masks in two folders"
LICENCE = "your own"
TASKS: tuple[TaskKind, ...] = ("semantic",)
OBTAIN = "Put your images and masks there."


class Options(PatternOptions, FractionOptions):
    """Options that a suite may set.

    Attributes:
        root: Folder with the two below.
        images, masks: Their names, or patterns with `{id}`, see above.
        mask_suffix: Text that follows the image's name in the name of its mask.
        classes: Name of the file with the classes.
        binary: Two classes, told apart at a grey value: `{threshold: 128}`; `channel: alpha` takes the transparency.
        void: Value in the masks that is not scored, or `none`; without it what the file with the classes says.
        split_by: Way in which images are split.
        patterns: Patterns for `pattern`: split -> regular expression, searched in the path below images/.
    """

    patterns: dict[str, str] = {}


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; lists files, reads masks without classes.yaml; raises `DatasetError` for what is missing."""
    root = root_of(options.root)
    if is_pattern(options.images) or is_pattern(options.masks):
        return open_patterns(options, partial(_splits, root=root, options=options))
    expected = f"the folders {options.images}/ and {options.masks}/ with one mask for each image"
    images = require_folder("folder", root / options.images, expected, OBTAIN)
    masks = require_folder("folder", root / options.masks, expected, OBTAIN)
    files = files_below(images, others=True)
    names = files.names
    if not names:
        suffixes = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        raise missing("folder", images, f"images ({suffixes})", files.describe_others() + OBTAIN)
    pairs = paired(files, masks, options.mask_suffix, lossy=options.binary is not None)
    of_masks = LazySequence(len(names), lambda position: masks / pairs.masks[position])
    table = folder_table(options, root / options.classes, of_masks, masks)
    groups = None if options.group is None else group_keys(names, options.group, where="folder")
    splits = _splits(names, root, options)
    positions: dict[str, list[int]] = defaultdict(list)
    for position, split in enumerate(splits):
        if split is not None:
            positions[split].append(position)
    entries = {split: _table(images, names, of_masks, groups, chosen) for split, chosen in positions.items()}
    reading = declared_bands(options, entries)
    told = () if reading is None else (reading.describe(),)
    description = Description(
        "folder",
        table.classes,
        TASKS,
        f"images and masks in the folder {root.name}",
        LICENCE,
        in_usual_order(entries),
        decisive=[*decisive(table), *told],
        inferred=(*filter(None, [table.inferred]), *told),
        notes=(*pairs.notes, *in_no_list(names, splits)),
        bands=reading,
    )
    return OnDisk(description, lambda split: entries[split], partial(labelled, table))


def _table(
    images: Path, names: Sequence[str], masks: Sequence[Path], groups: list[str] | None, chosen: list[int]
) -> EntryTable:
    ids = [id_of_name(names[position]) for position in chosen]

    def entry(at: int) -> Entry:
        position = chosen[at]
        group = "" if groups is None else groups[position]
        return Entry(ids[at], images / names[position], (masks[position],), group=group)

    return EntryTable(ids, entry)


def _splits(names: Sequence[str], root: Path, options: Options, keys: Sequence[str] | None = None) -> list[str | None]:
    """Split of each image; None = in no list."""
    rule = options.split_by
    if rule == "auto":
        in_folders = all(name.partition("/")[0] in USUAL_ORDER and "/" in name for name in names)
        rule = "lists" if lies_there(root / "train.txt") else "folders" if in_folders else "fraction"
    if rule == "folders":
        top_level = [name for name in names if "/" not in name]
        if top_level:
            raise DatasetError(
                f"folder: {len(top_level)} images lie in no sub-folder, for example {top_level[0]!r}; folders "
                "expect images/<split>/name. Move them, or choose another split_by."
            )
        return [sys.intern(name.partition("/")[0]) for name in names]
    if rule == "lists":
        return _by_list(names, root, options.images)
    if rule == "pattern":
        return _by_pattern(names, options.patterns)
    keys = group_keys(names, options.group, where="folder") if keys is None else keys
    return list(by_fraction(keys, options.fractions, seed=options.seed, where="folder"))


def _by_list(names: Sequence[str], root: Path, images: str) -> list[str | None]:
    """Return the split of each image, by the lists; a line may hold the path below root, and what follows a space."""
    if is_pattern(images):
        images = images[: images.find("{")].rpartition("/")[0]
    position = {same_text(name): index for index, name in enumerate(names)}
    position |= {same_text(stem_of(name)): index for index, name in enumerate(names)}
    splits: list[str | None] = [None] * len(names)
    lists = [root / f"{split}.txt" for split in USUAL_ORDER if lies_there(root / f"{split}.txt")]
    if not lists:
        raise missing("folder", root / "train.txt", "lists of images, <split>.txt", "Write one image a line.")
    for file in lists:
        lines = read_lines(file, is_name=lambda line: same_text(line) in position)
        if not lines:
            raise DatasetError(
                f"{file} names no image. Write one image a line; a line that begins with # is a comment, unless an "
                "image has that name. Remove the file if there is no such split."
            )
        for line in lines:
            forms = (line, line.replace("\\", "/"), line.split()[0])  # on Windows; or with a column of masks
            known = (position.get(same_text(one).removeprefix("./").removeprefix(f"{images}/")) for one in forms)
            index = next((one for one in known if one is not None), None)
            if index is None:
                raise DatasetError(f"{file} names {line!r}, but there is no such image below {root / images}.")
            if splits[index] not in (None, file.stem):
                raise DatasetError(
                    f"{file} names {line!r}, which {splits[index]}.txt names too; an image has one split."
                )
            splits[index] = file.stem
    return splits


def _by_pattern(names: Sequence[str], patterns: dict[str, str]) -> list[str | None]:
    if not patterns:
        raise DatasetError(
            'folder: split_by: pattern needs the option patterns, for example {test: "^site_7/", train: "."}'
        )
    expressions = {split: compiled(pattern, where="folder") for split, pattern in patterns.items()}
    splits = [next((s for s, expression in expressions.items() if expression.search(name)), None) for name in names]
    lost = [name for name, split in zip(names, splits, strict=True) if split is None]
    empty = sorted(set(patterns) - set(splits) - {None})
    if lost or empty:
        of_none = f"{len(lost)} images match no pattern, for example {lost[0]!r}" if lost else ""
        what = of_none or f"no image falls to {empty[0]!r}"
        raise DatasetError(f"folder: {what}. The first pattern that is found decides; they are {patterns}.")
    return list(splits)
