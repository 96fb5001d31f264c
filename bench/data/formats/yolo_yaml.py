"""Reads a data YAML of Ultralytics: names, splits, where they lie, and masks. Its `download` is never run."""

# ruff: noqa: PTH118 - texts: a hundred thousand images as `Path` would cost more than the listing of their folders

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.data.formats.documents import read_lines, read_yaml, whole_number, yaml_as_written
from bench.data.formats.file_names import ImagePlaces, files_below, names_in, refuse_one_file_twice
from bench.data.formats.image_files import IMAGE_SUFFIXES
from bench.data.formats.on_disk import missing, require_file
from bench.data.formats.typed import YOLO, as_typed
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL

SPLITS = ("train", "val", "test")
OBTAIN = "Put your data.yaml there, with images/ and labels/ beside it."
MOST_NAMES = 65535
NOT_RUN = "What the YAML says under download is never run here: fetch the data by hand."
MASKS = "masks"
"""Folder of masks where the YAML names none."""


class ListedImages(NamedTuple):
    """Images of a split, as texts.

    Attributes:
        folders: Folder of each; those of one folder share one text.
        names: Name of each in its folder.
        notes: Sentences on images that were found otherwise than as they are named.
    """

    folders: list[str]
    names: list[str]
    notes: list[str]


@dataclass(frozen=True)
class DataYaml:
    """A data YAML.

    Attributes:
        names: Names of the classes, in the order of their numbers.
        base: Folder that the splits start from.
        splits: Split -> folders of images and lists of images.
        masks: Folder of the masks, in the place of `images`; None if the YAML names none.
        mapping: Value in a mask -> class number, or 255 for void; other values stay as they are.
        obtain: Way to get files that are not there.
    """

    file: Path
    names: tuple[str, ...]
    base: Path
    splits: Mapping[str, Sequence[str]]
    masks: str | None
    mapping: Mapping[int, int]
    obtain: str

    def images(self, split: str) -> ListedImages:
        """Return images of a split as its folders and lists have them; raises `DatasetError` if one is missing."""
        images = ListedImages([], [], [])
        for place in self.splits[split]:
            where = self._place(place)
            if Path(place).is_absolute() and where != Path(place):
                images.notes.append(f"{self.file.name}: {place} is not on this machine; {where} is read")
            if where.is_dir():
                _add_folder(images, where)
            elif where.suffix == ".txt" and where.is_file():
                self._add_list(images, where)
            else:
                raise missing("yolo", where, "a folder of images or a .txt list of them", self.obtain)
        if not images.names:
            suffixes = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
            raise missing("yolo", self._place(self.splits[split][0]), f"images ({suffixes})", self.obtain)
        return images

    def images_apart(self, split: str) -> ListedImages:
        """Return the images of a split, see `images`; raises `DatasetError` if an earlier split names some of them."""
        for other in list(self.splits)[: list(self.splits).index(split)]:
            shared = self.shared(split, other)
            if shared is not None:
                raise _one_folder_twice(self, split, shared[0], other, shared[1])
        return self.images(split)

    def shared(self, split: str, other: str) -> tuple[str, str] | None:
        """Return places of two splits of which one is the other or lies in it; None where there are none."""
        for here in self.splits[split]:
            place = self._place(here).resolve()
            for there in self.splits[other]:
                known = self._place(there).resolve()
                within = place in known.parents or known in place.parents
                if place == known or (within and place.is_dir() and known.is_dir()):
                    return here, there
        return None

    def _add_list(self, images: ListedImages, file: Path) -> None:
        """Add the images that a list names, each from where the list lies."""
        lines = [os.path.join(file.parent, _with_slashes(file.parent, line)) for line in read_lines(file)]
        found = [os.path.split(line) for line in lines]
        there = {folder: names_in(folder) for folder in {folder for folder, _ in found}}
        absent = [position for position, (folder, name) in enumerate(found) if name not in there[folder]]
        absent = self._found_otherwise(images, file, found, absent)
        if absent:
            counted = f"the {len(found)} images that {file.name} names, of which {len(absent)} are missing"
            raise missing("yolo", Path(*found[absent[0]]), counted, self.obtain)
        same = {folder: folder for folder, _ in found}
        images.folders.extend(same[folder] for folder, _ in found)
        images.names.extend(name for _, name in found)

    def _found_otherwise(
        self, images: ListedImages, file: Path, found: list[tuple[str, str]], absent: Sequence[int]
    ) -> list[int]:
        """Look for images of a list that was written on another machine; returns those that are nowhere."""
        places, places_of = ImagePlaces([file.parent, self.base]), dict[str, Path]()
        lost = []
        for position in absent:
            name = os.path.join(*found[position])
            path = places.find(name.removeprefix(f"{file.parent}/").lstrip("/"))
            if path is None:
                lost.append(position)
            else:
                places_of[name] = path
                found[position] = os.path.split(path)
        refuse_one_file_twice(places_of, str(file))
        images.notes.extend(places.notes(file.name))
        return lost

    def class_of_value(self, count: int) -> dict[int, int]:
        """Return value in a mask -> class id below `count`, or 255; values that are neither are left out."""
        mapped = {value: self.mapping.get(value, value) for value in range(IGNORE_LABEL + 1)}
        return {
            value: class_id for value, class_id in mapped.items() if 0 <= class_id < count or class_id == IGNORE_LABEL
        }

    def _place(self, place: str) -> Path:
        place = _with_slashes(self.base, place)
        where = self.base / place
        # As exported by Roboflow, whose YAMLs were made for a folder beside the data.
        if not where.exists() and place.startswith("../"):
            return self.base / place.removeprefix("../")
        if where.exists() or not Path(place).is_absolute():
            return where
        # Of a path on another machine the last folders are most likely those beside the YAML.
        parts = Path(place).parts[1:]
        shorter = (self.base.joinpath(*parts[start:]) for start in range(1, len(parts)))
        return next((one for one in shorter if one.exists()), where)


def _one_folder_twice(yaml: DataYaml, split: str, here: str, other: str, there: str) -> DatasetError:
    """Return the error for images of two splits, with the lines that settle it."""
    same = f"{other} and {split} both name {here!r}" if here == there else f"{other} names {there!r}, {split} {here!r}"
    return DatasetError(
        f"{yaml.file}: {same}, so that models would be scored on images that they were trained on. Write a folder or a "
        f".txt list of images of its own for each split, for example {other}: images/{other} and {split}: "
        f"images/{split}, or have the images dealt out by the data set's options split_by: fraction and pool: "
        f"[{other}]."
    )


def _add_folder(images: ListedImages, folder: Path) -> None:
    """Add the images of a folder and those below it, sorted by path."""
    known: dict[str, str] = {}
    for listed in files_below(folder).names:
        below, _, name = listed.rpartition("/")
        images.folders.append(known.setdefault(below, os.path.join(folder, below) if below else str(folder)))
        images.names.append(name)


def _with_slashes(folder: Path, place: str) -> str:
    """Return a path as written, or with slashes for backslashes where there is nothing under the name as written."""
    return place if "\\" not in place or (folder / place).exists() else place.replace("\\", "/")


def read_data_yaml(file: Path, root: Path) -> DataYaml:
    """Read a data YAML; raises `DatasetError` if it is missing, lacks names or splits, or contradicts itself.

    Args:
        root: Folder in which a relative `path` is looked for, after the folder of the YAML and before the working
            folder.
    """
    document = read_yaml(require_file("yolo", file, "a YAML with names and train, val or test", OBTAIN))
    if not isinstance(document, dict):
        raise DatasetError(f"{file} must hold keys such as names, train and val.")
    typed = as_typed(YOLO, document, str(file), "Correct it.")
    if document.get("kpt_shape") is not None:
        raise DatasetError(
            f"{file} has kpt_shape: its labels are key points and boxes, in which no object has an outline. Labels for "
            "segmentation are wanted here: class x1 y1 x2 y2 x3 y3 …; remove kpt_shape if they are that.",
            kind="labels",
        )
    document["names"] = _as_written(document.get("names"), file)
    names = _names(document, file)
    if document.get("val") is None and document.get("validation"):
        document["val"] = document["validation"]
    splits = {split: _listed(document[split], split, file) for split in SPLITS if document.get(split)}
    if not splits:
        raise DatasetError(f"{file} has none of the splits train, val and test. Add for example: train: images/train")
    # A path that is nowhere was written for another machine.
    path = typed.get("path")
    starts = [start / path for start in (file.parent, root, Path())] if path else []
    return DataYaml(
        file=file,
        names=names,
        base=next((one for one in starts if one.is_dir()), file.parent),
        splits=splits,
        masks=typed.get("masks_dir"),
        mapping=_mapping(document.get("label_mapping"), file),
        obtain=f"{OBTAIN} {NOT_RUN}" if document.get("download") else OBTAIN,
    )


def _as_written(names: Any, file: Path) -> Any:
    """Return names as the file writes them: YAML takes no, off, null and dates for something else than names."""
    if not isinstance(names, list | dict):
        return names
    written = yaml_as_written(file)["names"]
    if len(written) != len(names):
        raise DatasetError(f"{file}: names has a number twice, once in quotes. Name each class once.")
    if isinstance(names, dict):
        return {key: text for key, text in zip(names, written.values(), strict=True) if isinstance(text, str)}
    return [text if isinstance(text, str) else name for name, text in zip(names, written, strict=True)]


def _names(document: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    names, count = document.get("names"), _count(document.get("nc"), file)
    if names is None and count is None:
        raise DatasetError(
            f"{file} has no names. Give the classes as a list, names: [cat, dog], or as a table, "
            "names: {0: cat, 1: dog}."
        )
    if names is None:
        names = [f"class_{number}" for number in range(count or 0)]  # as Ultralytics calls them
    if isinstance(names, dict):
        numbered = {_number(key): name for key, name in names.items()}
        if set(numbered) == set(range(len(names))):
            names = [numbered[number] for number in range(len(names))]
    plain = isinstance(names, list) and all(isinstance(name, str | int | float) for name in names)
    if not plain or not names or len(set(map(str, names))) != len(names):
        keys = sorted(key for key in names if isinstance(key, int)) if isinstance(names, dict) else []
        start = f" It begins at {keys[0]}: the numbers in the label files begin at 0." if keys and keys[0] > 0 else ""
        raise DatasetError(f"{file}: names must be a list of different names, or a table from 0, 1, … to names.{start}")
    if count is not None and count != len(names):
        raise DatasetError(
            f"{file}: nc is {count}, but names has {len(names)}: {', '.join(map(str, names))}. Fix the one that is "
            "wrong."
        )
    return tuple(str(name) for name in names)


def _number(key: Any) -> Any:
    """Return a key of `names` as a number, where it is one in quotes."""
    number = whole_number(key) if isinstance(key, str) else None
    return key if number is None else number


def _count(value: Any, file: Path) -> int | None:
    found = _number(value)
    if found is None or (isinstance(found, int) and not isinstance(found, bool) and 0 < found <= MOST_NAMES):
        return found
    raise DatasetError(f"{file}: nc is {value!r}; it must be the number of classes, 1 to {MOST_NAMES}.")


def _listed(places: Any, split: str, file: Path) -> list[str]:
    found = places if isinstance(places, list) else [places]
    if not all(isinstance(place, str) for place in found):
        raise DatasetError(f"{file}: {split} must be a folder, a .txt list, or a list of these, not {places!r}.")
    return found


def _mapping(table: Any, file: Path) -> dict[int, int]:
    """Return value -> class number of `label_mapping`; `ignore_label` and nothing mean void."""
    rows = {} if table is None else table
    pairs = list(rows.items()) if isinstance(rows, dict) else [(None, None)]
    found = {
        _number(value): IGNORE_LABEL if number in ("ignore_label", None) else _number(number) for value, number in pairs
    }
    if len(found) < len(pairs) or not all(type(number) is int for pair in found.items() for number in pair):
        raise DatasetError(
            f"{file}: label_mapping must be a table from values in the masks to numbers of classes or ignore_label, "
            "for example {0: ignore_label, 7: 0}."
        )
    return found
